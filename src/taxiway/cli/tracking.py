"""``taxiway tracking``, ``experiment …`` and ``run …``: where to log, what was tracked, what can be converted."""

from __future__ import annotations

from typing import Annotated

import typer

from taxiway.cli.output import AsJson, Project, connected, say, show, show_table

Limit = Annotated[int, typer.Option(help="At most so many.")]
RunId = Annotated[str, typer.Argument(help="MLflow's id of the run.")]

experiment = typer.Typer(help="Experiments, as MLflow keeps them.", no_args_is_help=True)
run = typer.Typer(help="Runs and the models that they logged.", no_args_is_help=True)


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.command("tracking")(tracking)
    application.add_typer(experiment, name="experiment")
    application.add_typer(run, name="run")


def tracking() -> None:
    """Print the line that points MLflow here, for `eval "$(taxiway tracking)"`; and how to get a token."""
    from taxiway.client import find_profile

    found = find_profile()
    typer.echo(f"export MLFLOW_TRACKING_URI={found.url}/mlflow")
    say(
        "MLflow needs a token as well: "
        f"export MLFLOW_TRACKING_TOKEN=$(taxiway token create --name laptop --project {found.project or 'PROJECT'})"
    )


@experiment.command("list")
def list_experiments(limit: Limit = 100, project: Project = None, as_json: AsJson = False) -> None:
    """List the project's experiments."""
    with connected() as client:
        page = client.experiments(project=project, limit=limit)
    show_table(
        page.items,
        as_json=as_json,
        columns=[("ID", lambda e: e.id), ("NAME", lambda e: e.name)],
        empty="No experiments yet. Log one with MLflow: see `taxiway tracking`.",
    )


@run.command("list")
def list_runs(
    experiment: Annotated[str | None, typer.Option(help="Only of this experiment, by name or id.")] = None,
    where: Annotated[str | None, typer.Option("--filter", help="MLflow's filter language.")] = None,
    limit: Limit = 50,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """List runs, newest first."""
    with connected() as client:
        page = client.runs(project=project, experiment=experiment, where=where, limit=limit)
    show_table(
        page.items,
        as_json=as_json,
        columns=[
            ("RUN", lambda r: r.id),
            ("NAME", lambda r: r.name),
            ("STATUS", lambda r: r.status),
            ("STARTED", lambda r: f"{r.started_at:%Y-%m-%d %H:%M}" if r.started_at else ""),
            ("MODEL", lambda r: "yes" if r.has_logged_model else ""),
            (
                "METRICS",
                lambda r: ", ".join(f"{k}={v:.4g}" for k, v in list(r.metrics.items())[:4] if v is not None),
            ),
        ],
        empty="No runs found.",
    )
    if page.next_cursor and not as_json:
        say("There are more; ask for more with --limit.")


@run.command("show")
def show_run(run_id: RunId, project: Project = None, as_json: AsJson = False) -> None:
    """Show a run's parameters, metrics and the models that it logged."""
    with connected() as client:
        seen = client.run(run_id, project=project)
        logged = client.logged_models(run_id, project=project)
    show(
        seen,
        as_json=as_json,
        fields=[
            ("run", seen.id),
            ("name", seen.name),
            ("status", seen.status),
            ("user", seen.user),
            ("parameters", ", ".join(f"{k}={v}" for k, v in seen.parameters.items())),
            ("metrics", ", ".join(f"{k}={v:.6g}" for k, v in seen.metrics.items() if v is not None)),
            ("logged models", ", ".join(f"{m.name} ({m.model_id or m.path})" for m in logged.items)),
            ("converted to", ", ".join(logged.versions)),
        ],
    )
