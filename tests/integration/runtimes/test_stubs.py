"""Stubs with real processes: they outlive their starter, and nothing outlives them unasked."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from taxiway.domain.errors import Conflict
from taxiway.stub import children, identity, limits
from taxiway.stub.children import (
    Backoff,
    ChildPhase,
    Descendants,
    Level,
    Limits,
    LogCaps,
    Probe,
    ReadyWhen,
    Restart,
    Sandboxing,
)
from tests.integration.runtimes.programs import (
    SERVER,
    SLEEP,
    kill_stub,
    lines,
    python,
    runs,
    seen,
    short_directory,
    wait_for,
    wait_phase,
)

pytestmark = pytest.mark.integration
QUICK = Backoff(initial=timedelta(seconds=0.1), maximum=timedelta(seconds=1))
FORKS = """
import os, sys, time
made, say = os.pipe()
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() > 0: os.write(say, b".")
        time.sleep(600)
for _ in range(2): os.read(made, 1)
print("up", flush=True)
time.sleep(600)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    with short_directory() as directory:
        (directory / "w").mkdir()
        yield directory / "c"


def tree_of(pid: int) -> set[int]:
    from taxiway.stub.processes import descendants

    return {pid, *descendants(pid)}


def test_a_child_runs_with_its_environment_and_nothing_else(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "canary")
    code = "import os, time; print(sorted(os.environ), os.getcwd(), flush=True); time.sleep(600)"
    first = children.start(home, python(code, home, env={"ONE": "1"}, cwd=Path("/")))
    assert first.is_alive
    wait_phase(home, "ready")
    wait_for(lambda: any("ONE" in line for line in lines(home)))
    said = next(line for line in lines(home) if "ONE" in line)
    assert "SECRET" not in said
    assert said.endswith("/")
    assert home.stat().st_mode & 0o777 == 0o700
    assert (home / "spec.json").stat().st_mode & 0o777 == 0o600


def test_stopping_is_graceful_within_the_grace_and_then_final(home: Path) -> None:
    code = "import signal,sys,time\nsignal.signal(15, lambda *_: (print('bye', flush=True), sys.exit(0)))\n" + SLEEP
    children.start(home, python(code, home))
    wait_for(lambda: "up" in lines(home))
    assert children.begin_stop(home)
    wait_for(lambda: not seen(home).is_alive)
    assert seen(home).phase is ChildPhase.STOPPED
    assert seen(home).has_ended
    assert seen(home).exits[-1].code == 0
    assert "bye" in lines(home)
    assert children.read_log(home).is_complete
    assert not children.begin_stop(home)


@pytest.mark.parametrize("code", [SLEEP, FORKS], ids=["alone", "with descendants"])
def test_who_does_not_listen_is_killed_with_all_it_started(home: Path, code: str) -> None:
    deaf = "import signal\nsignal.signal(15, signal.SIG_IGN)\n" + code
    children.start(home, python(deaf, home, stop_grace=timedelta(seconds=0.3)))
    wait_for(lambda: "up" in lines(home))
    everyone = tree_of(seen(home).stub_pid)
    assert len(everyone) >= (7 if code == FORKS else 3)
    children.begin_stop(home)
    wait_for(lambda: not seen(home).is_alive, seconds=5)
    assert [pid for pid in everyone if runs(pid)] == []
    assert seen(home).exits[-1].trouble.reason == "StopGraceExceeded"


def test_a_killed_child_comes_back_with_back_off_and_its_end_is_known(home: Path) -> None:
    children.start(home, python(SLEEP, home, backoff=Backoff(initial=timedelta(seconds=0.3))))
    pid = wait_phase(home, "ready").child_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    waiting = wait_phase(home, "backoff")
    assert waiting.restart_at is not None
    assert waiting.trouble is not None
    assert waiting.trouble.reason == "Killed"
    again = wait_phase(home, "ready")
    assert again.restarts == 1
    assert again.child_pid != pid
    assert again.trouble is None
    assert (again.exits[-1].signal, again.exits[-1].was_ready) == (9, True)


def test_a_crash_loop_waits_longer_each_time_and_is_never_ready(home: Path) -> None:
    code = "import sys\nsys.exit('ImportError: no module named x')"
    children.start(home, python(code, home, ready_when=ReadyWhen.REPORTED, reports=True, backoff=QUICK))
    phases = set()

    def look() -> bool:
        phases.add(seen(home).phase)
        return len(seen(home).exits) >= 4

    wait_for(look)
    exits = seen(home).exits
    gaps = [(b.started_at - a.at).total_seconds() for a, b in itertools.pairwise(exits)]
    assert gaps[0] < gaps[1] < gaps[2]
    assert ChildPhase.READY not in phases
    assert exits[-1].trouble.reason == "Exited"
    assert exits[-1].code == 1
    assert "ImportError: no module named x" in exits[-1].trouble.lines


def test_a_failure_that_no_retry_mends_ends_the_stub(home: Path) -> None:
    failed = {"reason": "ArtifactDigestMismatch", "message": "model.pkl was changed"}
    line = json.dumps({"failed": failed, "retryable": False}) + "\n"
    code = f"import os,sys\nos.write(int(os.environ['TAXIWAY_REPORT_FD']), {line.encode()!r})\nsys.exit(3)"
    children.start(home, python(code, home, ready_when=ReadyWhen.REPORTED, reports=True))
    wait_for(lambda: seen(home).has_ended)
    status = seen(home)
    assert status.phase is ChildPhase.FAILED
    assert status.trouble is not None
    assert status.trouble.reason == "ArtifactDigestMismatch"
    assert not status.trouble.retryable


def test_restart_policies_of_children_that_succeed(home: Path) -> None:
    children.start(home, python("print('done')", home, restart=Restart.ON_FAILURE))
    wait_for(lambda: seen(home).has_ended)
    assert seen(home).phase is ChildPhase.STOPPED
    assert seen(home).restarts == 0


def test_a_program_that_is_not_there_is_said_to_be_missing(home: Path) -> None:
    children.start(home, python("", home, argv=("/no/such/program",), restart=Restart.NEVER))
    wait_for(lambda: seen(home).has_ended)
    trouble = seen(home).trouble
    assert trouble is not None
    assert trouble.reason == "CannotStart"
    assert "/no/such/program" in trouble.message


def test_a_killed_stub_takes_everything_along(home: Path) -> None:
    children.start(home, python(FORKS, home))
    wait_for(lambda: "up" in lines(home))
    everyone = tree_of(seen(home).stub_pid)
    assert len(everyone) >= 7
    kill_stub(home)
    wait_for(lambda: not [pid for pid in everyone if runs(pid)], seconds=3)


def test_the_starter_may_die_and_everything_stays(home: Path) -> None:
    program = (
        "import sys, os\nfrom pathlib import Path\nfrom taxiway.stub import children as c\n"
        f"c.start(Path({str(home)!r}), c.ChildSpec(argv=(sys.executable, '-I', '-c', {SLEEP!r}), env={{}}, "
        "cwd=Path('/')))\nprint('started', flush=True)\nimport time; time.sleep(600)"
    )
    starter = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, start_new_session=True)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"started\n"
    before = wait_phase(home, "ready")
    os.killpg(starter.pid, signal.SIGKILL)
    starter.wait()
    starter.stdout.close()
    time.sleep(0.3)
    after = seen(home)
    assert after.is_alive
    assert (after.stub_pid, after.child_pid) == (before.stub_pid, before.child_pid)
    assert runs(after.child_pid)
    assert os.getsid(after.stub_pid) == after.stub_pid


def test_a_directory_is_used_again_with_its_log_and_history(home: Path) -> None:
    children.start(home, python(SLEEP, home))
    wait_phase(home, "ready")
    with pytest.raises(Conflict):
        children.start(home, python(SLEEP, home))
    wait_for(lambda: "up" in lines(home))
    kill_stub(home)
    assert not seen(home).has_ended
    children.start(home, python(SLEEP.replace("up", "second"), home))
    wait_for(lambda: "second" in lines(home))
    assert "up" in lines(home)
    status = seen(home)
    assert status.exits[-1].trouble.reason == "StubGone"
    sequences = [line.sequence for line in children.read_log(home).lines]
    assert sequences == list(range(1, len(sequences) + 1))


def test_what_the_control_plane_starts_outlives_it(home: Path) -> None:
    code = (
        "import subprocess\np=subprocess.Popen(['/bin/sleep','600'], start_new_session=True)\n"
        "print(p.pid, flush=True)\n"
    )
    children.start(home, python(code + SLEEP, home, descendants=Descendants.LIVE))
    wait_for(lambda: "up" in lines(home))
    other = int(lines(home)[[line.isdigit() for line in lines(home)].index(True)])
    try:
        child = seen(home).child_pid
        kill_stub(home)
        wait_for(lambda: not runs(child))
        assert runs(other)
    finally:
        os.kill(other, signal.SIGKILL)


def test_start_anew_now(home: Path) -> None:
    children.start(home, python("raise SystemExit(1)", home, backoff=Backoff(initial=timedelta(seconds=60))))
    wait_phase(home, "backoff")
    ends = len(seen(home).exits)
    assert children.restart(home)
    wait_for(lambda: len(seen(home).exits) > ends, seconds=3)


LEAK = "import time\nkept = []\nwhile True:\n kept.append(bytearray(b'x') * (1 << 21)); time.sleep(0.01)"
AT_ONCE = "import time\ntime.sleep(0.3)\nkept = bytearray(b'x') * (1 << 27)\ntime.sleep(60)"


@pytest.mark.parametrize("code", [LEAK, AT_ONCE], ids=["leak", "at once"])
@pytest.mark.parametrize("use_cgroups", [True, False], ids=["cgroups", "watching"])
def test_out_of_memory_is_named_with_limit_and_last_use(home: Path, code: str, *, use_cgroups: bool) -> None:
    bound = Limits(memory_bytes=64 << 20, use_cgroups=use_cgroups)
    children.start(home, python(code, home, limits=bound, restart=Restart.NEVER))
    wait_for(lambda: seen(home).has_ended, seconds=15)
    status = seen(home)
    assert status.trouble is not None
    assert status.trouble.reason == "OutOfMemory"
    assert "64 MiB allowed; last seen at " in status.trouble.message
    assert status.enforcement["memory"] == "watched" or use_cgroups
    assert status.memory_peak_bytes is not None
    assert status.memory_peak_bytes > 40 << 20


def test_a_fork_bomb_is_held_and_ended(home: Path) -> None:
    code = "import os,time\nprint('up', flush=True)\nwhile True:\n try: os.fork()\n except OSError: time.sleep(0.2)"
    children.start(home, python(code, home, limits=Limits(processes=40), stop_grace=timedelta(seconds=0.5)))
    wait_for(lambda: "up" in lines(home))
    time.sleep(0.5)
    everyone = tree_of(seen(home).stub_pid)
    assert len(everyone) <= 45
    children.kill(home)
    wait_for(lambda: not seen(home).is_alive)
    assert [pid for pid in everyone if runs(pid)] == []


def test_no_cgroup_is_left_behind(home: Path) -> None:
    bound = Limits(memory_bytes=64 << 20, cpus=0.5, processes=20)
    children.start(home, python(SLEEP, home, limits=bound))
    status = wait_phase(home, "ready")
    group = children._group_name(home)
    found = limits._existing(group, root=limits.CGROUP_ROOT)
    assert bool(found) == any(kept.startswith("cgroup") for kept in status.enforcement.values())
    kill_stub(home)
    children.remove(home)
    assert limits._existing(group, root=limits.CGROUP_ROOT) == []
    assert not home.exists()


REPORTS = """
import json, os, sys, time
def tell(**said):
    os.write(int(os.environ['TAXIWAY_REPORT_FD']), json.dumps(said).encode() + b"\\n")
"""


def quota_of(home: Path, enforcement: str) -> str:
    """Return the CPU quota that the kernel keeps, in microseconds of a tenth of a second."""
    file = {"cgroup1": "cpu.cfs_quota_us", "cgroup2": "cpu.max"}[enforcement]
    group = next(
        each
        for each in limits._existing(children._group_name(home), root=limits.CGROUP_ROOT)
        if (Path(each) / file).exists()
    )
    return (Path(group) / file).read_text().split()[0]


def test_a_child_may_use_more_cpus_until_it_is_ready(home: Path) -> None:
    code = f"{REPORTS}\nprint('up', flush=True)\nwhile not os.path.exists('go'): time.sleep(0.02)\n"
    code += "tell(phase='ready', seconds=0)\ntime.sleep(600)"
    bound = Limits(cpus=0.25, start_cpus=1.0)
    children.start(home, python(code, home, ready_when=ReadyWhen.REPORTED, reports=True, limits=bound))
    wait_for(lambda: "up" in lines(home))
    kept = seen(home).enforcement["cpus"]
    if kept.startswith("cgroup"):
        assert quota_of(home, kept) == "100000"
    (home.parent / "go").touch()
    wait_phase(home, "ready")
    if kept.startswith("cgroup"):
        assert quota_of(home, kept) == "25000"


def test_rows_are_counted_over_restarts(home: Path) -> None:
    code = f"{REPORTS}\ntell(phase='ready', seconds=0)\ntell(rows=2)\ntell(rows=5)\ntime.sleep(0.2)"
    children.start(home, python(code, home, ready_when=ReadyWhen.REPORTED, reports=True, backoff=QUICK))
    wait_for(lambda: seen(home).rows >= 15)
    assert seen(home).rows % 5 in (0, 2)


def test_a_start_deadline_ends_what_never_gets_ready(home: Path) -> None:
    spec = python(
        "import os\nfd = int(os.environ['TAXIWAY_REPORT_FD'])\n"
        "os.write(fd, b'{\"phase\":\"verified\",\"seconds\":1}\\n')\n" + SLEEP,
        home, ready_when=ReadyWhen.REPORTED, reports=True, start_deadline=timedelta(seconds=0.5),
    )  # fmt: skip
    children.start(home, spec)
    wait_for(lambda: seen(home).exits, seconds=5)
    trouble = seen(home).exits[-1].trouble
    assert trouble.reason == "StartDeadlineExceeded"
    assert "0.5 s" in trouble.message
    assert "verified" in trouble.message


def test_a_hung_child_is_unready_and_then_started_anew(home: Path) -> None:
    socket = home.parent / "s"
    probe = Probe(socket=socket, every=timedelta(seconds=0.1), timeout=timedelta(seconds=0.3), unready_after=1,
                  restart_after=3)  # fmt: skip
    spec = python(SERVER, home, env={"SOCKET": str(socket)}, probe=probe, reports=True,
                  ready_when=ReadyWhen.REPORTED, backoff=QUICK)  # fmt: skip
    children.start(home, spec)
    pid = wait_phase(home, "ready").child_pid
    assert [report.phase for report in seen(home).reports] == ["verified", "loaded", "example", "ready"]
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    wait_phase(home, "unready", seconds=3)
    wait_for(lambda: seen(home).exits, seconds=5)
    assert seen(home).exits[-1].trouble.reason == "ProbeFailed"
    assert wait_phase(home, "ready").child_pid != pid


def test_a_probe_makes_ready(home: Path) -> None:
    socket = home.parent / "s"
    spec = python("import time\ntime.sleep(0.4)\n" + SERVER, home, env={"SOCKET": str(socket)}, reports=True,
                  ready_when=ReadyWhen.PROBED, probe=Probe(socket=socket))  # fmt: skip
    children.start(home, spec)
    assert seen(home).phase in (ChildPhase.PENDING, ChildPhase.STARTING)
    wait_phase(home, "ready", seconds=5)


def test_a_flood_of_log_stays_within_its_cap_and_harms_nobody(home: Path) -> None:
    code = (
        "import os,sys\nline=b'x'*199+b'\\n'\nfor _ in range(1500): os.write(1, line*500)\n"
        "os.write(1, os.urandom(1<<20))\nblock=b'y'*(1<<20)\nfor _ in range(1024): os.write(1, block)\n"
        "os.write(1, b'\\n')\nimport time; time.sleep(0.5); os.write(2, b'the end\\n'); time.sleep(600)"
    )
    children.start(home, python(code, home, log=LogCaps(file_bytes=1 << 20, files=4)))
    log, most = home / "log", 0

    def look() -> bool:
        nonlocal most
        most = max(most, sum(path.stat().st_size for path in log.iterdir() if path.exists()))
        return "the end" in [line.text for line in children.tail_log(home, limit=5).lines]

    wait_for(look, seconds=40)
    assert most <= 4.4 * (1 << 20)
    status = seen(home)
    assert status.is_alive
    assert any("bytes of output were left out" in line for line in lines(home))
    facts = Path(f"/proc/{status.stub_pid}/status").read_text().splitlines()
    resident = next(int(line.split()[1]) for line in facts if line.startswith("VmRSS"))
    assert resident < 24_000


def test_a_log_is_followed_by_sequence(home: Path) -> None:
    code = "import time\nfor n in range(30): print('line', n, flush=True); time.sleep(0.01)\ntime.sleep(0.1)"
    children.start(home, python(code, home, restart=Restart.NEVER))
    after, got = 0, []
    while True:
        page = children.read_log(home, after=after, limit=7)
        got += [line.text for line in page.lines if line.stream == "stdout"]
        after = page.next_sequence
        if page.is_complete:
            break
        time.sleep(0.005)
    assert got == [f"line {n}" for n in range(30)]


@pytest.mark.parametrize("level", [Level.SANDBOX, Level.LANDLOCK, Level.PLAIN])
def test_every_level_drains_on_stop_and_dies_with_its_stub(home: Path, level: Level) -> None:
    from taxiway.stub import levels

    work = home.parent / "w"
    shut_in = Sandboxing(
        level=level,
        read_only=levels.interpreter_paths(Path(sys.executable)),
        writable=(work,),
        bwrap=levels.find_bwrap(),
    )
    spec = python(SERVER, home, env={"SOCKET": str(work / "s")}, cwd=work, reports=True,
                  ready_when=ReadyWhen.REPORTED, sandboxing=shut_in, probe=Probe(socket=work / "s"))  # fmt: skip
    children.start(home, spec)
    status = wait_phase(home, "ready")
    assert status.level is level
    everyone = tree_of(status.stub_pid)
    assert status.child_pid in everyone
    kill_stub(home)
    wait_for(lambda: not [pid for pid in everyone if runs(pid)], seconds=3)
    children.start(home, spec)
    wait_phase(home, "ready")
    children.begin_stop(home)
    wait_for(lambda: not seen(home).is_alive, seconds=5)
    assert seen(home).exits[-1].trouble.reason == "Stopped"
    assert seen(home).exits[-1].code == 0


def test_only_one_stub_wins_a_directory(home: Path) -> None:
    children.start(home, python(SLEEP, home))
    wait_phase(home, "ready")
    held = identity.is_locked(str(home / "lock"))
    stub = Path(children.__file__).with_name("stub.py")
    second = subprocess.run([sys.executable, "-I", "-S", str(stub), str(home)], capture_output=True, check=False)
    assert held
    assert second.returncode == 75
    assert b"another stub holds the lock" in second.stderr
    assert seen(home).is_alive
