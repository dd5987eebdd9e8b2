"""Several processes that serve one loaded model: a parent that accepts connections, and workers forked from it.

A model is loaded once and its memory shared, as far as nobody writes to it. The parent hands each connection to the
worker with the fewest, replaces workers that end or hang, and ends when it is told to. It never predicts.

Forking is safe only while a process has a single thread: OpenMP's, for one, are gone in the child, which waits for them
for ever. ``can_fork`` asks the kernel.
"""

from __future__ import annotations

import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from taxiway_scoring.telemetry import Board

BEAT_SECONDS = 1.0
"""How often a worker's event loop shows that it turns."""
MOST_DEATHS, DEATHS_SECONDS = 5, 60.0
"""More deaths than that in that time are the pod's own."""
ACCEPT_SECONDS = 0.05
"""How long a pod that ends goes on accepting who had connected before its socket vanished."""
START_SECONDS = 30.0
END_GRACE_SECONDS = 2.0
_AT_ONCE = 64
READY = b"r"
"""What a worker says when it serves."""
log = logging.getLogger("taxiway")


def can_fork() -> bool:
    """Tell whether this process has one thread only, those of native libraries included."""
    try:
        return len(os.listdir("/proc/self/task")) == 1  # noqa: PTH208
    except OSError:
        return False


@dataclass
class Worker:
    """A forked process. ``sent`` connections went to it."""

    slot: int
    pid: int
    channel: socket.socket
    sent: int = 0
    is_ready: bool = False
    was_stuck: bool = False


class Died(Exception):
    """Workers die again and again; ``status`` is how the last one did (see ``os.waitstatus_to_exitcode``)."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Parent:
    """Runs ``count`` workers until SIGTERM or SIGINT.

    ``work`` is what a worker does with its channel and its slot of the board; it returns the exit code. A worker writes
    to its channel when it is ready, reads connections from it, and drains when it ends.
    """

    def __init__(
        self,
        listener: socket.socket,
        board: Board,
        work: Callable[[socket.socket, int], int],
        *,
        stuck_exit: int,
        stuck_seconds: float,
        drain_seconds: float,
    ) -> None:
        """``stuck_exit`` is the exit code of a worker that gives up; ``stuck_seconds`` how old a beat may become."""
        self._listener = listener
        self._board = board
        self._work = work
        self._stuck_exit = stuck_exit
        self._stuck_seconds = stuck_seconds
        self._drain_seconds = drain_seconds
        self._workers: dict[int, Worker] = {}
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._selector = selectors.DefaultSelector()
        self._is_ended = False
        self._looked_at = time.monotonic()
        self._on_ready: Callable[[], None] | None = None

    def run(
        self, *, on_ready: Callable[[], None], on_end: Callable[[], None], on_beat: Callable[[], None] = lambda: None
    ) -> None:
        """Serve until a signal comes. Raises Died.

        ``on_ready`` is called once, ``on_end`` before draining, ``on_beat`` about once a second and after draining.
        """
        self._on_ready = on_ready
        woken, waker = socket.socketpair()
        for end in (woken, waker):
            end.setblocking(False)
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._end)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        self._listener.setblocking(False)
        self._selector.register(woken, selectors.EVENT_READ, lambda: woken.recv(4096))
        self._selector.register(self._listener, selectors.EVENT_READ, self._accept)
        for slot in range(1, len(self._board.slots)):
            self._fork(slot)
        beat_at = time.monotonic()
        while not self._is_ended:
            self._turn(BEAT_SECONDS)
            if time.monotonic() >= beat_at:
                on_beat()
                beat_at = time.monotonic() + BEAT_SECONDS
        on_end()
        self._drain()
        on_beat()

    def _end(self, *_: object) -> None:
        self._is_ended = True

    def _turn(self, seconds: float) -> None:
        for key, _ in self._selector.select(seconds):
            key.data()
        self._reap()
        self._kill_stuck()

    # -------------------------------------------------------------- workers

    def _fork(self, slot: int) -> None:
        ours, theirs = socket.socketpair()
        self._board.set(slot, "beat", time.monotonic() + START_SECONDS)
        self._board.set(slot, "closed", 0)
        self._board.set(slot, "in_flight", 0)
        pid = os.fork()
        if pid == 0:
            os._exit(self._be_worker(theirs, ours, slot))
        theirs.close()
        ours.setblocking(False)
        worker = self._workers[pid] = Worker(slot, pid, ours)
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(worker))

    def _be_worker(self, channel: socket.socket, other: socket.socket, slot: int) -> int:
        """Forget what is the parent's, and work."""
        try:
            signal.set_wakeup_fd(-1)
            # The stub signals the whole group; a worker ends when its channel does.
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._selector.close()
            self._listener.close()
            other.close()
            for worker in self._workers.values():
                worker.channel.close()
            return self._work(channel, slot)
        except BaseException:
            log.exception("a worker failed")
            return 1

    def _hear(self, worker: Worker) -> None:
        try:
            said = worker.channel.recv(16)
        except BlockingIOError:
            return
        except OSError:
            said = b""
        if not said:  # it is about to be reaped
            self._selector.unregister(worker.channel)
            return
        worker.is_ready = True
        if self._on_ready is not None and all(each.is_ready for each in self._workers.values()):
            self._on_ready()
            self._on_ready = None

    def _reap(self) -> None:
        while self._workers:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            worker = self._workers.pop(pid, None)
            if worker is None:  # a child of the model's code
                continue
            self._forget(worker)
            if not self._is_ended:
                self._replace(worker, os.waitstatus_to_exitcode(status))

    def _forget(self, worker: Worker) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(worker.channel)
        worker.channel.close()
        self._board.set(worker.slot, "pid", 0)

    def _replace(self, worker: Worker, status: int) -> None:
        """Put another in a dead worker's place. Raises Died where that does not help."""
        is_stuck = worker.was_stuck or status == self._stuck_exit
        reason = "stuck" if is_stuck else "crashed"
        self._board.set(worker.slot, reason, self._board.get(worker.slot, reason) + 1)
        log.error("worker %d %s (%d); another takes its place", worker.slot, reason, status)
        now = time.monotonic()
        is_often = len(self._deaths) == MOST_DEATHS and now - self._deaths[0] < DEATHS_SECONDS
        self._deaths.append(now)
        # Killed, and not by us: most likely for the memory, which is the whole pod's.
        if is_often or (status == -signal.SIGKILL and not is_stuck) or not worker.is_ready:
            raise Died(self._stuck_exit if is_stuck else status)
        self._fork(worker.slot)

    def _kill_stuck(self) -> None:
        looked_at, self._looked_at = self._looked_at, time.monotonic()
        if self._looked_at - looked_at > 3 * BEAT_SECONDS:  # the whole pod stood still: let them beat first
            return
        late = time.monotonic() - self._stuck_seconds
        for worker in self._workers.values():
            if self._board.get(worker.slot, "beat") < late and not worker.was_stuck:
                log.error("worker %d has not answered for %.1f s and is killed", worker.slot, self._stuck_seconds)
                worker.was_stuck = True
                os.kill(worker.pid, signal.SIGKILL)

    # -------------------------------------------------------------- connections

    def _accept(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                connection, _ = self._listener.accept()
            except OSError:  # nobody is there any more, or no descriptor is left
                return
            with connection:
                self._hand_over(connection)

    def _hand_over(self, connection: socket.socket) -> None:
        """Give it to the worker with the fewest; one whose channel is full is passed over."""
        late = time.monotonic() - 2 * BEAT_SECONDS
        for worker in sorted(self._workers.values(), key=lambda worker: self._load(worker, late)):
            try:
                socket.send_fds(worker.channel, [b"c"], [connection.fileno()])
            except OSError:  # full, or just ended
                continue
            worker.sent += 1
            return
        log.warning("a connection was closed, for no worker takes any")

    def _load(self, worker: Worker, late: float) -> tuple[bool, float]:
        """Sort workers whose event loop stands still behind all others."""
        stands_still = worker.was_stuck or self._board.get(worker.slot, "beat") < late
        return stands_still, worker.sent - self._board.get(worker.slot, "closed")

    # -------------------------------------------------------------- the end

    def _drain(self) -> None:
        until = time.monotonic() + ACCEPT_SECONDS
        while time.monotonic() < until:
            self._turn(until - time.monotonic() if until > time.monotonic() else 0)
        self._selector.unregister(self._listener)
        self._listener.close()
        for worker in self._workers.values():
            with contextlib.suppress(OSError):
                worker.channel.shutdown(socket.SHUT_WR)
        until = time.monotonic() + self._drain_seconds + END_GRACE_SECONDS
        while self._workers and time.monotonic() < until:
            self._turn(0.1)
        for worker in self._workers.values():
            os.kill(worker.pid, signal.SIGKILL)


def bind(*, socket_path: str | None = None, port: int | None = None) -> socket.socket:
    """Listen on a Unix socket (an old one is replaced) or on a loopback port."""
    if socket_path is None:
        return socket.create_server(("127.0.0.1", port or 0), backlog=2048)
    Path(socket_path).unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(socket_path)
    listener.listen(2048)
    return listener
