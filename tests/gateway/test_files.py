"""Files: moved into place whole, private, and not touched when there is nothing new."""

from __future__ import annotations

import os
import stat
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.errors import NotFound, OutOfDisk
from taxiway.gateway import envoy_child, find_envoy, write_bootstrap
from taxiway.gateway.delivery import clear_strays, deliver
from taxiway.stub.children import ReadyWhen, Restart


def prepare(home: Path, **changes: object) -> None:
    given: dict[str, object] = {
        "host": "127.0.0.1", "port": 8080, "metrics_port": 8081, "admin_socket": Path("/r/e.sock"),
        "control_socket": Path("/r/c.sock"), "activator_socket": Path("/r/v.sock"), "public_keys": {"k": bytes(32)},
    }  # fmt: skip
    write_bootstrap(home, **(given | changes))  # type: ignore[arg-type]


def states(home: Path) -> dict[str, tuple[int, int]]:
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in home.iterdir()}


def test_a_file_is_written_once_privately_and_again_when_asked(tmp_path: Path) -> None:
    path = tmp_path / "new" / "routes.json"
    assert deliver(path, b"1")
    first = path.stat()
    assert stat.S_IMODE(first.st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert not deliver(path, b"1")
    assert path.stat().st_ino == first.st_ino
    assert deliver(path, b"1", again=True)
    assert path.stat().st_ino != first.st_ino
    assert deliver(path, b"2")
    assert path.read_bytes() == b"2"
    assert [entry.name for entry in path.parent.iterdir()] == ["routes.json"]


def test_a_file_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "target" / "full").touch()
    with pytest.raises((OutOfDisk, IsADirectoryError)):
        deliver(tmp_path / "target", b"1")
    (tmp_path / "file").touch()
    with pytest.raises((OutOfDisk, NotADirectoryError)):
        deliver(tmp_path / "file" / "x", b"1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "target"]


def test_what_a_crash_left_is_cleared_and_files_stay(tmp_path: Path) -> None:
    for name in (".routes.json.0123abcd", "routes.json", ".hidden"):
        (tmp_path / name).touch()
    clear_strays(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == [".hidden", "routes.json"]


def test_a_start_writes_all_files_and_the_next_one_none(tmp_path: Path) -> None:
    home = tmp_path / "gateway"
    prepare(home)
    first = states(home)
    assert set(first) == {"bootstrap.json", "clusters.json", "listeners.json", "metrics-routes.json", "routes.json"}
    prepare(home)
    assert states(home) == first


def test_a_start_leaves_the_routes_that_were_in_force(tmp_path: Path) -> None:
    prepare(tmp_path)
    (tmp_path / "routes.json").write_text("old routes")
    prepare(tmp_path, port=9090)
    assert (tmp_path / "routes.json").read_text() == "old routes"
    assert "9090" in (tmp_path / "listeners.json").read_text()


def test_only_a_changed_bootstrap_makes_another_child(tmp_path: Path) -> None:
    prepare(tmp_path)
    child = envoy_child(tmp_path, admin_socket=Path("/r/e.sock"))
    prepare(tmp_path, port=9090, public_keys={"other": bytes(32)})
    assert envoy_child(tmp_path, admin_socket=Path("/r/e.sock")) == child
    prepare(tmp_path, control_socket=Path("/r/other.sock"))
    assert envoy_child(tmp_path, admin_socket=Path("/r/e.sock")) != child


def test_envoy_is_started_again_whatever_happens_and_soon(tmp_path: Path) -> None:
    prepare(tmp_path)
    child = envoy_child(tmp_path, admin_socket=Path("/r/e.sock"))
    assert child.restart is Restart.ALWAYS
    assert child.backoff.initial <= timedelta(milliseconds=100)
    assert child.backoff.maximum <= timedelta(milliseconds=500)
    assert child.ready_when is ReadyWhen.PROBED
    assert child.probe is not None
    assert child.probe.socket == Path("/r/e.sock")
    assert set(child.env) == {"PATH", "LC_ALL"}
    assert not [word for word in child.argv if "secret" in word.lower()]


def test_envoy_is_found_in_its_wheel() -> None:
    found = find_envoy()
    assert found.is_absolute()
    assert os.access(found, os.X_OK)


def test_where_envoy_is_missing_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxiway.gateway.start._WHEEL", "no-such-wheel-anywhere")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotFound) as caught:
        find_envoy()
    assert caught.value.hint
