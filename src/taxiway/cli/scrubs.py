"""``taxiway production scrub``: read every kept snapshot again, and see what the last scrub found."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import AsJson, ExitCode, complain, connected, print_json, say, show

if TYPE_CHECKING:
    from taxiway.client import Client
    from taxiway.wire.scrubs import ScrubOut


def add_to(production: typer.Typer) -> None:
    """Add the command of this file."""
    production.command("scrub")(scrub)


def scrub(
    run: Annotated[bool, typer.Option("--run", help="Run one now; else only show the last.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the end of the one that runs.")] = True,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds to wait.")] = 3600,
    as_json: AsJson = False,
) -> None:
    """Show what the last scrub found, or run one: it reads every file of every kept snapshot again."""
    with connected() as client:
        asked = client.run_scrub() if run else None
        seen = _wait(client, asked.id, timeout) if asked is not None and wait else _newest(client)
    if seen is None:
        say("There was no scrub yet: `taxiway production scrub --run`.")
        return
    _show(seen, as_json=as_json)
    if seen.trouble or any(not damage.is_mended for damage in seen.damages):
        raise typer.Exit(ExitCode.FAILED)


def _newest(client: Client) -> ScrubOut | None:
    items = client.scrubs(limit=1).items
    return items[0] if items else None


def _wait(client: Client, key: str, timeout: float) -> ScrubOut:
    """Wait until a scrub has ended, also while the control plane is away: the next one goes on. Raises TimeoutError."""
    from taxiway.client import ApiError, Unreachable
    from taxiway.client.connection import is_passing

    deadline, told, seen = time.monotonic() + timeout, -1, None
    while True:
        try:
            seen = next((each for each in client.scrubs(limit=100).items if each.id == key), None)
        except (ApiError, Unreachable) as error:
            if not is_passing(error):
                raise
        if seen is not None and seen.ended_at is not None:
            return seen
        if seen is not None and seen.snapshots != told:
            told = seen.snapshots
            say(f"{told} snapshots, {seen.bytes_read / 1e6:.1f} MB read")
        if time.monotonic() > deadline:
            raise TimeoutError(f"The scrub has not ended after {timeout:g} s; it goes on.")
        time.sleep(0.5)


def _show(seen: ScrubOut, *, as_json: bool) -> None:
    if as_json:
        print_json(seen.model_dump(mode="json"))
        return
    ended = f"{seen.ended_at:%Y-%m-%d %H:%M}" if seen.ended_at is not None else "it runs"
    show(
        seen,
        as_json=False,
        fields=[
            ("asked for", f"{seen.asked_at:%Y-%m-%d %H:%M} by {seen.asked_by}"),
            ("ended", ended),
            ("snapshots", seen.snapshots),
            ("read", f"{seen.bytes_read / 1e6:.1f} MB"),
            ("damages", sum(not damage.is_mended for damage in seen.damages)),
            ("made whole again", sum(damage.is_mended for damage in seen.damages)),
        ],
    )
    for damage in seen.damages:
        text = f"{damage.environment} {damage.snapshot[:12]} ({damage.place}): {damage.message}"
        if damage.is_mended:
            say(f"Made whole again: {text}")
        else:
            complain(text, hint="See docs/howto/production-store-on-s3.md: what to do about damage.")
    if seen.trouble:
        complain(f"Not everything could be read: {seen.trouble}")
