"""Password hashes: argon2id, two at a time, stronger when the parameters are."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import argon2
import pytest

from taxiway.services.passwords import AT_ONCE, PasswordHasher
from tests.services.conftest import CHEAP


def test_the_parameters_are_those_of_rfc_9106_for_little_memory() -> None:
    hasher = argon2.PasswordHasher()
    assert (hasher.type, hasher.memory_cost, hasher.time_cost, hasher.parallelism) == (argon2.Type.ID, 64 << 10, 3, 4)
    made = PasswordHasher()._hasher
    assert (made.type, made.memory_cost, made.time_cost, made.parallelism) == (argon2.Type.ID, 64 << 10, 3, 4)


async def test_only_the_password_itself_is_right(hasher: PasswordHasher) -> None:
    kept = await hasher.hash("correct horse")
    assert kept.startswith("$argon2id$")
    assert "correct" not in kept
    assert kept != await hasher.hash("correct horse")
    assert await hasher.check(kept, "correct horse")
    for wrong in ("Correct horse", "correct horse ", "", "\0", "\ud800"):
        assert not await hasher.check(kept, wrong)


async def test_without_a_hash_nothing_is_right_and_a_hash_is_computed_all_the_same() -> None:
    class Counting(PasswordHasher):
        computed = 0

        async def hash(self, password: str) -> str:
            self.computed += 1
            return await super().hash(password)

    hasher = Counting(CHEAP)
    assert not await hasher.check(None, "x")
    assert hasher.computed == 1


@pytest.mark.parametrize("kept", ["", "nonsense", "$argon2id$v=19$broken", "$2b$12$" + "a" * 53])
async def test_a_damaged_hash_fits_no_password(hasher: PasswordHasher, kept: str) -> None:
    assert not await hasher.check(kept, "x")


async def test_the_same_characters_composed_in_another_way_are_the_same(hasher: PasswordHasher) -> None:
    assert await hasher.check(await hasher.hash("caf\u00e9"), "cafe\u0301")


async def test_a_hash_by_other_parameters_is_outdated(hasher: PasswordHasher) -> None:
    kept = await hasher.hash("x")
    assert not hasher.is_outdated(kept)
    assert PasswordHasher(replace(CHEAP, time_cost=2)).is_outdated(kept)


async def test_two_are_computed_at_a_time(hasher: PasswordHasher) -> None:
    class Slow:
        def __init__(self) -> None:
            self.lock, self.running, self.most = threading.Lock(), 0, 0

        def hash(self, _password: bytes) -> str:
            with self.lock:
                self.running += 1
                self.most = max(self.most, self.running)
            time.sleep(0.01)
            with self.lock:
                self.running -= 1
            return ""

    slow = Slow()
    hasher._hasher = slow  # type: ignore[assignment]
    await asyncio.gather(*(hasher.hash("x") for _ in range(8)))
    assert slow.most == AT_ONCE == 2
