"""``taxiway model …`` and ``taxiway access-token …``: convert, look, switch, read logs, call."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from taxiway.cli.output import (
    AsJson,
    ExitCode,
    Project,
    Yes,
    confirm,
    connected,
    fail,
    print_json,
    say,
    show,
    show_table,
)
from taxiway.cli.sizing import size
from taxiway.cli.thresholds import thresholds

if TYPE_CHECKING:
    from collections.abc import Callable

    from taxiway.client import Client
    from taxiway.wire.models import LogPageOut, ModelVersionDetailOut

Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ON, OFF or Failed.")]
Timeout = Annotated[float, typer.Option("--timeout", help="Seconds to wait.")]
Version = Annotated[str, typer.Argument(metavar="MODEL/VERSION", help="For example fraud/3.")]
Memory = Annotated[str | None, typer.Option("--memory", help="Memory of a pod, for example 512Mi or 2Gi.")]
Cpus = Annotated[str | None, typer.Option("--cpus", help="CPUs of a pod, for example 0.5 or 2.")]
Tag = Annotated[list[str] | None, typer.Option("--tag", help="key=value; may be repeated.")]
PredictTimeout = Annotated[float | None, typer.Option("--predict-timeout", help="Seconds a prediction may take.")]
ServingPath = Annotated[
    Literal["auto", "pyfunc"] | None,
    typer.Option("--serving", help="auto: the fastest path that is proven equal to mlflow.pyfunc."),
]
Independent = Annotated[
    Literal["as-proven", "yes", "no"] | None,
    typer.Option("--rows-independent", help="Whether rows of several requests may be predicted together."),
]
Method = Annotated[
    Literal["predict", "predict_proba", "predict_log_proba", "decision_function", "score_samples", "transform"] | None,
    typer.Option("--method", help="Which of the model's methods answers; predict: as the model was logged."),
]
StartDeadline = Annotated[
    float | None, typer.Option("--start-deadline", help="Seconds a pod may take to become ready.")
]

model = typer.Typer(help="Models, their versions and their endpoints.", no_args_is_help=True)
model.command("thresholds")(thresholds)
model.command("size")(size)
access_token = typer.Typer(help="Access tokens: what callers show to an endpoint.", no_args_is_help=True)


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.add_typer(model, name="model")
    application.add_typer(access_token, name="access-token")


def split_version(text: str) -> tuple[str, int]:
    """Read ``fraud/3``."""
    name, _, number = text.partition("/")
    if not name or not number.isdecimal():
        fail("Name a model version as MODEL/VERSION, for example fraud/3.", code=ExitCode.USAGE)
    return name, int(number)


def split_tags(tags: list[str] | None) -> dict[str, str]:
    """Read ``key=value`` texts."""
    pairs = [tag.partition("=") for tag in tags or ()]
    if any(not key or not separator for key, separator, _ in pairs):
        fail("Give tags as key=value.", code=ExitCode.USAGE)
    return {key: value for key, _, value in pairs}


@model.command("convert")
def convert(
    run_id: Annotated[str, typer.Argument(help="MLflow's id of the run.")],
    name: Annotated[str, typer.Option("--name", "-n", help="A new or an existing model.")],
    logged_model: Annotated[
        str | None, typer.Option("--logged-model", help="Which one, where the run logged several.")
    ] = None,
    memory: Memory = None,
    cpus: Cpus = None,
    tag: Tag = None,
    predict_timeout: PredictTimeout = None,
    start_deadline: StartDeadline = None,
    serving: ServingPath = None,
    rows_independent: Independent = None,
    method: Method = None,
    open_endpoint: Annotated[bool, typer.Option("--open", help="Let the endpoint be called without a token.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check.")] = False,
    wait: Wait = True,
    timeout: Timeout = 1200.0,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Convert a run's logged model to a model version with an endpoint."""
    from taxiway.wire.models import ConversionIn

    with connected() as client:
        wanted = ConversionIn(
            model=name,
            logged_model=logged_model,
            memory=memory,
            cpus=cpus,
            tags=split_tags(tag),
            timeout_seconds=predict_timeout,
            start_deadline_seconds=start_deadline,
            serving=serving,
            rows_are_independent=rows_independent,
            method=method,
            needs_token=not open_endpoint,
        )
        if dry_run:
            checked = client.preflight(run_id, wanted, project=project)
            facts = checked.facts
            fields = [
                ("model", checked.model),
                ("logged model", checked.logged_model),
                ("python", checked.python),
                ("flavors", ", ".join(facts.flavors)),
                ("files", f"{facts.file_count}, {facts.size_bytes / 1e6:.1f} MB, {facts.file_format}"),
                ("requirements", ", ".join(facts.requirements)),
            ]
            show(checked, as_json=as_json, fields=fields)
            return
        made = client.convert(run_id, wanted, project=project)
        say(f"{made.model}/{made.version} was made; its endpoint will be {made.url}")
        if wait:
            made = _follow(client, made, timeout=timeout)
        _show_detail(made, as_json=as_json)
    _end_by_status(made)


def _follow(
    client: Client, seen: ModelVersionDetailOut, *, before: ModelVersionDetailOut | None = None, timeout: float
) -> ModelVersionDetailOut:
    """Wait with a live display of the phases; those that had ended ``before`` are left out."""
    from taxiway.cli.progress import phases_display

    with phases_display(before) as update:
        return client.wait(seen.model, seen.version, project=seen.project, timeout_seconds=timeout, progress=update)


def _end_by_status(seen: ModelVersionDetailOut) -> None:
    if seen.status == "Failed":
        raise typer.Exit(ExitCode.FAILED)


def _show_detail(seen: ModelVersionDetailOut, *, as_json: bool) -> None:
    newest = seen.revisions[-1] if seen.revisions else None
    failure = newest.failure if newest else None
    phases = " → ".join(
        f"{phase.name} {phase.seconds:.1f} s" if phase.seconds is not None else f"{phase.name} …"
        for phase in seen.phases
    )
    show(
        seen,
        as_json=as_json,
        fields=[
            ("model", f"{seen.model}/{seen.version} in {seen.project}"),
            ("status", seen.status),
            ("reason", f"{seen.reason}: {seen.message}"),
            ("next", seen.hint),
            ("endpoint", seen.url + ("" if seen.is_available else "  (available when ON)")),
            ("access", "token needed" if seen.needs_token else "open to all"),
            ("serves by", next((phase.detail for phase in seen.phases if phase.name == "proof"), "")),
            ("phases", phases),
            ("pods", ", ".join(f"{pod.id} {pod.phase}" for pod in (newest.pods if newest else ()))),
            ("isolation", ", ".join({pod.isolation or "" for pod in (newest.pods if newest else ())})),
            ("memory", seen.resources.memory),
            ("cpus", seen.resources.cpus),
            ("owner", seen.owner),
            ("run", seen.run_id),
            ("model path", seen.model_path),
            ("flavors", ", ".join(seen.facts.flavors)),
            ("tags", ", ".join(f"{key}={value}" for key, value in seen.tags.items())),
            ("last lines", "".join(f"\n  {line}" for line in failure.lines) if failure else ""),
        ],
    )


@model.command("list")
def list_models(
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    owner: Annotated[str | None, typer.Option(help="Only those of this user.")] = None,
    contains: Annotated[str | None, typer.Option("--name", help="Only those whose name has this in it.")] = None,
    tag: Annotated[str | None, typer.Option(help="Only those with this key=value.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 100,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """List model versions, newest first."""
    with connected() as client:
        page = client.models(project=project, status=status, owner=owner, contains=contains, tag=tag, limit=limit)
    show_table(
        page.items,
        as_json=as_json,
        columns=[
            ("MODEL", lambda m: f"{m.model}/{m.version}"),
            ("PROJECT", lambda m: m.project),
            ("STATUS", lambda m: m.status),
            ("ENDPOINT", lambda m: m.url if m.is_available else "available when ON"),
            ("OWNER", lambda m: m.owner),
            ("MEMORY", lambda m: m.resources.memory),
            ("CPUS", lambda m: m.resources.cpus),
        ],
        empty="No models yet. Convert a run: `taxiway model convert RUN_ID --name fraud`.",
    )
    if page.next_cursor and not as_json:
        say("There are more; ask for more with --limit.")


@model.command("show")
def show_model(version: Version, project: Project = None, as_json: AsJson = False) -> None:
    """Show one model version: status, endpoint, phases, pods, configuration."""
    name, number = split_version(version)
    with connected() as client:
        _show_detail(client.model(name, number, project=project), as_json=as_json)


@model.command("signature")
def signature(version: Version, project: Project = None) -> None:
    """Print the input and output schema as JSON."""
    name, number = split_version(version)
    with connected() as client:
        seen = client.model(name, number, project=project)
    print_json(seen.facts.signature.model_dump() if seen.facts.signature else None)


@model.command("diff")
def diff(
    version: Version,
    since: Annotated[int | None, typer.Option("--since", help="Another version; else the one before.")] = None,
    check: Annotated[bool, typer.Option("--check", help="End with 1 where a change is breaking.")] = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Tell what callers may feel if this version takes another's place: its contract, column by column."""
    name, number = split_version(version)
    with connected() as client:
        found = client.contract_changes(name, number, since=since, project=project)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        beside = "There is no version before it." if found.since is None else f"Nothing changed since {found.since}."
        show_table(
            found.changes,
            as_json=False,
            columns=[
                ("", lambda c: "breaking" if c.is_breaking else "compatible"),
                ("SIDE", lambda c: c.side),
                ("NAME", lambda c: c.name),
                ("WAS", lambda c: c.was or "-"),
                ("BECOMES", lambda c: c.becomes or "-"),
                ("WHY", lambda c: c.why),
            ],
            empty=beside,
        )
    if check and not found.is_compatible:
        raise typer.Exit(ExitCode.FAILED)


def _switch(version: str, *, on: bool, wait: bool, timeout: float, project: str | None, as_json: bool) -> None:
    name, number = split_version(version)
    with connected() as client:
        before = client.model(name, number, project=project)
        (client.switch_on if on else client.switch_off)(name, number, project=project)
        seen = client.model(name, number, project=project)
        if wait:
            seen = _follow(client, seen, before=before, timeout=timeout)
        _show_detail(seen, as_json=as_json)
    _end_by_status(seen)


@model.command("on")
def switch_on(
    version: Version, wait: Wait = True, timeout: Timeout = 1200.0, project: Project = None, as_json: AsJson = False
) -> None:
    """Switch ON: the same URL and configuration as before. Also tries a Failed one again."""
    _switch(version, on=True, wait=wait, timeout=timeout, project=project, as_json=as_json)


@model.command("off")
def switch_off(
    version: Version, wait: Wait = True, timeout: Timeout = 120.0, project: Project = None, as_json: AsJson = False
) -> None:
    """Switch OFF, or cancel what is under way; URL and configuration are kept."""
    _switch(version, on=False, wait=wait, timeout=timeout, project=project, as_json=as_json)


@model.command("configure")
def configure(
    version: Version,
    memory: Memory = None,
    cpus: Cpus = None,
    predict_timeout: PredictTimeout = None,
    start_deadline: StartDeadline = None,
    serving: ServingPath = None,
    rows_independent: Independent = None,
    method: Method = None,
    needs_token: Annotated[bool | None, typer.Option("--token/--open", help="Whether callers need a token.")] = None,
    tag: Tag = None,
    wait: Wait = True,
    timeout: Timeout = 1200.0,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Change resources or options; the new revision comes up beside the old one."""
    from taxiway.wire.models import ConfigurationIn

    name, number = split_version(version)
    wanted = ConfigurationIn(
        memory=memory,
        cpus=cpus,
        timeout_seconds=predict_timeout,
        start_deadline_seconds=start_deadline,
        serving=serving,
        rows_are_independent=rows_independent,
        method=method,
        needs_token=needs_token,
        tags=split_tags(tag) if tag else None,
    )
    with connected() as client:
        before = client.model(name, number, project=project)
        client.configure(name, number, wanted, project=project)
        seen = client.model(name, number, project=project)
        if wait:
            seen = _follow(client, seen, before=before, timeout=timeout)
        _show_detail(seen, as_json=as_json)
    _end_by_status(seen)


@model.command("delete")
def delete(
    version: Version,
    yes: Yes = False,
    project: Project = None,
) -> None:
    """Delete a model version with its endpoint, files, logs and access tokens."""
    name, number = split_version(version)
    confirm(f"Delete {name}/{number} and its endpoint?", yes=yes)
    with connected() as client:
        client.delete(name, number, project=project)
    say(f"{name}/{number} is being deleted.")


@model.command("logs")
def logs(
    version: Version,
    build: Annotated[bool, typer.Option("--build", help="The build log instead of the container log.")] = False,
    access: Annotated[bool, typer.Option("--access", help="The endpoint's requests, as the gateway saw them.")] = False,
    pod: Annotated[str | None, typer.Option(help="Of this pod, also a dead one; else of the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is complete.")] = False,
    tail: Annotated[int | None, typer.Option(help="Only the last so many lines.")] = None,
    grep: Annotated[str | None, typer.Option(help="Only lines with this text.")] = None,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Read the container log, the build log or the access log."""
    name, number = split_version(version)
    with connected() as client:

        def read(after: int | None, lines: int | None) -> LogPageOut:
            return client.logs(
                name,
                number,
                kind=kind_of_log(build=build, access=access),
                pod=pod,
                after=after,
                tail=lines,
                contains=grep,
                project=project,
            )

        print_log(read, tail=tail, follow=follow, as_json=as_json)


def kind_of_log(*, build: bool, access: bool) -> str:
    """Return which log was asked for; the container log where nothing is said."""
    if build and access:
        raise typer.BadParameter("Only one of --build and --access can be given.")
    return "build" if build else "access" if access else "pod"


def print_log(
    read: Callable[[int | None, int | None], LogPageOut], *, tail: int | None, follow: bool, as_json: bool
) -> None:
    """Print a log's lines; ``read`` gives those after a sequence, or the last so many."""
    import time

    after: int | None = None
    is_first = True
    while True:
        page = read(after, tail if is_first else None)
        for line in page.lines:
            typer.echo(json.dumps(line.model_dump(mode="json")) if as_json else line.text)
        grew, is_first, after = page.next_sequence != after, False, page.next_sequence
        if tail is not None and not follow:
            return
        if not grew and (page.is_complete or not follow):
            return
        if not page.lines and follow:
            time.sleep(0.5)


@model.command("pods")
def list_pods(version: Version, project: Project = None, as_json: AsJson = False) -> None:
    """List the pods, living and dead, whose logs are kept; newest first."""
    name, number = split_version(version)
    with connected() as client:
        listed = client.pods(name, number, project=project)
    show_table(
        listed.items,
        as_json=as_json,
        columns=[
            ("POD", lambda p: p.id),
            ("REVISION", lambda p: p.revision),
            ("PHASE", lambda p: p.phase or "gone"),
        ],
        empty="No pods yet.",
    )


@model.command("events")
def list_events(
    version: Version,
    show_all: Annotated[bool, typer.Option("--all", help="Also what each revision went through.")] = False,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Show what was asked of a model version and how its status changed, oldest first."""
    from taxiway.client import calls
    from taxiway.domain.events import Topic

    name, number = split_version(version)
    with connected() as client:
        seen = client.model(name, number, project=project)
        answer = client.send(
            calls.plain("GET", "events", subject_kind="deployment", subject=seen.deployment, limit=1000)
        )
    show_table(
        [event for event in answer["items"] if show_all or event["topic"] != Topic.REVISION],
        as_json=as_json,
        columns=[
            ("TIME", lambda e: e["at"][:19].replace("T", " ")),
            ("WHO", lambda e: e["actor"]),
            ("WHAT", lambda e: e["topic"]),
            ("FROM", lambda e: e["was"]),
            ("TO", lambda e: e["became"]),
            ("WHY", lambda e: e["message"]),
        ],
        empty="Nothing happened yet.",
    )


@model.command("predict")
def predict(
    version: Version,
    file: Annotated[Path | None, typer.Option("--file", "-f", help="Request body; else standard input.")] = None,
    content_type: Annotated[str, typer.Option(help="Its type.")] = "application/json",
    token: Annotated[str | None, typer.Option(envvar="TAXIWAY_ACCESS_TOKEN", help="Access token.")] = None,
    project: Project = None,
) -> None:
    """Call the endpoint with a request body and print the answer."""
    import httpx2

    name, number = split_version(version)
    try:
        body = file.read_bytes() if file else sys.stdin.buffer.read()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror}.", code=ExitCode.USAGE)
    with connected() as client:
        seen = client.model(name, number, project=project)
    headers = {"Content-Type": content_type} | ({"Authorization": f"Bearer {token}"} if token else {})
    try:
        response = httpx2.post(f"{seen.url}/invocations", content=body, headers=headers, timeout=300, trust_env=False)
    except httpx2.TransportError as error:
        fail(f"No answer from {seen.url}: {error}", code=ExitCode.UNREACHABLE)
    if response.status_code >= 400:
        say(response.text)
        hint = "Give an access token with --token." if response.status_code == 401 else None
        fail(f"The endpoint answered {response.status_code}.", hint=hint)
    typer.echo(response.text)


@access_token.command("issue")
def issue(
    version: Version,
    caller: Annotated[str, typer.Option("--caller", help="The program or person that will call.")],
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Issue an access token; it is printed this once."""
    name, number = split_version(version)
    with connected() as client:
        issued = client.issue_token(name, number, caller=caller, days=days, project=project)
    if as_json:
        print_json(issued.model_dump(mode="json"))
    else:
        say(f"Token {issued.id} for {issued.caller} counts until {issued.expires_at:%Y-%m-%d %H:%M} UTC.")
        typer.echo(issued.token)


@access_token.command("list")
def list_tokens(version: Version, project: Project = None, as_json: AsJson = False) -> None:
    """List a deployment's access tokens, newest first."""
    name, number = split_version(version)
    with connected() as client:
        listed = client.tokens(name, number, project=project)
    show_table(
        listed.items,
        as_json=as_json,
        columns=[
            ("ID", lambda t: t.id),
            ("CALLER", lambda t: t.caller),
            ("EXPIRES", lambda t: f"{t.expires_at:%Y-%m-%d %H:%M}"),
            ("REVOKED", lambda t: f"{t.revoked_at:%Y-%m-%d %H:%M}" if t.revoked_at else ""),
        ],
        empty="No tokens yet. Issue one: `taxiway access-token issue MODEL/VERSION --caller NAME`.",
    )


@access_token.command("revoke")
def revoke(
    version: Version,
    token_id: Annotated[str, typer.Argument(help="Its id, as `taxiway access-token list` shows it.")],
    project: Project = None,
) -> None:
    """Make the gateway refuse a token, within two seconds."""
    name, number = split_version(version)
    with connected() as client:
        client.revoke_token(name, number, token_id, project=project)
    say(f"Token {token_id} is revoked.")
