"""Keeps one child running: start, watch, restart with back-off, stop. The stub's loop, and what it writes down.

All deciding that needs no process is in ``decisions.py``. Runs inside the stub.
"""

from __future__ import annotations

import os
import select
import signal
import time

from taxiway.stub import confine, decisions, identity, kernel, processes
from taxiway.stub.health import Check
from taxiway.stub.incarnation import Incarnation
from taxiway.stub.launch import Spec, launch
from taxiway.stub.limits import Groups
from taxiway.stub.logs import LogWriter
from taxiway.stub.record import Record

_MEASURE_SECONDS = 5.0
_MEASURE_BUSY_SECONDS = 1.0
_BUSY = 0.02
"""Cores in use from which on a child is measured more often."""
_WATCH_SECONDS = 0.25
_PROBE_UNTIL_READY_SECONDS = 0.1
_IDLE_SECONDS = 60.0


class Supervisor:
    """The stub's state. ``run`` returns when the child ended for good or was told to stop."""

    def __init__(
        self, spec: Spec, record: Record, log: LogWriter, groups: Groups, *, close_in_child: list[int]
    ) -> None:
        self._spec = spec
        self._limits = _table(spec["limits"])
        self._backoff = _table(spec["backoff"])
        self._probe = _table(spec["probe"]) if spec.get("probe") else None
        self._record = record
        self._log = log
        self._groups = groups
        self._signals, wakeup = _catch_signals()
        self._close_in_child = [*close_in_child, self._signals, wakeup]
        self._now = time.monotonic()
        self._child: Incarnation | None = None
        self._start_at: float | None = self._now
        self._is_first_start = True
        self._is_stopping = False
        self._is_done = False
        self._failures = 0
        self._check: Check | None = None
        self._check_at = 0.0
        self._checks_failed = 0
        self._measure_at = 0.0
        self._memory_last: int | None = None
        self._cpu_last = self._cpu_shown_at = 0.0
        self._rows_before = 0
        """What the children before this one returned."""

    def run(self) -> None:
        """Loop until there is nothing left to do."""
        while not self._is_done:
            self._poll()
            self._now = time.monotonic()
            self._tick()
        self._record.write_again()

    # -- the loop ---------------------------------------------------------------------------------------------

    def _poll(self) -> None:
        poller = select.poll()
        poller.register(self._signals, select.POLLIN)
        pipes = self._child.fds() if self._child else {}
        for fd in pipes:
            poller.register(fd, select.POLLIN)
        if self._check is not None and self._check.fd >= 0:
            poller.register(self._check.fd, select.POLLIN)
        timeout = max(0.0, self._next_deadline() - time.monotonic())
        ready = [fd for fd, _ in poller.poll(int(timeout * 1000) + 1)]
        self._now = time.monotonic()
        for fd in ready:
            if fd in pipes and self._child is not None:
                if self._child.on_readable(pipes[fd], self._now):
                    self._reflect()
            elif self._check is not None and fd == self._check.fd:
                self._check.advance()
        if self._signals in ready:
            self._on_signals()

    def _next_deadline(self) -> float:
        times = [self._now + _IDLE_SECONDS]
        if self._child is None:
            times.append(self._start_at if self._start_at is not None else self._now)
            return min(times)
        times.append(self._measure_at)
        if self._child.kill_at is not None:
            times.append(self._child.kill_at)
        if self._check is not None:
            times.append(self._check.deadline)
        elif self._probe is not None:
            times.append(self._check_at)
        deadline = self._start_deadline()
        if deadline is not None:
            times.append(deadline)
        return min(times)

    def _tick(self) -> None:
        self._record.write_again()
        child = self._child
        if child is None:
            if not self._is_done and self._start_at is not None and self._now >= self._start_at:
                self._start()
            return
        if child.kill_at is not None and self._now >= child.kill_at:
            child.kill_at = None
            self._log.write("s", "Not gone after its grace period: killed.")
            if self._is_stopping:
                child.cause = "StopGraceExceeded"
            child.kill(None)
        deadline = self._start_deadline()
        if deadline is not None and self._now >= deadline and child.cause is None:
            child.kill("StartDeadlineExceeded")
        self._check_health(child)
        if self._now >= self._measure_at:
            self._measure(child)

    def _on_signals(self) -> None:
        for number in set(os.read(self._signals, 512)):
            if number == signal.SIGCHLD:
                self._reap()
            elif number == signal.SIGHUP:
                self._begin_restart()
            elif number == signal.SIGQUIT:
                self._is_stopping = True
                if self._child is not None:
                    self._child.kill("Stopped")
            else:
                self._begin_stop()
        if self._is_stopping and self._child is None:
            self._end("stopped")

    # -- starting and ending ----------------------------------------------------------------------------------

    def _start(self) -> None:
        self._start_at = None
        if not self._is_first_start:
            self._record.data["restarts"] = int(str(self._record.data["restarts"])) + 1
        self._is_first_start = False
        self._groups.begin()
        self._allow_cpus(is_starting=True)
        self._memory_last = None
        self._checks_failed = 0
        self._check_at = self._now
        self._measure_at = self._now + _WATCH_SECONDS
        self._cpu_last = self._cpu_shown_at = 0.0
        self._rows_before = int(str(self._record.data["rows"]))
        launched = launch(self._spec, self._groups, close_in_child=self._close_in_child)
        self._child = Incarnation(launched, self._groups, self._log, now=self._now, wall=time.time())
        self._record.data.update(phase="starting", child=None, reports=[], restart_at=None, isolation=self._isolation())
        self._record.write()

    def _begin_stop(self) -> None:
        self._is_stopping = True
        if self._child is None or self._child.cause is not None:
            return
        self._end_child(self._child, "Stopped")

    def _begin_restart(self) -> None:
        self._failures = 0
        if self._is_stopping:
            return
        if self._child is None:
            self._start_at = self._now
        elif self._child.cause is None:
            self._end_child(self._child, "Restarted")

    def _end_child(self, child: Incarnation, cause: str) -> None:
        child.cause = cause
        self._record.data["phase"] = "draining"
        self._record.write()
        if child.end_gracefully():
            child.kill_at = self._now + float(str(self._spec["stop_grace"]))
        else:
            child.kill(cause)

    def _reap(self) -> None:
        while True:
            try:
                pid, wait_status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._child is not None and pid == self._child.launched.pid:
                self._on_exit(self._child, wait_status)

    def _on_exit(self, child: Incarnation, wait_status: int) -> None:
        self._child = None
        if self._check is not None:
            self._check.cancel()
            self._check = None
        processes_limit = self._limits["processes"]
        end = child.finish(
            wait_status,
            now=self._now,
            kills_descendants=self._spec["descendants"] == "die",
            processes_limit=int(str(processes_limit)) if processes_limit else None,
        )
        memory_limit = self._limits["memory_bytes"]
        end.memory_limit = int(str(memory_limit)) if memory_limit else None
        end.memory_last = end.memory_last or self._memory_last
        deadline = self._spec["start_deadline"]
        end.start_deadline = float(str(deadline)) if deadline is not None else None
        trouble = decisions.why_it_ended(end, child.reported.trouble)
        trouble["lines"] = decisions.lines_that_mattered(list(child.output.recent))
        self._record.add_exit(
            {
                "at": time.time(),
                "started_at": child.began_wall,
                "code": end.code,
                "signal": end.signal_number,
                "was_ready": child.ready_at is not None,
                "trouble": trouble,
            }
        )
        self._record.data.update(
            child=None,
            memory_bytes=None,
            memory_peak_bytes=end.memory_last or self._record.data["memory_peak_bytes"],
        )
        self._tell_reported(child)
        self._decide_next(child, end, trouble)

    def _tell_reported(self, child: Incarnation) -> None:
        self._record.data.update(reports=child.reported.phases, rows=self._rows_before + child.reported.rows)

    def _decide_next(self, child: Incarnation, end: decisions.End, trouble: dict[str, object]) -> None:
        self._log.write("s", f"Ended. {trouble['message']}")
        if self._is_stopping:
            self._end("stopped")
            return
        self._record.data["trouble"] = trouble
        if end.cause == "Restarted":
            self._record.data["trouble"] = None
            self._start_at = self._now
            self._record.data["phase"] = "pending"
            self._record.write()
            return
        succeeded = end.code == 0 and end.cause is None
        if not decisions.should_restart(
            str(self._spec["restart"]), succeeded=succeeded, retryable=trouble["retryable"] is not False
        ):
            if succeeded:
                self._record.data["trouble"] = None
            self._end("stopped" if succeeded else "failed")
            return
        ready_seconds = None if child.ready_at is None else self._now - child.ready_at
        healthy_after = float(str(self._backoff["healthy_after"]))
        self._failures = decisions.failures_in_a_row(
            self._failures, ready_seconds=ready_seconds, healthy_after=healthy_after
        )
        delay = decisions.backoff_seconds(
            self._failures,
            initial=float(str(self._backoff["initial"])),
            maximum=float(str(self._backoff["maximum"])),
        )
        self._start_at = self._now + delay
        self._record.data.update(phase="backoff", restart_at=time.time() + delay)
        self._record.write()
        self._log.write("s", f"To be started again in {delay:g} s.")

    def _end(self, phase: str) -> None:
        self._is_done = True
        self._record.data.update(phase=phase, child=None, restart_at=None)
        if phase == "stopped":
            self._record.data["trouble"] = None
        self._record.write()

    # -- watching ---------------------------------------------------------------------------------------------

    def _start_deadline(self) -> float | None:
        child, seconds = self._child, self._spec["start_deadline"]
        if child is None or child.ready_at is not None or seconds is None or child.cause is not None:
            return None
        return child.began + float(str(seconds))

    def _reflect(self) -> None:
        """Bring the record up to what the child reported."""
        child = self._child
        if child is None:
            return
        program = child.find_program()
        if program is not None and self._record.data["child"] is None and child.has_started:
            self._record.data["child"] = {
                "pid": program,
                "start_ticks": identity.start_ticks(program),
                "started_at": child.began_wall,
            }
            self._log.write("s", f"Started as process {program}.")
        self._tell_reported(child)
        when = self._spec["ready_when"]
        if child.ready_at is None and (
            (when == "started" and child.has_started) or (when == "reported" and child.reported.is_ready)
        ):
            self._become_ready(child)
        if child.reported.is_draining and child.cause is None:
            self._record.data["phase"] = "draining"
        self._record.write()

    def _become_ready(self, child: Incarnation) -> None:
        if child.cause is not None:
            return
        child.ready_at = child.ready_at or self._now
        self._allow_cpus(is_starting=False)
        self._record.data.update(phase="ready", trouble=None)
        self._record.write()

    def _allow_cpus(self, *, is_starting: bool) -> None:
        cpus, at_start = self._limits["cpus"], self._limits["start_cpus"]
        if cpus and at_start:
            usual = float(str(cpus))
            self._groups.allow_cpus(max(usual, float(str(at_start))) if is_starting else usual)

    def _check_health(self, child: Incarnation) -> None:
        probe = self._probe
        if probe is None or child.cause is not None:
            return
        if self._check is None:
            waits_for_report = child.ready_at is None and self._spec["ready_when"] == "reported"
            if self._now >= self._check_at and waits_for_report:
                self._check_at = self._now + _PROBE_UNTIL_READY_SECONDS
            elif self._now >= self._check_at:
                deadline = self._now + float(str(probe["timeout"]))
                self._check = Check(str(probe["socket"]), str(probe["path"]), deadline=deadline)
        if self._check is None:
            return
        self._check.expire(self._now)
        if self._check.outcome is None:
            return
        is_good, self._check = self._check.outcome, None
        is_early = child.ready_at is None
        every = float(str(probe["every"]))
        self._check_at = self._now + (min(every, _PROBE_UNTIL_READY_SECONDS) if is_early and not is_good else every)
        if is_good:
            self._on_good_check(child)
        elif not is_early:
            self._on_bad_check(child, probe)

    def _on_good_check(self, child: Incarnation) -> None:
        self._checks_failed = 0
        if self._record.data["phase"] == "unready" or (child.ready_at is None and self._spec["ready_when"] == "probed"):
            self._become_ready(child)

    def _on_bad_check(self, child: Incarnation, probe: dict[str, object]) -> None:
        self._checks_failed += 1
        if self._checks_failed == int(str(probe["unready_after"])) and self._record.data["phase"] == "ready":
            self._record.data["phase"] = "unready"
            self._record.data["trouble"] = {
                "reason": "ProbeFailed", "message": "It runs but does not answer its health check.",
                "hint": "It is started again if that lasts.", "retryable": True, "lines": [],
            }  # fmt: skip
            self._record.write()
        if 0 < int(str(probe["restart_after"])) <= self._checks_failed:
            child.kill("ProbeFailed")

    def _measure(self, child: Incarnation) -> None:
        """Take memory and CPU use; where nothing else keeps the limits, keep them here."""
        kept_by = self._groups.enforcement
        is_watched = "watched" in (kept_by["memory"], kept_by["processes"])
        self._measure_at = self._now + (_WATCH_SECONDS if is_watched else _MEASURE_SECONDS)
        memory, cpu = self._groups.memory(), self._groups.cpu_seconds()
        pids: list[int] = []
        if memory is None or cpu is None or is_watched:
            pids = list(processes.descendants(child.launched.pid))
            pids = pids if child.launched.kind == "guard" else [child.launched.pid, *pids]
        if memory is None:
            used = processes.memory_bytes(pids)
            memory = (used, max(used, self._memory_last or 0))
        if is_watched:
            self._keep_limits(child, pids, memory[0])
        self._memory_last = memory[1]
        data = self._record.data
        spent = round(processes.cpu_seconds(pids) if cpu is None else cpu, 2)
        more = spent - self._cpu_last
        self._cpu_last = spent
        if not is_watched and more >= _BUSY * _MEASURE_SECONDS:
            # Whoever decides by the CPU wants to know it while it is more; nobody cares for it where nothing happens.
            self._measure_at = self._now + _MEASURE_BUSY_SECONDS
        shown = data["cpu_seconds"]
        is_cpu_old = shown is None or (
            abs(spent - float(str(shown))) >= 0.05 and self._now >= self._cpu_shown_at + _MEASURE_BUSY_SECONDS
        )
        is_memory_old = (
            data["memory_bytes"] is None or abs(memory[0] - int(str(data["memory_bytes"]))) > memory[0] // 50
        )
        if is_cpu_old or is_memory_old:
            self._cpu_shown_at = self._now
            data.update(memory_bytes=memory[0], memory_peak_bytes=memory[1], cpu_seconds=spent)
            self._reflect()

    def _keep_limits(self, child: Incarnation, pids: list[int], used: int) -> None:
        limit, count = self._limits["memory_bytes"], self._limits["processes"]
        kept_by = self._groups.enforcement
        if kept_by["processes"] == "watched" and count and len(pids) > int(str(count)):
            child.kill("TooManyProcesses")
        elif (
            kept_by["memory"] == "watched"
            and limit
            and used > int(str(limit))
            and (len(pids) == 1 or processes.proportional_bytes(pids) > int(str(limit)))
        ):
            child.kill("OutOfMemory")

    def _isolation(self) -> dict[str, object] | None:
        shut_in = self._spec.get("sandboxing")
        if not isinstance(shut_in, dict) or self._child is None:
            return None
        gaps = confine.not_covered(
            shut_in,
            abi=kernel.landlock_abi(),
            machine=os.uname().machine,
            has_namespaces=self._child.launched.has_namespaces,
        )
        return {"level": shut_in["level"], "not_covered": gaps}


def _catch_signals() -> tuple[int, int]:
    """Turn signals into bytes on a pipe; returns its ends."""
    reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, _ignore)
    signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    return reader, writer


def _ignore(_number: int, _frame: object) -> None:
    """Be a handler, so that the signal interrupts what waits and its number is written to the pipe."""


def _table(value: object) -> dict[str, object]:
    assert isinstance(value, dict)  # noqa: S101
    return value
