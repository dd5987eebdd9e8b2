"""``taxiway production requests|approve|reject|withdraw``: promotions that another administrator has to approve."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from taxiway.cli.output import AsJson, connected, print_json, say, show_table

if TYPE_CHECKING:
    from taxiway.wire.production import ApprovalOut

Key = Annotated[str, typer.Argument(metavar="ID", help="As `taxiway production requests` shows it.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the act.")]


def add_to(production: typer.Typer) -> None:
    """Add the commands of this file."""
    production.command("requests")(requests)
    production.command("approve")(approve)
    production.command("reject")(reject)
    production.command("withdraw")(withdraw)


def requests(as_json: AsJson = False) -> None:
    """List the promotions that wait for another administrator, then what was decided last."""
    with connected() as client:
        found = client.approvals()
    show_table(
        found.items,
        as_json=as_json,
        columns=[
            ("ID", lambda r: r.id),
            ("DECISION", lambda r: r.decision),
            ("TO", lambda r: r.name),
            ("MODEL", lambda r: f"{r.project}/{r.model}/{r.version}"),
            ("ASKED BY", lambda r: r.asked_by),
            ("WHEN", lambda r: f"{r.asked_at:%Y-%m-%d %H:%M}"),
            ("WHY", lambda r: r.reason),
            ("DECIDED BY", lambda r: r.decided_by),
        ],
        empty="No promotion was asked for that needs another administrator.",
    )


def approve(key: Key, as_json: AsJson = False) -> None:
    """Approve a promotion that somebody else asked for: all gates are looked at again, and it is done."""
    _decide(key, "approved", "", as_json=as_json)


def reject(key: Key, reason: Reason, as_json: AsJson = False) -> None:
    """Reject a promotion that somebody else asked for."""
    _decide(key, "rejected", reason, as_json=as_json)


def withdraw(key: Key, as_json: AsJson = False) -> None:
    """Take back a promotion that you asked for."""
    _decide(key, "withdrawn", "", as_json=as_json)


def _decide(key: str, decision: str, reason: str, *, as_json: bool) -> None:
    with connected() as client:
        found: ApprovalOut = client.decide(key, decision, reason=reason)
    if as_json:
        print_json(found.model_dump(mode="json"))
        return
    say(f"{found.model}/{found.version} to {found.name}, asked for by {found.asked_by}: {found.decision}.")
