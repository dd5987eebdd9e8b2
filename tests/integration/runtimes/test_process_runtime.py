"""ProcessRuntime and the logs it leaves, with real stubs and a small scoring server."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.errors import IsolationUnavailable
from taxiway.domain.ids import DeploymentId, EnvironmentId, ModelName, ProjectName, RevisionId, SnapshotId
from taxiway.domain.logs import LogKind, LogName
from taxiway.domain.pods import PodObservation, PodPhase
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import RevisionSpec, ScoringOptions
from taxiway.monitoring.logs import FileLogStore, LogPlaces, open_build_log
from taxiway.runtimes.process import PodHome, ProcessRuntime
from taxiway.stub import children, levels
from taxiway.stub.children import Level
from tests.integration.runtimes.programs import SERVER, come_true, kill_stub, runs, seen, short_directory

pytestmark = pytest.mark.integration


def a_spec(revision: str = "r1", **changes: object) -> RevisionSpec:
    values: dict[str, object] = {
        "id": RevisionId(revision), "deployment": DeploymentId("d"), "project": ProjectName("p"),
        "model": ModelName("m"), "version": 1, "snapshot": SnapshotId("s"), "environment": EnvironmentId("e"),
        "resources": Resources(memory_bytes=128 << 20, cpus=1),
    }  # fmt: skip
    return RevisionSpec(**(values | changes))  # type: ignore[arg-type]


class Machine:
    """A data directory with one environment and one snapshot, and runtimes over it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = PodHome(
            pods=root / "pods", sockets=root / "p", dead_logs=root / "logs" / "pods", scoring=root / "scoring"
        )
        self.logs = FileLogStore(
            LogPlaces(pods=self.home.pods, dead_pods=self.home.dead_logs, builds=root / "logs" / "builds")
        )
        (root / "snapshot").mkdir()
        (root / "scoring").mkdir()
        self.serve(SERVER)
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "e")], check=True)
        self.runtimes: list[ProcessRuntime] = []

    def serve(self, code: str) -> None:
        """Have pods that start from now on run this."""
        (self.root / "scoring" / "__main__.py").write_text(code)

    def runtime(self, **options: object) -> ProcessRuntime:
        made = ProcessRuntime(
            self.home,
            locate_snapshot=lambda _: self.root / "snapshot",
            locate_environment=lambda _: self.root / "e",
            locate_proof=self._locate_proof,
            **options,  # type: ignore[arg-type]
        )
        self.runtimes.append(made)
        return made

    def _locate_proof(self, _spec: RevisionSpec) -> Path:
        (self.root / "proofs").mkdir(exist_ok=True)
        return self.root / "proofs" / "proof.json"


@pytest.fixture
async def machine() -> AsyncIterator[Machine]:
    with short_directory() as root:
        made = Machine(root)
        yield made
        for runtime in made.runtimes:
            await runtime.close()


async def until(
    runtime: ProcessRuntime, holds: Callable[[list[PodObservation]], object], *, seconds: float = 10
) -> list[PodObservation]:
    async with asyncio.timeout(seconds):
        while True:
            pods = list(await runtime.observe())
            if holds(pods):
                return pods
            await asyncio.sleep(0.03)


def all_ready(count: int) -> Callable[[list[PodObservation]], bool]:
    return lambda pods: len(pods) == count and all(pod.phase is PodPhase.READY for pod in pods)


def ask(address: str, path: str = "/health") -> bytes:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(address.removeprefix("unix:"))
        peer.sendall(f"GET {path} HTTP/1.1\r\n\r\n".encode())
        answer = b""
        while part := peer.recv(65536):
            answer += part
    return answer


async def test_a_revision_gets_its_pods_and_they_answer(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=2)
    await runtime.apply(a_spec(), scale=2)
    pods = await until(runtime, all_ready(2))
    for pod in pods:
        body = json.loads(ask(pod.address).split(b"\r\n\r\n", 1)[1])
        assert body["env"]["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert [phase.name for phase in pod.phases] == ["verified", "loaded", "example", "ready"]
        assert pod.isolation is not None
        assert pod.isolation.value == levels.choose_level(None, levels.survey()).value
        assert len(os.fsencode(pod.address)) < 107
    assert len({pod.address for pod in pods}) == 2


async def test_scale_goes_up_and_down_by_draining(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (first,) = await until(runtime, all_ready(1))
    await runtime.apply(a_spec(), scale=3)
    await until(runtime, all_ready(3))
    await runtime.apply(a_spec(), scale=1)
    (kept,) = await until(runtime, all_ready(1))
    assert kept.id == first.id


async def test_pods_outlive_the_runtime_and_are_adopted(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=2)
    before = {pod.id: seen(machine.home.pods / pod.id).child_pid for pod in await until(runtime, all_ready(2))}
    await runtime.close()
    again = machine.runtime()
    assert {pod.id for pod in await again.observe()} == set(before)
    await again.apply(a_spec(), scale=2)
    await until(again, all_ready(2))
    assert {pod: seen(machine.home.pods / pod).child_pid for pod in before} == before


async def test_a_dead_scoring_server_comes_back_without_any_runtime(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, all_ready(1))
    child = seen(machine.home.pods / pod.id).child_pid
    await runtime.close()
    assert child is not None
    os.kill(child, signal.SIGKILL)
    await come_true(lambda: not runs(child))
    with pytest.raises(ConnectionRefusedError):
        ask(pod.address)

    def is_back() -> bool:
        # The last word of the old child stands in the status until the stub has noticed that it is gone.
        now = seen(machine.home.pods / pod.id)
        return now.phase == "ready" and now.child_pid != child

    await come_true(is_back, seconds=5)
    assert ask(pod.address).startswith(b"HTTP/1.1 200")


async def test_a_pod_whose_stub_was_killed_is_kept_again(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, all_ready(1))
    child = seen(machine.home.pods / pod.id).child_pid
    kill_stub(machine.home.pods / pod.id)
    await come_true(lambda: not runs(child))
    await until(runtime, lambda pods: not all_ready(1)(pods) or pods[0].restarts > 0)
    (again,) = await until(runtime, all_ready(1))
    assert again.id == pod.id
    assert again.restarts == 1


async def test_after_a_reboot_pods_come_back_once_they_are_wanted(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, all_ready(1))
    await runtime.close()
    directory = machine.home.pods / pod.id
    kill_stub(directory)
    # Another boot, in which the stub's pid belongs to somebody else: to this very process.
    status = json.loads((directory / "status.json").read_text())
    status["stub"] |= {"boot_id": "before", "pid": os.getpid()}
    (directory / "status.json").write_text(json.dumps(status))
    again = machine.runtime()
    (gone,) = await again.observe()
    assert gone.phase is PodPhase.UNREADY
    assert gone.failure is not None
    await again.apply(a_spec(), scale=1)
    await until(again, all_ready(1))
    assert seen(directory).exits[-1].trouble.reason == "HostRestarted"


async def test_removal_leaves_nothing_but_the_log(machine: Machine) -> None:
    runtime = machine.runtime()
    await runtime.remove(RevisionId("unknown"), grace=timedelta(seconds=1))
    await runtime.apply(a_spec(), scale=1)
    await runtime.apply(a_spec("other"), scale=1)
    pods = await until(runtime, all_ready(2))
    (pod,) = [pod for pod in pods if pod.revision == "r1"]
    status = seen(machine.home.pods / pod.id)
    await runtime.remove(RevisionId("r1"), grace=timedelta(seconds=5))
    (left,) = await until(runtime, all_ready(1))
    assert left.revision == "other"
    assert not runs(status.stub_pid)
    assert not runs(status.child_pid)
    assert not (machine.home.pods / pod.id).exists()
    assert not (machine.home.sockets / pod.id).exists()
    assert await machine.logs.pods_of(RevisionId("r1")) == [pod.id]
    page = await machine.logs.read(LogName(kind=LogKind.POD, id=pod.id))
    assert "serving" in [line.text for line in page.lines]
    assert page.is_complete
    await machine.logs.forget(LogName(kind=LogKind.POD, id=pod.id))
    assert await machine.logs.pods_of(RevisionId("r1")) == []


async def test_what_does_not_drain_is_killed_after_the_grace(machine: Machine) -> None:
    machine.serve(SERVER.replace("signal.signal(signal.SIGTERM, drain)", "signal.signal(15, signal.SIG_IGN)"))
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, all_ready(1))
    child = seen(machine.home.pods / pod.id).child_pid
    await runtime.remove(RevisionId("r1"), grace=timedelta(seconds=0.6))
    await until(runtime, lambda pods: pods and pods[0].phase is PodPhase.DRAINING)
    assert runs(child)
    await until(runtime, lambda pods: not pods, seconds=5)
    assert not runs(child)


BROKEN = """
import json, os, sys
line = {"failed": {"reason": "ArtifactDigestMismatch", "message": "model.pkl changed."}, "retryable": False}
os.write(int(os.environ["TAXIWAY_REPORT_FD"]), json.dumps(line).encode() + b"\\n")
sys.exit(3)
"""


async def test_a_pod_that_failed_for_good_is_told(machine: Machine) -> None:
    machine.serve(BROKEN)
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, lambda pods: pods and pods[0].phase is PodPhase.FAILED)
    assert pod.failure is not None
    assert (pod.failure.reason, pod.failure.retryable) == ("ArtifactDigestMismatch", False)
    await runtime.apply(a_spec(), scale=1)
    await asyncio.sleep(0.3)
    assert [again.id for again in await runtime.observe()] == [pod.id]


async def test_a_crash_loop_is_never_ready_and_its_lines_are_shown(machine: Machine) -> None:
    machine.serve("import no_such_module")
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    (pod,) = await until(runtime, lambda pods: pods and pods[0].restarts >= 1)
    assert pod.phase is not PodPhase.READY
    (pod,) = await until(runtime, lambda pods: pods and pods[0].failure is not None)
    assert pod.failure is not None
    assert pod.failure.lines[-1] == "ModuleNotFoundError: No module named 'no_such_module'"


async def test_a_pod_over_its_memory_is_told_as_such(machine: Machine) -> None:
    machine.serve(SERVER + "\n")
    machine.serve("kept = []\nwhile True: kept.append(bytearray(b'x') * (1 << 20))")
    runtime = machine.runtime()
    await runtime.apply(a_spec(resources=Resources(memory_bytes=48 << 20, cpus=1)), scale=1)
    (pod,) = await until(runtime, lambda pods: pods and pods[0].failure is not None)
    assert pod.failure is not None
    assert pod.failure.reason == "OutOfMemory"
    assert pod.memory_is_enforced


async def test_a_start_deadline_is_kept(machine: Machine) -> None:
    machine.serve("import time\ntime.sleep(600)")
    runtime = machine.runtime()
    await runtime.apply(a_spec(options=ScoringOptions(start_deadline_seconds=0.5)), scale=1)
    (pod,) = await until(runtime, lambda pods: pods and pods[0].failure is not None)
    assert pod.failure is not None
    assert pod.failure.reason == "StartDeadlineExceeded"


async def test_a_demanded_level_that_is_not_there_refuses(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(levels, "find_bwrap", lambda: None)
    runtime = machine.runtime(level=Level.SANDBOX)
    with pytest.raises(IsolationUnavailable):
        await runtime.apply(a_spec(), scale=1)
    assert await runtime.observe() == []


async def test_a_stranger_in_the_pods_directory_is_left_alone(machine: Machine) -> None:
    stranger = machine.home.pods / "stranger"
    stranger.mkdir(parents=True)
    (stranger / "status.json").write_text("{}")
    runtime = machine.runtime()
    await runtime.apply(a_spec(), scale=1)
    await until(runtime, all_ready(1))
    assert stranger.exists()


async def test_what_a_killed_control_plane_only_began_to_make_goes(machine: Machine) -> None:
    """Nobody knows of such a pod, so nobody would ever ask for its removal."""
    begun, sockets = machine.home.pods / "begun", machine.home.sockets / "begun"
    (begun / "home" / "tmp").mkdir(parents=True)
    sockets.mkdir(parents=True)
    runtime = machine.runtime()
    assert await runtime.observe() == []
    async with asyncio.timeout(10):
        while begun.exists() or sockets.exists():
            await asyncio.sleep(0.03)


async def test_the_event_loop_is_never_held_up(machine: Machine) -> None:
    runtime = machine.runtime()
    worst = 0.0

    async def watch() -> None:
        nonlocal worst
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await asyncio.sleep(0.001)
            worst = max(worst, loop.time() - began)

    watcher = asyncio.create_task(watch())
    await runtime.apply(a_spec(), scale=2)
    await until(runtime, all_ready(2))
    await runtime.remove(RevisionId("r1"), grace=timedelta(seconds=3))
    await until(runtime, lambda pods: not pods)
    watcher.cancel()
    # Some room for a busy machine; held up, it would wait for whole process starts.
    assert worst < 0.25


async def test_build_logs_are_kept_followed_and_pushed_out(machine: Machine) -> None:
    builds = machine.root / "logs" / "builds"
    name = LogName(kind=LogKind.BUILD, id="abc")
    assert (await machine.logs.read(name)).is_complete
    log = open_build_log(builds, EnvironmentId("abc"))
    log.write("Resolved 57 packages")
    log.write("warning: slow", is_error=True)
    page = await machine.logs.read(name, contains="PACKAGES")
    assert [line.text for line in page.lines] == ["Resolved 57 packages"]
    assert not page.is_complete
    log.close()
    page = await machine.logs.tail(name, limit=1)
    assert [(line.stream, line.text) for line in page.lines] == [("stderr", "warning: slow")]
    assert page.is_complete
    small = FileLogStore(
        LogPlaces(pods=machine.home.pods, dead_pods=machine.home.dead_logs, builds=builds), dead_bytes=10
    )
    assert await small.sweep() == 1
    assert (await machine.logs.read(name)).lines == ()


@pytest.mark.parametrize("bad", ["", "..", "../pods", "a/b", "a\0b", "x" * 300])
async def test_no_name_leads_out_of_the_logs(machine: Machine, bad: str) -> None:
    for kind in (LogKind.POD, LogKind.BUILD):
        assert (await machine.logs.read(LogName(kind=kind, id=bad))).lines == ()
        await machine.logs.forget(LogName(kind=kind, id=bad))
    assert machine.root.exists()
    assert children.status(machine.home.pods / "missing") is None
