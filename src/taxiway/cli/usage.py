"""``taxiway production usage|served``: what customers used, and what served them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import typer

from taxiway.cli.output import AsJson, connected, show_table

Day = ["%Y-%m-%d"]


def usage(
    since: Annotated[
        datetime | None, typer.Option(help="First day (UTC); the first of this month.", formats=Day)
    ] = None,
    until: Annotated[datetime | None, typer.Option(help="Last day (UTC); today.", formats=Day)] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what customers used: requests, rows, errors, CPU and pod hours, and what that costs."""
    with connected() as client:
        found = client.usage(
            since=None if since is None else since.date(), until=None if until is None else until.date(),
            customer=customer,
        )  # fmt: skip
    show_table(
        found.items,
        as_json=as_json,
        columns=[
            ("DEPLOYMENT", lambda u: u.deployment),
            ("CUSTOMER", lambda u: u.customer),
            ("REQUESTS", lambda u: u.requests),
            ("ROWS", lambda u: u.rows),
            ("4XX", lambda u: u.client_errors),
            ("5XX", lambda u: u.server_errors),
            ("CPU-HOURS", lambda u: f"{u.cpu_hours:.2f}"),
            ("POD-HOURS", lambda u: f"{u.pod_hours:.2f}"),
            ("COST", lambda u: f"{u.cost:.2f}"),
        ],
        empty="Nothing was used on these days.",
    )


def served(
    at: Annotated[
        datetime | None,
        typer.Option(
            help="A moment in your time zone; now.", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"]
        ),
    ] = None,
    customer: Annotated[str | None, typer.Option(help="Only this customer's.")] = None,
    as_json: AsJson = False,
) -> None:
    """Tell what served a customer at a moment, and who put it there."""
    with connected() as client:
        found = client.served(at=None if at is None else at.astimezone(), customer=customer)
    show_table(
        found.items,
        as_json=as_json,
        columns=[
            ("DEPLOYMENT", lambda s: s.deployment),
            ("CUSTOMER", lambda s: s.customer),
            ("REVISION", lambda s: s.revision),
            ("MODEL", lambda s: f"{s.project}/{s.model}/{s.version}"),
            ("FILES", lambda s: s.digest[:12]),
            ("PROMOTED", lambda s: f"{s.promoted_at:%Y-%m-%d %H:%M}" if s.promoted_at else ""),
            ("BY", lambda s: s.promoted_by),
            ("REASON", lambda s: s.reason),
        ],
        empty="Nothing served at that moment.",
    )
