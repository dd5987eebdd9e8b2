"""Telling processes apart, and reading a status without trust."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taxiway.stub import children, identity
from taxiway.stub.status import ChildPhase


def test_a_process_is_more_than_its_pid() -> None:
    pid, ticks, boot = os.getpid(), identity.start_ticks(os.getpid()), identity.boot_id()
    assert ticks is not None
    assert identity.is_same_process(pid, ticks, boot)
    assert not identity.is_same_process(pid, ticks + 1, boot)
    assert not identity.is_same_process(pid, ticks, "another boot")
    assert not identity.is_same_process(1 << 22, ticks, boot)
    assert not identity.is_same_process(0, ticks, boot)


def test_a_lock_has_one_holder_and_ends_with_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    assert not identity.is_locked(path)
    held = identity.take_lock(path)
    assert held is not None
    assert identity.is_locked(path)
    assert identity.take_lock(path) is None
    os.close(held)
    assert not identity.is_locked(path)


def status_file(**changes: object) -> dict[str, object]:
    whole: dict[str, object] = {
        "version": 1,
        "stub": {"pid": os.getpid(), "start_ticks": identity.start_ticks(os.getpid()),
                 "boot_id": identity.boot_id(), "started_at": 1.7e9},
        "nonce": "n", "labels": {"a": "b"}, "phase": "ready",
        "child": {"pid": 7, "start_ticks": 1, "started_at": 1.7e9},
        "reports": [{"phase": "loaded", "seconds": 1.0, "detail": {}}], "trouble": None, "restarts": 2,
        "restart_at": None, "exits": [], "memory_bytes": 5, "memory_peak_bytes": 6, "cpu_seconds": 1.5, "rows": 0,
        "isolation": {"level": "landlock", "not_covered": ["x"]}, "enforcement": {"memory": "cgroup1"},
    }  # fmt: skip
    return whole | changes


def test_a_status_counts_as_alive_only_with_the_lock_held(tmp_path: Path) -> None:
    (tmp_path / "status.json").write_text(json.dumps(status_file()))
    seen = children.status(tmp_path)
    assert seen is not None
    assert not seen.is_alive
    held = identity.take_lock(str(tmp_path / "lock"))
    assert held is not None
    seen = children.status(tmp_path)
    os.close(held)
    assert seen is not None
    assert seen.is_alive
    assert seen.phase is ChildPhase.READY
    assert (seen.child_pid, seen.restarts, seen.labels) == (7, 2, {"a": "b"})


def test_a_pid_that_was_used_again_is_neither_alive_nor_signalled(tmp_path: Path) -> None:
    ticks = identity.start_ticks(os.getpid())
    assert ticks is not None
    stub = {"pid": os.getpid(), "start_ticks": ticks - 1, "boot_id": identity.boot_id(), "started_at": 1.7e9}
    (tmp_path / "status.json").write_text(json.dumps(status_file(stub=stub)))
    held = identity.take_lock(str(tmp_path / "lock"))
    assert held is not None
    seen = children.status(tmp_path)
    # Were this process taken for the stub, these would end the test run.
    assert not children.begin_stop(tmp_path)
    assert not children.kill(tmp_path)
    assert not children.restart(tmp_path)
    os.close(held)
    assert seen is not None
    assert not seen.is_alive


@pytest.mark.parametrize(
    "text", [b"", b"{", b"[]", b"{}", b'{"stub": 1}', b'{"stub": {}}', b'{"stub": {"pid": "1"}}', b"\xff"]
)
def test_a_torn_status_is_none(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "status.json").write_bytes(text)
    assert children.status(tmp_path) is None
    assert not children.begin_stop(tmp_path)


@pytest.mark.parametrize("key", ["phase", "exits", "labels", "child", "isolation"])
def test_a_status_with_nonsense_in_it_is_none(tmp_path: Path, key: str) -> None:
    (tmp_path / "status.json").write_text(json.dumps(status_file(**{key: ["nonsense"]})))
    assert children.status(tmp_path) is None


def test_an_unknown_directory_is_gone_already(tmp_path: Path) -> None:
    children.remove(tmp_path / "missing")
    assert children.status(tmp_path / "missing") is None
