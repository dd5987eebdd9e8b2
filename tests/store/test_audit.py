"""The audit log: a chain that shows every change, append-only, without secrets, one append at a time."""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.exc import DatabaseError

from taxiway.domain.audit import HIDDEN, AuditEntry, Link, Outcome, next_entry, redacted
from taxiway.domain.ids import ApiTokenId, ProjectName
from taxiway.domain.people import AuthMethod
from taxiway.services.api_tokens import make_text
from taxiway.store import audit
from taxiway.store.database import Database, Transaction
from tests.builders import NOW, a_principal, an_asking

CANARY = "Hunter2-canary"


async def append(tx: Transaction, action: str = "user.create", **changes: object) -> None:
    given = {"at": NOW, "asking": an_asking(), "action": action, "object_kind": "user", "object": "ada"}
    await audit.append(tx, **(given | changes))  # type: ignore[arg-type]


def an_entry(last: Link | None = None, **changes: object) -> AuditEntry:
    given: dict[str, object] = {
        "at": NOW, "asking": an_asking(), "action": "user.create", "object_kind": "user", "object": "ada",
        "project": "fraud", "before": None, "after": {"role": "administrator"}, "reason": "", "outcome": Outcome.DONE,
    }  # fmt: skip
    return next_entry(last or Link(), **(given | changes))  # type: ignore[arg-type]


def a_chain(length: int) -> list[AuditEntry]:
    chain: list[AuditEntry] = []
    last = Link()
    for number in range(length):
        chain.append(an_entry(last, object=f"user{number}", at=NOW + timedelta(seconds=number)))
        last = Link(sequence=chain[-1].sequence, hash=chain[-1].hash)
    return chain


def is_intact(chain: list[AuditEntry]) -> bool:
    last = Link()
    for entry in chain:
        if not last.accepts(entry):
            return False
        last = Link(sequence=entry.sequence, hash=entry.hash)
    return True


async def test_an_entry_says_who_did_what_from_where(database: Database) -> None:
    by_token = a_principal(method=AuthMethod.API_TOKEN, token=ApiTokenId("t1"), session=None)
    async with database.write() as tx:
        await append(
            tx, "user.change", asking=an_asking(by_token), project="fraud", before={"role": "x"}, after={"role": "y"},
            reason="asked for",
        )  # fmt: skip
    async with database.read() as tx:
        (entry,) = await audit.search(tx, audit.AuditFilter(), before=None, limit=10)
    assert (entry.sequence, entry.at, entry.actor, entry.auth_method, entry.token_id) == (
        1, NOW, "ada", "api-token", "t1",
    )  # fmt: skip
    assert (entry.source, entry.request_id) == ("192.0.2.1", "q1")
    assert (entry.action, entry.object_kind, entry.object, entry.project) == ("user.change", "user", "ada", "fraud")
    assert (entry.before, entry.after, entry.reason) == ('{"role":"x"}', '{"role":"y"}', "asked for")
    assert entry.outcome == "done"


async def test_sequences_have_no_gaps_also_after_a_roll_back(database: Database) -> None:
    async with database.write() as tx:
        await append(tx)

    async def append_and_fail() -> None:
        async with database.write() as tx:
            await append(tx)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await append_and_fail()
    async with database.write() as tx:
        await append(tx)
        await append(tx)
    async with database.read() as tx:
        page = await audit.page(tx, after=0, limit=10)
    assert [entry.sequence for entry in page] == [1, 2, 3]
    assert is_intact(list(page))


@pytest.mark.concurrent
async def test_many_at_once_make_one_chain(database: Database) -> None:
    async def one(number: int) -> None:
        async with database.write() as tx:
            await append(tx, object=f"user{number}")

    await asyncio.gather(*(one(number) for number in range(20)))
    async with database.read() as tx:
        page = await audit.page(tx, after=0, limit=100)
    assert [entry.sequence for entry in page] == list(range(1, 21))
    assert {entry.object for entry in page} == {f"user{number}" for number in range(20)}
    assert is_intact(list(page))


@pytest.mark.parametrize("statement", ["UPDATE audit_entries SET actor = 'nobody'", "DELETE FROM audit_entries"])
async def test_the_database_refuses_changes(database: Database, statement: str) -> None:
    async with database.write() as tx:
        await append(tx)
    with pytest.raises(DatabaseError, match="append-only"):
        async with database.write() as tx:
            await tx.execute(text(statement))
    async with database.read() as tx:
        assert [entry.actor for entry in await audit.page(tx, after=0, limit=10)] == ["ada"]


async def test_a_time_that_there_cannot_be_is_still_read(database: Database) -> None:
    async with database.write() as tx:
        await append(tx)
        off = "SET LOCAL session_replication_role = replica"
        await tx.execute(text("DROP TRIGGER audit_entries_no_update" if database.is_sqlite else off))
        await tx.execute(text("UPDATE audit_entries SET at = :at"), {"at": 2**62})
    async with database.read() as tx:
        (entry,) = await audit.page(tx, after=0, limit=10)
    assert not Link().accepts(entry)


async def test_search_narrows_by_every_field(database: Database) -> None:
    async with database.write() as tx:
        await append(tx, "user.create", object="ada")
        await append(tx, "user.delete", object="bob", asking=an_asking(a_principal(name="root")))
        await append(tx, "model.convert", object="m", project="fraud", at=NOW + timedelta(hours=1))
        await append(tx, "user:write", object="x", outcome=Outcome.DENIED, at=NOW + timedelta(hours=2))

    async def found(before: int | None = None, limit: int = 10, **wanted: object) -> list[int]:
        async with database.read() as tx:
            chosen = audit.AuditFilter(**wanted)  # type: ignore[arg-type]
            return [entry.sequence for entry in await audit.search(tx, chosen, before=before, limit=limit)]

    assert await found() == [4, 3, 2, 1]
    assert await found(before=3) == [2, 1]
    assert await found(limit=2) == [4, 3]
    assert await found(actor="root") == [2]
    assert await found(action="user.create") == [1]
    assert await found(project=ProjectName("fraud")) == [3]
    assert await found(object="bob") == [2]
    assert await found(outcome=Outcome.DENIED) == [4]
    assert await found(since=NOW + timedelta(hours=1)) == [4, 3]
    assert await found(until=NOW + timedelta(hours=1)) == [2, 1]
    assert await found(actor="ada", outcome=Outcome.DONE, until=NOW + timedelta(hours=2)) == [3, 1]


# ------------------------------------------------------------------ the chain itself


def test_a_whole_chain_is_accepted() -> None:
    assert is_intact(a_chain(5))


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize("name", [name for name in AuditEntry.__dataclass_fields__])  # noqa: C416
def test_a_change_of_any_field_of_any_entry_is_noticed(name: str, number: int) -> None:
    chain = a_chain(3)
    value = getattr(chain[number], name)
    other = value + 1 if isinstance(value, int) else value + timedelta(microseconds=1) if name == "at" else f"{value}x"
    changed: dict[str, Any] = {name: other}
    chain[number] = replace(chain[number], **changed)
    assert not is_intact(chain)


@pytest.mark.parametrize("gone", range(3))
def test_an_entry_taken_out_is_noticed(gone: int) -> None:
    chain = a_chain(4)
    del chain[gone]
    assert not is_intact(chain)


def test_two_entries_changed_round_are_noticed() -> None:
    chain = a_chain(4)
    chain[1], chain[2] = chain[2], chain[1]
    assert not is_intact(chain)


def test_an_entry_changed_with_a_new_hash_is_noticed_at_the_next() -> None:
    chain = a_chain(3)
    forged = replace(chain[1], actor="nobody")
    chain[1] = replace(forged, hash=hashlib.sha256(json.dumps(forged.hashed()).encode()).hexdigest())
    assert not is_intact(chain)
    properly_forged = an_entry(Link(sequence=1, hash=chain[0].hash), object="forged")
    assert Link(sequence=1, hash=chain[0].hash).accepts(properly_forged)
    assert not is_intact([chain[0], properly_forged, chain[2]])


def test_others_can_verify_an_exported_line() -> None:
    line = json.loads(a_chain(2)[1].export())
    digest = line.pop("hash")
    text_of_line = json.dumps(line, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text_of_line.encode("ascii")).hexdigest() == digest


def test_texts_from_outside_fit_their_columns() -> None:
    wild = "\x00\ud800\n\x1b[31m" + "y" * 300
    entry = an_entry(
        asking=an_asking(source=wild, request_id=wild), object=wild, reason=wild * 9, project=wild, action=wild,
        after={"x": wild, wild: 1},
    )  # fmt: skip
    widths = {"source": 80, "request_id": 80, "object": 120, "project": 40, "action": 60, "reason": 500}
    for name, width in widths.items():
        value = getattr(entry, name)
        assert len(value) == width
        assert value.isprintable()
        assert value.startswith("���")
    assert entry.after.isascii()
    assert entry.after.isprintable()


# ------------------------------------------------------------------ no secrets

telling = st.sampled_from(
    ["password", "Password", "old_password", "secret", "client-secret", "token", "api_key", "apiKey", "Authorization",
     "cookie", "session_id", "credentials", "private", "passphrase", "password_hash", "salt"]
)  # fmt: skip
harmless = st.sampled_from(["name", "role", "memory", "cpus", "x", "", "é"])
plain = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text("aé\0\ud800 ", max_size=8))
secret = st.just(CANARY)


def holders(value: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.one_of(value, st.lists(value, min_size=1, max_size=3), st.dictionaries(harmless, value, min_size=1))


nested = st.recursive(
    st.one_of(plain, st.dictionaries(telling, holders(holders(secret)), min_size=1, max_size=3)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(harmless, inner, max_size=3)),
    max_leaves=4,
)


@given(
    before=st.dictionaries(harmless, nested, max_size=3), after=st.dictionaries(telling, holders(secret), max_size=3)
)
def test_what_stands_under_a_telling_name_is_never_kept(before: dict[str, object], after: dict[str, object]) -> None:
    entry = an_entry(before=before, after=after)
    assert CANARY not in entry.export()
    assert json.loads(entry.after).keys() == after.keys()


@given(
    st.integers(min_value=0, max_value=2**256 - 1), st.text("a/:@._-é\0", max_size=20), st.text(". -a@", max_size=20)
)
def test_tokens_are_never_kept_wherever_they_stand(bits: int, left: str, right: str) -> None:
    token = make_text(bits)
    jwt = f"eyJhbGciOiJFZERTQSJ9.eyJzdWIiOiJ4In0.{token[4:]}"
    # A word character to the left would make it another word.
    mixed = f"{left} {token} {jwt} {right}"
    entry = an_entry(object=mixed, reason=mixed, before={"note": [mixed]}, after={mixed: {"x": mixed}})
    assert token[4:] not in entry.export()


def test_passwords_in_urls_and_hashes_are_hidden() -> None:
    assert redacted({"url": f"postgresql://u:{CANARY}@host/x"}) == {"url": f"postgresql://{HIDDEN}host/x"}
    assert redacted({"x": "$argon2id$v=19$m=65536,t=3,p=4$abc$def"}) == {"x": HIDDEN}


def test_harmless_values_stay() -> None:
    value = {
        "needs_token": True,
        "password": None,
        "cpus": 0.5,
        "n": 3,
        "who": "ada",
        "list": ["a", 1],
        "s": {"b", "a"},
    }
    assert redacted(value) == value | {"s": ["a", "b"]}
