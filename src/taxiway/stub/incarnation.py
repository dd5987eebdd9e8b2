"""One run of the child, from fork to the last byte of its log. ``supervisor.py`` decides what comes after it.

Runs inside the stub.
"""

from __future__ import annotations

import os
import signal

from taxiway.stub import processes
from taxiway.stub.decisions import End, Reported, fold_report, wrapper_status
from taxiway.stub.launch import Launched, parse_told
from taxiway.stub.limits import Groups
from taxiway.stub.logs import LogWriter
from taxiway.stub.output import Output

_TOLD_BYTES = 1 << 16
_REPORT_LINE_BYTES = 1 << 16


class Incarnation:
    """A running child: its processes, its pipes, what it said. Times are monotonic seconds."""

    def __init__(self, launched: Launched, groups: Groups, log: LogWriter, *, now: float, wall: float) -> None:
        self.launched = launched
        self.began = now
        self.began_wall = wall
        self.ready_at: float | None = None
        self.has_started = False
        """Whether the program was run: its exec did not fail."""
        self.cause: str | None = None
        """Why the stub ended it, in a word; None as long as it did not."""
        self.kill_at: float | None = None
        self.reported = Reported()
        self.output = Output(log)
        self._groups = groups
        self._oom_kills_before = groups.oom_kills() or 0
        self._told = b""
        self._cannot_start = b""
        self._report_rest = b""
        self._open = dict(launched.pipes)
        self._program_pid: int | None = None
        self._program_pidfd = -1

    def fds(self) -> dict[int, str]:
        """Return what is to be polled for reading: descriptor → name of the pipe."""
        return {fd: name for name, fd in self._open.items()}

    def on_readable(self, name: str, now: float) -> bool:
        """Take in what a pipe holds. True when something about the child changed that the status tells."""
        fd = self._open[name]
        if name in ("o", "e"):
            if not self.output.pump(name, fd, now):
                self._close(name)
            return False
        try:
            data = os.read(fd, _TOLD_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close(name)
        if name == "x":
            self._cannot_start += data
            self.has_started = not data and not self._cannot_start
            return not data
        if name == "i":
            self._told = (self._told + data)[:_TOLD_BYTES]
            return bool(data)
        return self._take_reports(data)

    def find_program(self) -> int | None:
        """Return the pid of the program itself as the host knows it; None while that is not known yet."""
        if self._program_pid is None:
            told = parse_told(self._told)
            if self.launched.kind == "bare":
                self._program_pid = self.launched.pid
            elif self.launched.kind == "guard":
                self._program_pid = told.get("pid")
            elif "init" in told and processes.parent(told["init"]) == self.launched.pid:
                below = processes.children(told["init"])
                if below:
                    self._hold(below[0], told["init"])
        return self._program_pid

    def end_gracefully(self) -> bool:
        """Send SIGTERM; False when there is nobody to send it to, which leaves only killing."""
        if self.launched.kind == "sandbox":
            if self.find_program() is None:
                return False
            try:
                signal.pidfd_send_signal(self._program_pidfd, signal.SIGTERM)
            except OSError:
                return False
            return True
        try:
            # The direct child is not reaped yet, so its pid and its group are surely its own.
            if self.launched.kind == "guard":
                os.kill(self.launched.pid, signal.SIGTERM)
            else:
                os.killpg(self.launched.pid, signal.SIGTERM)
        except OSError:
            return False
        return self.find_program() is not None

    def kill(self, cause: str | None) -> None:
        """Kill the child with all it started; its end is noticed as any other."""
        self.cause = self.cause or cause
        if self.launched.kind == "bare":
            try:
                os.killpg(self.launched.pid, signal.SIGKILL)
            except OSError:
                processes.kill_if(self.launched.pid, lambda pid: processes.parent(pid) == os.getpid())
            return
        program = self.find_program()
        if self.launched.kind == "guard" and program is not None and not self.launched.has_namespaces:
            # The guard then takes the descendants along and tells how the program ended.
            processes.kill_if(program, lambda pid: processes.parent(pid) == self.launched.pid)
            if not processes.is_zombie(self.launched.pid):
                processes.kill_descendants(self.launched.pid, seconds=0.5)
            return
        os.kill(self.launched.pid, signal.SIGKILL)

    def finish(self, wait_status: int, *, now: float, kills_descendants: bool, processes_limit: int | None) -> End:
        """Clean up after the direct process ended: kill what is left, read the pipes out. Returns the facts."""
        if kills_descendants:
            self._groups.kill_all(processes_limit)
            processes.kill_descendants(os.getpid())
        for name in ("x", "i", "r"):
            while name in self._open and self.on_readable(name, now):
                continue
        self.output.drain({name: fd for name, fd in self._open.items() if name in ("o", "e")}, now)
        for name in list(self._open):
            self._close(name)
        if self._program_pidfd >= 0:
            os.close(self._program_pidfd)
        code, number = self._how_it_ended(wait_status)
        memory = self._groups.memory()
        return End(
            code=code,
            signal_number=number,
            cause=self.cause,
            cannot_start=self._why_not_started(code),
            oom_kills=(self._groups.oom_kills() or 0) - self._oom_kills_before,
            memory_last=memory[1] if memory else None,
            last_phase=str(self.reported.phases[-1]["phase"]) if self.reported.phases else None,
        )

    def _how_it_ended(self, wait_status: int) -> tuple[int | None, int | None]:
        """Return (exit code, signal), one of them None, from what the guard told or the kernel says."""
        told = parse_told(self._told)
        if self.launched.kind == "guard" and "code" in told:
            return (None, told["signal"]) if told["signal"] else (told["code"], None)
        if os.WIFSIGNALED(wait_status):
            return None, os.WTERMSIG(wait_status)
        code = os.WEXITSTATUS(wait_status)
        return wrapper_status(code) if self.launched.kind == "sandbox" else (code, None)

    def _why_not_started(self, code: int | None) -> str | None:
        if self._cannot_start:
            return self._cannot_start.decode("utf-8", "replace")
        if self.launched.kind == "sandbox" and code == 1:
            last = [text for stream, text in self.output.recent if stream == "e"][-1:]
            if last and last[0].startswith("bwrap: "):
                return last[0]
        return None

    def _take_reports(self, data: bytes) -> bool:
        *lines, self._report_rest = (self._report_rest + data).split(b"\n")
        self._report_rest = self._report_rest[-_REPORT_LINE_BYTES:]
        return bool([line for line in lines if fold_report(self.reported, line)])

    def _hold(self, pid: int, parent: int) -> None:
        """Remember the program by a pidfd, after making sure that the pid is still what it was."""
        try:
            self._program_pidfd = os.pidfd_open(pid)
        except OSError:
            return
        if processes.parent(pid) != parent:
            os.close(self._program_pidfd)
            self._program_pidfd = -1
            return
        self._program_pid = pid

    def _close(self, name: str) -> None:
        os.close(self._open.pop(name))
