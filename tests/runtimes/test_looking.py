"""Pods' directories are read again when something changed, and only then."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from taxiway.runtimes.process.looking import PodDirectories
from taxiway.stub import children, identity
from taxiway.stub.children import ChildStatus


class Scene:
    """Directories as stubs leave them; this process stands for the stubs."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.reads = 0
        self.pods = PodDirectories(home, read=self.read)
        self._locks: dict[str, int] = {}

    def read(self, directory: Path) -> ChildStatus | None:
        self.reads += 1
        return children.status(directory)

    def write(self, pod: str, *, phase: str = "ready", labels: dict[str, str] | None = None) -> None:
        directory = self.home / pod
        directory.mkdir(parents=True, exist_ok=True)
        made = {"kind": "pod", "pod": pod, "revision": "r1", "socket": "/run/s", "created_at": "2026-03-01T12:00:00"}
        stub = {
            "pid": os.getpid(), "start_ticks": identity.start_ticks(os.getpid()), "boot_id": identity.boot_id(),
            "started_at": 1.0,
        }  # fmt: skip
        status: dict[str, object] = {
            "phase": phase, "nonce": "n", "labels": made if labels is None else labels, "stub": stub, "child": None,
            "isolation": None, "reports": [], "trouble": None, "restarts": 0, "restart_at": None, "exits": [],
            "memory_bytes": 1, "memory_peak_bytes": 1, "cpu_seconds": 0.0, "rows": 0, "enforcement": {},
        }  # fmt: skip
        (directory / "new").write_text(json.dumps(status))
        (directory / "new").replace(directory / "status.json")

    def begin(self, pod: str) -> None:
        self.write(pod)
        lock = identity.take_lock(str(self.home / pod / "lock"))
        assert lock is not None
        self._locks[pod] = lock

    def end(self, pod: str) -> None:
        os.close(self._locks.pop(pod))

    def phases(self) -> dict[str, tuple[str, bool]]:
        return {
            pod.id: (str(pod.status.phase), pod.status.is_alive) for pod in self.pods.look() if pod.status is not None
        }


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "pods")


def test_what_did_not_change_is_read_once(scene: Scene) -> None:
    assert scene.phases() == {}
    scene.begin("p1")
    scene.begin("p2")
    for _ in range(3):
        assert scene.phases() == {"p1": ("ready", True), "p2": ("ready", True)}
    assert scene.reads == 2
    scene.write("p2", phase="unready")
    for _ in range(3):
        assert scene.phases() == {"p1": ("ready", True), "p2": ("unready", True)}
    assert scene.reads == 3


def test_a_stub_that_died_is_seen_although_it_wrote_nothing(scene: Scene) -> None:
    scene.begin("p1")
    assert scene.phases() == {"p1": ("ready", True)}
    scene.end("p1")
    assert scene.phases() == {"p1": ("ready", False)}
    scene.begin("p1")
    assert scene.phases() == {"p1": ("ready", True)}


def test_a_directory_that_is_gone_is_forgotten(scene: Scene) -> None:
    scene.begin("p1")
    assert scene.phases()
    for file in (scene.home / "p1").iterdir():
        file.unlink()
    (scene.home / "p1").rmdir()
    assert scene.phases() == {}


@pytest.mark.parametrize("labels", [{}, {"kind": "engine"}, {"kind": "pod", "pod": "p2"}, {"kind": "pod", "pod": "p1"}])
def test_what_does_not_say_that_it_is_this_pod_is_none(scene: Scene, labels: dict[str, str]) -> None:
    scene.begin("p1")
    scene.write("p1", labels=labels)
    assert scene.pods.look() == []


def test_a_pod_whose_stub_never_wrote_is_seen_by_its_spec(scene: Scene) -> None:
    (scene.home / "p1").mkdir(parents=True)
    labels = {"kind": "pod", "pod": "p1", "revision": "r1", "socket": "/run/s", "created_at": "2026-03-01T12:00:00"}
    (scene.home / "p1" / "spec.json").write_text(json.dumps({"labels": labels}))
    assert [(pod.id, pod.status) for pod in scene.pods.look()] == [("p1", None)]
    (scene.home / "p1" / "spec.json").write_text("torn")
    assert scene.pods.look() == []


def test_what_was_never_begun_or_is_half_deleted_is_left_over(scene: Scene) -> None:
    for pod, names in {"p1": [], "p2": ["home", "log"], "p3": ["config.json", ".spec.json.12ab"]}.items():
        for name in names:
            (scene.home / pod / name).mkdir(parents=True)
        (scene.home / pod).mkdir(parents=True, exist_ok=True)
    assert scene.pods.left_over() == ["p1", "p2", "p3"]


def test_who_runs_or_says_something_or_is_a_stranger_is_not_left_over(scene: Scene) -> None:
    scene.begin("runs")
    scene.write("was")
    scene.begin("locked")
    (scene.home / "locked" / "status.json").unlink()
    for pod, name in (("begun", "spec.json"), ("stranger", "thesis.txt"), ("UPPER", "home")):
        (scene.home / pod).mkdir()
        (scene.home / pod / name).write_text("")
    assert scene.pods.left_over() == []
    scene.end("locked")
    assert scene.pods.left_over() == ["locked"]
