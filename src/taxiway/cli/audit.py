"""``taxiway audit``: who did what; for administrators."""

from __future__ import annotations

import os
import sys
from contextlib import nullcontext
from itertools import chain
from pathlib import Path
from typing import Annotated, BinaryIO

import typer

from taxiway.cli.output import AsJson, connected, fail, print_json, say, show_table

audit = typer.Typer(help="The audit log (administrators only).", no_args_is_help=True)


def add_to(application: typer.Typer) -> None:
    """Add the commands of this file."""
    application.add_typer(audit, name="audit")


@audit.command("list")
def list_audit(
    actor: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help="Only this action, for example model.convert.")] = None,
    of: Annotated[
        str | None, typer.Option("--object", help="Only of this, for example production/payments-acme.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List audit entries, newest first."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "audit", actor=actor, action=action, object=of, limit=limit))
    show_table(
        answer["items"],
        as_json=as_json,
        columns=[
            ("SEQ", lambda e: e["sequence"]),
            ("TIME", lambda e: e["at"][:19].replace("T", " ")),
            ("WHO", lambda e: e["actor"]),
            ("ACTION", lambda e: e["action"]),
            ("OBJECT", lambda e: e["object"]),
            ("OUTCOME", lambda e: e["outcome"]),
        ],
        empty="Nothing found.",
    )
    if answer["next_cursor"] and not as_json:
        say("There are more; ask for more with --limit.")


@audit.command("verify")
def verify_audit(as_json: AsJson = False) -> None:
    """Check that no entry of the audit log was changed, added or removed."""
    from taxiway.client import calls

    with connected() as client:
        answer = client.send(calls.plain("GET", "audit", "verify"))
    if as_json:
        print_json(answer)
    if not answer["is_intact"]:
        fail(f"The chain is broken at entry {answer['broken_at']}.", hint="Compare with a backup of the database.")
    if not as_json:
        say(f"{answer['entries']} entries are intact; the last hash is {answer['head']}.")


@audit.command("export")
def export_audit(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="New file for it; else standard output.")
    ] = None,
) -> None:
    """Write the whole audit log as JSON lines, oldest first."""
    from taxiway.client import calls

    with connected() as client:
        chunks = client.stream(calls.plain("GET", "audit", "export"))
        first = next(chunks, b"")  # whoever may not read it leaves no file behind
        with nullcontext(sys.stdout.buffer) if output is None else _new_file(output) as file:
            for chunk in chain((first,), chunks):
                file.write(chunk)
    if output is not None:
        say(f"The audit log is in {output}.")


def _new_file(path: Path) -> BinaryIO:
    """Open a file that was not there and that nobody else can read."""
    try:
        return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb")
    except OSError as error:
        fail(f"{path} cannot be written: {error.strerror}.", hint="Name a file that is not there yet.")
