"""The audit log as administrators use it: verify over many pages, export, refusals."""

from __future__ import annotations

import json

import pytest
from sqlalchemy import insert, text

from taxiway.domain.audit import NO_HASH, AuditVerdict, Link, Outcome
from taxiway.services import audit as audit_module
from taxiway.services.audit import AuditLog
from taxiway.store import audit
from taxiway.store.database import Database
from taxiway.store.times import to_microseconds
from tests.builders import an_asking
from tests.fakes import FakeClock
from tests.services.conftest import audited


@pytest.fixture
def log(database: Database, clock: FakeClock, monkeypatch: pytest.MonkeyPatch) -> AuditLog:
    monkeypatch.setattr(audit_module, "PAGE", 3)
    return AuditLog(database=database, now=clock)


async def append(database: Database, count: int, clock: FakeClock) -> None:
    async with database.write() as tx:
        for number in range(count):
            await audit.append(
                tx, at=clock(), asking=an_asking(), action="user.create", object_kind="user", object=f"user{number}",
                after={"role": "administrator"},
            )  # fmt: skip


async def tamper(database: Database, statement: str) -> None:
    """Change rows as somebody could who has the database's file or password: past the triggers."""
    async with database.write() as tx:
        if database.is_sqlite:
            for verb in ("update", "delete"):
                await tx.execute(text(f"DROP TRIGGER IF EXISTS audit_entries_no_{verb}"))
        else:
            await tx.execute(text("SET LOCAL session_replication_role = replica"))
        await tx.execute(text(statement))


async def test_an_empty_log_is_intact(log: AuditLog) -> None:
    assert await log.verify() == AuditVerdict(is_intact=True, entries=0, head=NO_HASH)


@pytest.mark.parametrize("count", [1, 3, 4, 7])
async def test_a_whole_log_is_intact(log: AuditLog, database: Database, clock: FakeClock, count: int) -> None:
    await append(database, count, clock)
    assert await log.verify() == AuditVerdict(is_intact=True, entries=count, head=(await audited(database))[-1].hash)


COLUMNS = [
    "at = at + 1", "actor = 'root'", "auth_method = 'none'", "token_id = 'x'", "source = ''", "request_id = 'x'",
    "action = 'user.delete'", "object_kind = 'project'", "object = 'user9'", "project = 'x'", "before = '{}'",
    "after = ''", "reason = 'x'", "outcome = 'denied'", "previous_hash = ''", "hash = ''", "at = 4611686018427387904",
    "sequence = 55",
]  # fmt: skip


async def test_a_change_of_any_column_is_found(log: AuditLog, database: Database, clock: FakeClock) -> None:
    await append(database, 5, clock)
    third, fourth = (await audited(database))[2:4]
    for change in COLUMNS:
        await tamper(database, f"UPDATE audit_entries SET {change} WHERE sequence = 4")  # noqa: S608
        verdict = await log.verify()
        assert (verdict.is_intact, verdict.entries, verdict.head) == (False, 3, third.hash), change
        assert verdict.broken_at == (5 if "sequence" in change else 4)
        await tamper(database, "DELETE FROM audit_entries WHERE sequence IN (4, 55)")
        async with database.write() as tx:
            row = {column.name: getattr(fourth, column.name) for column in audit.T.c}
            await tx.execute(insert(audit.T).values(row | {"at": to_microseconds(fourth.at)}))
    assert (await log.verify()).is_intact


async def test_an_entry_taken_out_is_found(log: AuditLog, database: Database, clock: FakeClock) -> None:
    await append(database, 5, clock)
    await tamper(database, "DELETE FROM audit_entries WHERE sequence = 2")
    verdict = await log.verify()
    assert (verdict.is_intact, verdict.entries, verdict.broken_at) == (False, 1, 3)


async def test_the_newest_taken_off_show_by_the_head(log: AuditLog, database: Database, clock: FakeClock) -> None:
    await append(database, 5, clock)
    before = await log.verify()
    await tamper(database, "DELETE FROM audit_entries WHERE sequence = 5")
    after = await log.verify()
    assert after.is_intact
    assert (after.entries, after.head) != (before.entries, before.head)


async def test_the_export_is_the_whole_log_and_can_be_verified(
    log: AuditLog, database: Database, clock: FakeClock
) -> None:
    await append(database, 7, clock)
    lines = [line async for line in log.export()]
    assert all(line.endswith("\n") for line in lines)
    assert [json.loads(line)["object"] for line in lines] == [f"user{number}" for number in range(7)]
    last = Link()
    for line, entry in zip(lines, await audited(database), strict=True):
        assert line == f"{entry.export()}\n"
        assert last.accepts(entry)
        last = Link(sequence=entry.sequence, hash=entry.hash)


async def test_a_refusal_is_one_entry(log: AuditLog, database: Database) -> None:
    await log.deny(
        an_asking(), action="user:write", object_kind="platform", object="POST /api/v1/users", reason="NotAllowed",
        source="198.51.100.1", request_id="other",
    )  # fmt: skip
    (entry,) = await audited(database)
    assert (entry.actor, entry.outcome, entry.reason, entry.action) == ("ada", "denied", "NotAllowed", "user:write")
    assert (entry.source, entry.request_id) == ("192.0.2.1", "q1")


async def test_a_refusal_to_somebody_unknown_says_from_where(log: AuditLog, database: Database) -> None:
    await log.deny(
        None, action="session.begin", object_kind="user", object="ada", reason="NotSignedIn", source="198.51.100.1",
        request_id="q2",
    )  # fmt: skip
    (entry,) = await log.search(outcome=Outcome.DENIED, limit=10)
    assert (entry.actor, entry.auth_method, entry.source, entry.request_id, entry.object) == (
        "anonymous", "none", "198.51.100.1", "q2", "ada",
    )  # fmt: skip
    assert (await log.verify()).is_intact


async def test_search_pages_backwards(log: AuditLog, database: Database, clock: FakeClock) -> None:
    await append(database, 3, clock)
    assert [entry.sequence for entry in await log.search(limit=2)] == [3, 2]
    assert [entry.sequence for entry in await log.search(before=2, limit=2)] == [1]
    assert await log.search(actor="nobody", limit=2) == []
