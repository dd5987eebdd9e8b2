"""A hostile model in a pod finds no hole, on each level; where a level has known ones, they are said and found."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from taxiway.domain.ids import DeploymentId, EnvironmentId, ModelName, PodId, ProjectName, RevisionId, SnapshotId
from taxiway.domain.resources import Resources
from taxiway.domain.revisions import RevisionSpec, ScoringOptions
from taxiway.runtimes.process.pods import Confinement, PodPlaces, pod_child, pod_config, pod_labels
from taxiway.stub import children, levels
from taxiway.stub.children import Level
from taxiway.stub.processes import descendants
from tests.integration.runtimes.programs import kill_stub, runs, seen, short_directory, wait_for, wait_phase

pytestmark = pytest.mark.integration
NAME = f"taxiway-test-{uuid.uuid4().hex}"


class Platform:
    """A data directory and a run directory as they are, with everything a model must not get at."""

    def __init__(self, root: Path, stack: ExitStack) -> None:
        self.data, self.run = root / "data", root / "run"
        self.pod, self.sockets = self.data / "pods" / "own", self.run / "p" / "own"
        for made in ("keys", "snapshots/own/files", "snapshots/other", "environments", "pods/own/home/tmp",
                     "pods/other/home", "scoring"):  # fmt: skip
            (self.data / made).mkdir(parents=True)
        self.sockets.mkdir(parents=True)
        (self.run / "p" / "other").mkdir()
        for name in ("taxiway.db", "keys/private.pem", "snapshots/other/manifest.json", "pods/other/config.json",
                     "snapshots/own/files/model.pkl", "pods/other/home/cache"):  # fmt: skip
            (self.data / name).write_text("secret")
        self.environment = self.data / "environments" / "e"
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(self.environment)], check=True)
        shutil.copy(Path(__file__).with_name("hostile.py"), self.data / "scoring" / "__main__.py")
        self.unix = [self._listen(str(self.run / n), stack) for n in ("mlflow.sock", "envoy.sock", "control.sock")]
        self.unix.append(self._listen(str(self.run / "p" / "other" / "s"), stack))
        self._listen("\0" + NAME, stack)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = tcp.getsockname()[1]
        self.datagrams = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self.datagrams.bind(("127.0.0.1", 0))
        self.datagrams.setblocking(False)
        self.bystander = subprocess.Popen(["/bin/sleep", "600"], env={"SECRET": "canary"})
        stack.callback(self._end_bystander)

    def _listen(self, path: str, stack: ExitStack) -> str:
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(path)
        server.listen()
        return path

    def _end_bystander(self) -> None:
        self.bystander.kill()
        self.bystander.wait()

    def plan(self) -> list[tuple[str, str]]:
        """All attempts that must fail, as (deed, target)."""
        data, bystander = str(self.data), str(self.bystander.pid)
        foreign = [f"{data}/{name}" for name in ("taxiway.db", "keys/private.pem", "snapshots/other/manifest.json",
                                                 "pods/other/config.json", "pods/other/home/cache")]  # fmt: skip
        own = [f"{data}/snapshots/own/files/model.pkl", str(self.environment / "pyvenv.cfg"),
               str(self.data / "scoring" / "__main__.py"), str(self.pod / "config.json")]  # fmt: skip
        directories = [f"{data}/snapshots/own/files", str(self.environment / "bin"), f"{data}/keys",
                       f"{data}/pods/other/home", "/usr/lib", "/etc", "/var/tmp", data]  # fmt: skip
        return [
            *(("read", path) for path in [*foreign, "/etc/shadow", "/etc/passwd", f"{self.pod}/spec.json"]),
            *(("write", path) for path in [*foreign, *own, f"{self.pod}/status.json", f"{self.pod}/lock"]),
            *(("delete", path) for path in [*foreign, *own]),
            *(("link", path) for path in own),
            *(("mode", path) for path in [*foreign, *own]),
            *(("create", path) for path in directories),
            *(("sees", path) for path in [*foreign, f"{data}/pods/other", *self.unix, "/etc/shadow"]),
            ("sees", "/root/.profile"),
            *(("unix", path) for path in self.unix),
            ("abstract", NAME),
            ("tcp", str(self.port)),
            ("udp", str(self.datagrams.getsockname()[1])),
            ("outside", "1.1.1.1"),
            ("peek", bystander),
            ("peek", str(os.getpid())),
            ("trace", bystander),
            ("kill", bystander),
            ("mount", str(self.pod / "home")),
            ("namespace", ""),
            ("run_program", "/bin/true"),
            ("fork_bomb", ""),
            ("survive", ""),
        ]


@pytest.fixture
def platform() -> Iterator[Platform]:
    # Not below /tmp: the sandbox has one of its own, where writing is no hole.
    with short_directory("/var/tmp") as root, ExitStack() as stack:
        yield Platform(root, stack)


def start_hostile(platform: Platform, confinement: Confinement, plan: list[tuple[str, str]]) -> Path:
    spec = RevisionSpec(
        id=RevisionId("r"), deployment=DeploymentId("d"), project=ProjectName("p"), model=ModelName("m"), version=1,
        snapshot=SnapshotId("s"), environment=EnvironmentId("e"), options=ScoringOptions(),
        resources=Resources(memory_bytes=512 << 20, cpus=1),
    )  # fmt: skip
    places = PodPlaces(
        directory=platform.pod, home=platform.pod / "home", config=platform.pod / "config.json",
        socket=platform.sockets / "s", environment=platform.environment,
        snapshot=platform.data / "snapshots" / "own", scoring=platform.data / "scoring",
        proof=platform.data / "proofs" / "own" / "proof.json",
        interpreter=levels.interpreter_paths(platform.environment / "bin" / "python"),
    )  # fmt: skip
    pod = PodId("own")
    places.proof.parent.mkdir(parents=True)
    places.proof.write_text(json.dumps({"failed": {}}))
    places.config.write_text(json.dumps(pod_config(pod, spec, places)))
    (places.home / "plan.json").write_text(json.dumps(plan))
    labels = pod_labels(pod, spec, places, created_at=datetime.now(UTC))
    children.start(platform.pod, pod_child(spec, places, confinement, labels=labels))
    return platform.pod


def found(pod: Path) -> dict[str, str]:
    """Wait for the end of the attack and return the holes."""
    wait_for(lambda: (pod / "home" / "holes.json").exists() or seen(pod).exits, seconds=20)
    assert not seen(pod).exits, seen(pod).exits[-1].trouble
    result = json.loads((pod / "home" / "holes.json").read_text())
    assert result["tried"] > 50
    holes: dict[str, str] = result["holes"]
    return holes


@pytest.mark.parametrize(
    ("level", "use_namespaces"),
    [(Level.SANDBOX, True), (Level.LANDLOCK, True), (Level.LANDLOCK, False)],
    ids=["sandbox", "landlock", "landlock alone"],
)
def test_a_hostile_model_finds_no_hole(platform: Platform, level: Level, *, use_namespaces: bool) -> None:
    confinement = Confinement(level=level, bwrap=levels.find_bwrap(), use_namespaces=use_namespaces)
    pod = start_hostile(platform, confinement, platform.plan())
    assert found(pod) == {}
    assert platform.bystander.poll() is None
    with pytest.raises(BlockingIOError):
        platform.datagrams.recv(10)
    status = wait_phase(pod, "ready")
    assert status.level is level
    # What may be done still can be: the gateway, the same user as we, gets through to the pod.
    with socket.socket(socket.AF_UNIX) as gateway:
        gateway.connect(str(platform.sockets / "s"))
        gateway.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert gateway.recv(100).startswith(b"HTTP/1.1 200")
    everyone = [status.stub_pid, *descendants(status.stub_pid)]
    assert len(everyone) >= 4
    kill_stub(pod)
    wait_for(lambda: not [pid for pid in everyone if runs(pid)], seconds=3)


def test_on_the_plain_level_the_same_model_finds_holes_and_that_is_said(platform: Platform) -> None:
    confinement = Confinement(level=Level.PLAIN, bwrap=None)
    plan = [item for item in platform.plan() if item[0] in ("read", "unix", "tcp", "abstract", "fork_bomb")]
    plan += [("sees", "/home")] * 60
    holes = found(start_hostile(platform, confinement, plan))
    assert f"read {platform.data}/taxiway.db" in holes
    assert f"unix {platform.run}/mlflow.sock" in holes
    assert f"tcp {platform.port}" in holes
    assert "fork_bomb " not in holes
    assert "every file" in " ".join(seen(platform.pod).not_covered)


def test_a_pod_sees_no_environment_but_its_own(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://canary")
    monkeypatch.setenv("TAXIWAY_DATABASE__URL", "canary")
    confinement = Confinement(level=Level.PLAIN, bwrap=None)
    pod = start_hostile(platform, confinement, [("sees", "/home")] * 60)
    child = wait_phase(pod, "ready").child_pid
    env = Path(f"/proc/{child}/environ").read_bytes()
    assert b"canary" not in env
    assert b"MLFLOW_TRACKING_URI" not in env
    assert f"HOME={pod}/home".encode() in env
