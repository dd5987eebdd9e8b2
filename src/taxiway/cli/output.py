"""How the command line shows things: tables, JSON, errors with exit codes."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel
    from rich.console import Console

    from taxiway.client import Client

AsJson = Annotated[bool, typer.Option("--json", help="Print data as JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Project = Annotated[str | None, typer.Option("--project", "-p", help="Project; else TAXIWAY_PROJECT or the profile's.")]


class ExitCode(IntEnum):
    """What the command tells the shell."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    NOT_ALLOWED = 4
    CONFLICT = 5
    TIMED_OUT = 6
    UNREACHABLE = 7


_BY_STATUS = {
    400: ExitCode.USAGE,
    401: ExitCode.NOT_ALLOWED,
    403: ExitCode.NOT_ALLOWED,
    404: ExitCode.NOT_FOUND,
    409: ExitCode.CONFLICT,
    412: ExitCode.CONFLICT,
    502: ExitCode.UNREACHABLE,
    503: ExitCode.UNREACHABLE,
    504: ExitCode.TIMED_OUT,
}
_BY_REASON = {
    "InvalidInput": ExitCode.USAGE,
    "NotFound": ExitCode.NOT_FOUND,
    "NotAllowed": ExitCode.NOT_ALLOWED,
    "NotSignedIn": ExitCode.NOT_ALLOWED,
    "Conflict": ExitCode.CONFLICT,
}


def say(text: str) -> None:
    """Write a line of progress to stderr."""
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


def complain(message: str, *, hint: str | None = None, reason: str = "") -> ExitCode:
    """Write an error to stderr and return its exit code."""
    say(f"Error: {message}" + (f" [{reason}]" if reason and reason != "Internal" else ""))
    if hint:
        say(f"Hint: {hint}")
    return _BY_REASON.get(reason, ExitCode.FAILED)


def fail(message: str, *, hint: str | None = None, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """Write an error and end."""
    complain(message, hint=hint)
    raise typer.Exit(code)


def confirm(question: str, *, yes: bool) -> None:
    """Ask before what cannot be undone, unless it was said already; a no ends with 1."""
    if not yes:
        typer.confirm(question, abort=True, err=True)


@contextmanager
def connected() -> Iterator[Client]:
    """Open a client and turn its errors into exit codes."""
    from taxiway.client import Client

    with answered(), Client() as client:
        yield client


@contextmanager
def answered() -> Iterator[None]:
    """Turn what a client raises into an error with its exit code."""
    import httpx2
    from pydantic import ValidationError

    from taxiway.client import ApiError, ProjectNeeded, Unreachable

    try:
        yield
    except ApiError as error:
        complain(error.message, hint=error.hint, reason=error.reason)
        for pointer, detail in error.fields.items():
            if detail not in error.message:
                say(f"  {pointer}: {detail}")
        raise typer.Exit(_BY_STATUS.get(error.status, ExitCode.FAILED)) from None
    except Unreachable as error:
        fail(str(error), hint="Is it up? `taxiway status` tells.", code=ExitCode.UNREACHABLE)
    except TimeoutError as error:
        fail(str(error), hint="Look again with `taxiway model show`.", code=ExitCode.TIMED_OUT)
    except httpx2.InvalidURL as error:
        fail(f"That is no URL: {error}.", hint="Give it as http://localhost:8080.", code=ExitCode.USAGE)
    except ProjectNeeded:
        hint = "Give --project or set TAXIWAY_PROJECT; `taxiway login --project NAME` keeps one for later."
        fail("Say which project.", hint=hint, code=ExitCode.USAGE)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])
        fail(f"{where or 'The request'}: {wrong['msg']}.", code=ExitCode.USAGE)
    except ValueError as error:
        fail(str(error), code=ExitCode.USAGE)


def console(*, stderr: bool = False) -> Console:
    """Return a console that neither guesses markup nor colours numbers."""
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, markup=False, soft_wrap=True)


def print_json(value: object) -> None:
    """Print data as JSON."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def show(value: BaseModel, *, as_json: bool, fields: Sequence[tuple[str, object]]) -> None:
    """Print one thing: as JSON whole, or as aligned names and values."""
    if as_json:
        print_json(value.model_dump(mode="json"))
        return
    width = max((len(name) for name, _ in fields), default=0)
    for name, content in fields:
        if content not in (None, "", [], {}):
            typer.echo(f"{name:<{width}}  {content}")


def show_table(
    rows: Iterable[Any],
    *,
    as_json: bool,
    columns: Sequence[tuple[str, Callable[[Any], object]]],
    empty: str,
) -> None:
    """Print a list: as JSON whole, or as a table; ``empty`` teaches what to do when there is nothing."""
    from pydantic import BaseModel

    items = list(rows)
    if as_json:
        print_json([row.model_dump(mode="json") if isinstance(row, BaseModel) else row for row in items])
        return
    if not items:
        say(empty)
        return
    cells = [[str(value(row) if value(row) is not None else "") for _, value in columns] for row in items]
    widths = [max(len(title), *(len(row[i]) for row in cells)) for i, (title, _) in enumerate(columns)]
    for line in [[title for title, _ in columns], *cells]:
        typer.echo("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip())
