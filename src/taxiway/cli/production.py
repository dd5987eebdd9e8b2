"""``taxiway production …``: promote, look, change, switch, tokens. For administrators."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli import approvals, scrubs
from taxiway.cli.differences import DryRun, show_difference
from taxiway.cli.models import Cpus, Memory, Version, kind_of_log, print_log, split_version
from taxiway.cli.output import (
    AsJson,
    ExitCode,
    Project,
    Yes,
    complain,
    confirm,
    connected,
    fail,
    print_json,
    say,
    show,
    show_table,
)
from taxiway.cli.platform import DataDir, SettingsFile, read_settings_of
from taxiway.cli.rollouts import (
    Autoscale,
    Canary,
    DownWindow,
    IdleAfter,
    MaxErrorRise,
    MaxLatency,
    MinRequests,
    QuotaBurst,
    QuotaRate,
    StepSeconds,
    Tagged,
    policy_of,
    rollout,
    rollout_fields,
    strategy_of,
)
from taxiway.cli.simulating import simulate
from taxiway.cli.usage import served, usage

if TYPE_CHECKING:
    from taxiway.client import Client
    from taxiway.wire.models import LogPageOut
    from taxiway.wire.production import ProductionDetailOut, PromotionOut

Name = Annotated[str, typer.Argument(metavar="NAME", help="A production deployment's name.")]
MinPods = Annotated[
    int | None,
    typer.Option("--min-pods", help="Pods that always run; 0 lets the last one be stopped while no requests come."),
]
NeedsToken = Annotated[bool | None, typer.Option("--needs-token/--open", help="Whether callers need one.")]
MaxPods = Annotated[int | None, typer.Option("--max-pods", help="Pods at most.")]

production = typer.Typer(help="Promote models, and look after what serves customers.", no_args_is_help=True)
token = typer.Typer(help="Access tokens of production deployments.", no_args_is_help=True)


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    production.add_typer(token, name="token")
    production.command("rollout")(rollout)
    production.command("simulate")(simulate)
    production.command("usage")(usage)
    production.command("served")(served)
    scrubs.add_to(production)
    approvals.add_to(production)
    application.add_typer(production, name="production")


@production.command("promote")
def promote(
    version: Version,
    name: Annotated[str, typer.Option("--to", help="The production deployment: a new name, or one that is there.")],
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the act.")],
    customer: Annotated[str | None, typer.Option(help="Whom it serves; needed for a new one.")] = None,
    memory: Memory = None,
    cpus: Cpus = None,
    min_pods: MinPods = None,
    max_pods: MaxPods = None,
    needs_token: NeedsToken = None,
    quota: QuotaRate = None,
    quota_burst: QuotaBurst = None,
    autoscale: Autoscale = None,
    down_window: DownWindow = 300,
    idle_after: IdleAfter = 300,
    canary: Canary = None,
    tagged: Tagged = False,
    step: StepSeconds = 300,
    max_error_rise: MaxErrorRise = 0.01,
    max_latency: MaxLatency = 1.5,
    min_requests: MinRequests = 50,
    accept_breaking: Annotated[
        bool, typer.Option("--accept-breaking", help="Promote although callers may feel the contract's changes.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell how the gates stand.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ON or Failed.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 600,
    project: Project = None,
    as_json: AsJson = False,
) -> None:
    """Promote a model version of staging to production: its files are copied, and serve whatever becomes of it."""
    from taxiway.wire.production import PromotionIn

    model, number = split_version(version)
    strategy = strategy_of(
        canary, tagged=tagged, step=step, max_error_rise=max_error_rise, max_latency=max_latency,
        min_requests=min_requests,
    )  # fmt: skip
    with connected() as client:
        wanted = PromotionIn(
            project=client.in_project(project), model=model, version=number, name=name, reason=reason,
            customer=customer, memory=memory, cpus=cpus, min_pods=min_pods,
            max_pods=max_pods, needs_token=needs_token,
            quota_per_second=quota, quota_burst=quota_burst, rollout=strategy,
            autoscaling=policy_of(autoscale, down_window, idle_after), accept_breaking=accept_breaking, dry_run=dry_run,
        )  # fmt: skip
        found = client.promote(wanted)
        if not as_json:
            _show_gates(found)
        if dry_run:
            if as_json:
                print_json(found.model_dump(mode="json"))
            if not all(gate.holds or gate.can_be_awaited for gate in found.gates):
                raise typer.Exit(ExitCode.FAILED)
            return
        if found.waits_as:
            if as_json:
                print_json(found.model_dump(mode="json"))
            say(f"It waits for another administrator: `taxiway production approve {found.waits_as}`.")
            return
        seen = _wait(client, name, timeout) if wait else client.production_deployment(name)
    _show_detail(seen, as_json=as_json)
    if wait and seen.status != "ON":
        raise typer.Exit(ExitCode.FAILED)


def _show_gates(found: PromotionOut) -> None:
    for gate in found.gates:
        word = "holds" if gate.holds else "waits" if gate.can_be_awaited else "FAILS"
        say(f"{word}  {gate.gate}: {gate.message}")
        if not gate.holds and gate.hint:
            say(f"       {gate.hint}")


def _wait(client: Client, name: str, timeout: float) -> ProductionDetailOut:
    """Wait until what was asked for last is settled, and tell what happens meanwhile. Raises TimeoutError."""
    from taxiway.client.connection import is_settled

    told = [""]

    def tell(seen: ProductionDetailOut) -> None:
        text = f"{seen.status}: {seen.message}"
        if not is_settled(seen) and text != told[-1]:
            say(text)
            told.append(text)

    return client.wait_production(name, timeout_seconds=timeout, progress=tell)


@production.command("list")
def list_production(
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None, as_json: AsJson = False
) -> None:
    """List production deployments by name."""
    with connected() as client:
        page = client.production(customer=customer)
    show_table(
        page.items,
        as_json=as_json,
        columns=[
            ("NAME", lambda d: d.name),
            ("CUSTOMER", lambda d: d.customer),
            ("MODEL", lambda d: f"{d.model}/{d.version}"),
            ("PROJECT", lambda d: d.project),
            ("STATUS", lambda d: d.status),
            ("PODS", lambda d: f"{d.pods_ready}/{d.pods_wanted} ({d.min_pods}-{d.max_pods})"),
            ("MEMORY", lambda d: d.resources.memory),
            ("CPUS", lambda d: d.resources.cpus),
            ("ENDPOINT", lambda d: d.url),
        ],
        empty="Nothing is in production. Promote a model: `taxiway production promote fraud/3 --to fraud-acme …`.",
    )


@production.command("show")
def show_production(name: Name, as_json: AsJson = False) -> None:
    """Show a production deployment: status, pods, and who promoted what, when and why."""
    with connected() as client:
        seen = client.production_deployment(name)
    _show_detail(seen, as_json=as_json)


def _show_detail(seen: ProductionDetailOut, *, as_json: bool) -> None:
    policy = seen.autoscaling
    fields: list[tuple[str, object]] = [
        ("name", seen.name),
        ("customer", seen.customer),
        ("model", f"{seen.project}/{seen.model}/{seen.version}"),
        ("status", f"{seen.status}: {seen.message}"),
        ("hint", seen.hint),
        ("endpoint", seen.url),
        ("pods", f"{seen.pods_ready} ready of {seen.pods_wanted}; {seen.min_pods} to {seen.max_pods}"),
        ("quota", "none" if seen.quota_per_second is None else f"{seen.quota_per_second:g}/s of each caller"),
        ("autoscaling", "off" if policy is None else f"{policy.metric} {policy.target:g} per pod"),
        ("memory", seen.resources.memory),
        ("cpus", seen.resources.cpus),
        ("access", "with a token" if seen.needs_token else "open"),
    ]
    fields += [
        ("promoted", f"{p.promoted_at:%Y-%m-%d %H:%M} by {p.promoted_by}: {p.model}/{p.version} ({p.reason})")
        for p in seen.promotions
    ]
    if seen.rollout is not None and seen.rollout.is_active:
        fields += rollout_fields(seen.rollout)
    show(seen, as_json=as_json, fields=fields)


@production.command("configure")
def configure(
    name: Name,
    memory: Memory = None,
    cpus: Cpus = None,
    min_pods: MinPods = None,
    max_pods: MaxPods = None,
    needs_token: NeedsToken = None,
    quota: QuotaRate = None,
    quota_burst: QuotaBurst = None,
    autoscale: Autoscale = None,
    down_window: DownWindow = 300,
    idle_after: IdleAfter = 300,
    canary: Canary = None,
    tagged: Tagged = False,
    step: StepSeconds = 300,
    max_error_rise: MaxErrorRise = 0.01,
    max_latency: MaxLatency = 1.5,
    min_requests: MinRequests = 50,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Change memory, CPUs, pods or access; what is left out stays."""
    from taxiway.wire.production import ProductionConfigurationIn

    strategy = strategy_of(
        canary, tagged=tagged, step=step, max_error_rise=max_error_rise, max_latency=max_latency,
        min_requests=min_requests,
    )  # fmt: skip
    wanted = ProductionConfigurationIn(
        memory=memory,
        cpus=cpus,
        min_pods=min_pods,
        max_pods=max_pods,
        needs_token=needs_token,
        quota_per_second=quota,
        quota_burst=quota_burst,
        autoscaling=policy_of(autoscale, down_window, idle_after),
        rollout=strategy,
    )
    if not wanted.model_dump(exclude_none=True):
        fail("Say what to change.", hint="For example --min-pods 2.", code=ExitCode.USAGE)
    with connected() as client:
        if dry_run:
            before = client.production_deployment(name)
            after = client.configure_production(name, wanted, dry_run=True)
            show_difference(before, after, as_json=as_json)
            return
        client.configure_production(name, wanted)
        seen = client.production_deployment(name)
    _show_detail(seen, as_json=as_json)


def _switch(name: str, *, on: bool, wait: bool, timeout: float, dry_run: bool, as_json: bool) -> None:
    with connected() as client:
        if dry_run:
            before = client.production_deployment(name)
            show_difference(before, client.switch_production(name, on=on, dry_run=True), as_json=as_json)
            return
        client.switch_production(name, on=on)
        seen = _wait(client, name, timeout) if wait else client.production_deployment(name)
    _show_detail(seen, as_json=as_json)
    if wait and seen.status != ("ON" if on else "OFF"):
        raise typer.Exit(ExitCode.FAILED)


@production.command("on")
def switch_on(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ON or Failed.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 600,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Serve again, with the same URL and configuration."""
    _switch(name, on=True, wait=wait, timeout=timeout, dry_run=dry_run, as_json=as_json)


@production.command("off")
def switch_off(
    name: Name,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is OFF.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 600,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Stop serving; URL and configuration are kept."""
    _switch(name, on=False, wait=wait, timeout=timeout, dry_run=dry_run, as_json=as_json)


@production.command("logs")
def logs(
    name: Name,
    build: Annotated[bool, typer.Option("--build", help="The build log instead of the container log.")] = False,
    access: Annotated[bool, typer.Option("--access", help="The endpoint's requests, as the gateway saw them.")] = False,
    pod: Annotated[str | None, typer.Option(help="Of this pod, also a dead one; else of the newest.")] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it is complete.")] = False,
    tail: Annotated[int | None, typer.Option(help="Only the last so many lines.")] = None,
    grep: Annotated[str | None, typer.Option(help="Only lines with this text.")] = None,
    as_json: AsJson = False,
) -> None:
    """Read the container log, the build log or the access log."""
    with connected() as client:

        def read(after: int | None, lines: int | None) -> LogPageOut:
            kind = kind_of_log(build=build, access=access)
            return client.production_logs(name, kind=kind, pod=pod, after=after, tail=lines, contains=grep)

        print_log(read, tail=tail, follow=follow, as_json=as_json)


@production.command("pods")
def list_pods(name: Name, as_json: AsJson = False) -> None:
    """List the pods, living and dead, whose logs are kept; newest first."""
    with connected() as client:
        listed = client.production_pods(name)
    show_table(
        listed.items,
        as_json=as_json,
        columns=[("POD", lambda p: p.id), ("REVISION", lambda p: p.revision), ("PHASE", lambda p: p.phase or "gone")],
        empty="No pod has run yet.",
    )


@production.command("history")
def history(name: Name, as_json: AsJson = False) -> None:
    """List the revisions, newest first: what each serves, who made it, when and why."""
    with connected() as client:
        seen = client.production_deployment(name)
    show_table(
        seen.history,
        as_json=as_json,
        columns=[
            ("REVISION", lambda r: r.number),
            ("STATE", lambda r: r.state),
            ("MODEL", lambda r: f"{r.model}/{r.version}"),
            ("MEMORY", lambda r: r.memory),
            ("CPUS", lambda r: r.cpus),
            ("WHEN", lambda r: f"{r.made_at:%Y-%m-%d %H:%M}"),
            ("WHO", lambda r: r.made_by),
            ("WHY", lambda r: r.why),
        ],
        empty="There are none yet.",
    )


@production.command("rollback")
def roll_back(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the act.")],
    revision: Annotated[
        int | None, typer.Option("--to", help="A revision's number; else the newest that differs.")
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ON or Failed.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 600,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Serve again as an earlier revision did; nothing is copied or built."""
    with connected() as client:
        if dry_run:
            before = client.production_deployment(name)
            after = client.roll_back(name, reason=reason, revision=revision, dry_run=True)
            show_difference(before, after, as_json=as_json)
            return
        client.roll_back(name, reason=reason, revision=revision)
        seen = _wait(client, name, timeout) if wait else client.production_deployment(name)
    _show_detail(seen, as_json=as_json)
    if wait and seen.status != "ON":
        raise typer.Exit(ExitCode.FAILED)


@production.command("verify")
def verify(
    data_dir: DataDir = None,
    settings_file: SettingsFile = None,
    keys: Annotated[Path | None, typer.Option("--keys", help="Directory of public keys that are trusted.")] = None,
) -> None:
    """Check every bundle's signature and every file of production, on this machine, without anything running."""
    from taxiway.app.platform import places_of
    from taxiway.artifacts import bundles
    from taxiway.domain.errors import ArtifactDigestMismatch

    places = places_of(read_settings_of(data_dir, settings_file))
    if not places.bundles.is_dir():
        say("Nothing was promoted yet.")
        return
    wrong = 0
    for key in bundles.bundles_in(places.bundles):
        try:
            found = bundles.verify(places.bundles, key, places.vault, public_keys=keys)
        except ArtifactDigestMismatch as error:
            wrong += 1
            complain(error.message, hint=error.hint)
        else:
            typer.echo(f"{found['deployment']}: {found['model']}, promoted by {found['promoted_by']}: whole")
    if wrong:
        raise typer.Exit(ExitCode.FAILED)


@production.command("delete")
def delete(name: Name, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Delete a production deployment with its endpoint, files and access tokens."""
    if dry_run:
        with connected() as client:
            seen = client.production_deployment(name)
            client.delete_production(name, dry_run=True)
        say(
            f"{name} of {seen.customer}, with its endpoint {seen.url}, {len(seen.history)} revisions, the files of "
            f"{len(seen.promotions)} promotions and its access tokens would be deleted. Nothing was changed."
        )
        return
    confirm(f"Delete {name} from production, with its endpoint and its files?", yes=yes)
    with connected() as client:
        client.delete_production(name)


@token.command("issue")
def issue(
    name: Name,
    caller: Annotated[str, typer.Option("--caller", help="The program or person that will call.")],
    days: Annotated[float, typer.Option(help="How long it lives.")] = 90,
    as_json: AsJson = False,
) -> None:
    """Issue an access token; it is printed this once. Several count at the same time, so one can be replaced."""
    with connected() as client:
        issued = client.issue_production_token(name, caller=caller, days=days)
    if as_json:
        print_json(issued.model_dump(mode="json"))
        return
    say(f"For {issued.caller}, until {issued.expires_at:%Y-%m-%d}; keep it, it is not shown again:")
    typer.echo(issued.token)


@token.command("list")
def list_tokens(name: Name, as_json: AsJson = False) -> None:
    """List access tokens, newest first, also those that no longer count."""
    with connected() as client:
        found = client.production_tokens(name)
    show_table(
        found.items,
        as_json=as_json,
        columns=[
            ("ID", lambda t: t.id),
            ("CALLER", lambda t: t.caller),
            ("EXPIRES", lambda t: t.expires_at.strftime("%Y-%m-%d")),
            ("REVOKED", lambda t: "yes" if t.revoked_at else ""),
        ],
        empty="No tokens yet: `taxiway production token issue NAME --caller till-7`.",
    )


@token.command("revoke")
def revoke(name: Name, key: Annotated[str, typer.Argument(metavar="TOKEN_ID")]) -> None:
    """Make the gateway refuse a token, within two seconds."""
    with connected() as client:
        client.revoke_production_token(name, key)
