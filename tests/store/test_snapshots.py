"""Snapshot copies: one row a model version, shared files counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy.exc import NoResultFound

from taxiway.domain.ids import ModelVersionId, SnapshotId
from taxiway.domain.models import Environment
from taxiway.domain.snapshots import SnapshotState, SnapshotWanted
from taxiway.store import snapshots
from taxiway.store.database import Database
from tests.builders import DIGEST, NOW, PROJECT, a_failure, a_ref, a_snapshot, a_stored_snapshot

KEY = ModelVersionId("v1")

STAGING = Environment.STAGING


async def test_a_copy_is_remembered_and_what_was_seen_of_it(database: Database) -> None:
    async with database.write() as tx:
        await snapshots.insert_copy(tx, a_snapshot(), project=PROJECT, source=a_ref())
        assert await snapshots.get(tx, KEY) == a_snapshot()
        seen = replace(
            a_snapshot(), state=SnapshotState.FAILED, began_at=NOW, bytes_done=3, bytes_total=2**40, failure=a_failure()
        )
        await snapshots.record(tx, seen)
        assert await snapshots.get(tx, KEY) == seen
        await snapshots.want_drop(tx, KEY)
        await snapshots.record(tx, a_stored_snapshot())
        assert await snapshots.get(tx, KEY) == a_stored_snapshot(wanted=SnapshotWanted.DROP)
        await snapshots.forget(tx, KEY)
        with pytest.raises(NoResultFound):
            await snapshots.get(tx, KEY)


async def test_equal_files_are_counted_for_all_who_share_them(database: Database) -> None:
    async with database.write() as tx:
        for number in range(3):
            copy = a_stored_snapshot(model_version=ModelVersionId(f"v{number}"))
            await snapshots.insert_copy(tx, copy, project=PROJECT, source=a_ref())
        waiting = a_snapshot(model_version=ModelVersionId("v3"))
        await snapshots.insert_copy(tx, waiting, project=PROJECT, source=a_ref())
        assert await snapshots.users_of(tx, DIGEST, STAGING) == 3
        assert await snapshots.users_of(tx, SnapshotId("00" * 32), STAGING) == 0
        assert await snapshots.digests(tx, STAGING) == [DIGEST]
        await snapshots.forget(tx, ModelVersionId("v0"))
        assert await snapshots.users_of(tx, DIGEST, STAGING) == 2
