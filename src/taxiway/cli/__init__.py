"""The ``taxiway`` command. Data goes to stdout, progress and errors to stderr; ``--json`` gives data to programs.

Exit codes: 0 done, 1 failed (the reason is printed), 2 usage, 3 not found, 4 not allowed, 5 conflict, 6 timed out,
7 unreachable. Only light imports here: ``taxiway --help`` must be quick.
"""

from __future__ import annotations

import sys

import typer

from taxiway.cli import audit, models, people, platform, production, tracking
from taxiway.domain.errors import TaxiwayError

application = typer.Typer(
    name="taxiway",
    help="Take a model from the MLflow run that made it to production traffic.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
platform.add_to(application)
people.add_to(application)
tracking.add_to(application)
models.add_to(application)
production.add_to(application)
audit.add_to(application)


def main() -> None:
    """Run the command; every expected error becomes one line, a hint, and an exit code."""
    try:
        application()
    except TaxiwayError as error:
        from taxiway.cli.output import complain

        sys.exit(complain(error.message, hint=error.hint, reason=error.reason))
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(0)
