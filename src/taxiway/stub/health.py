"""One health check at a time: an HTTP GET over a Unix socket that never blocks the stub.

The stub's loop polls the socket and calls ``advance``. Runs inside the stub.
"""

from __future__ import annotations

# The C module alone: what ``socket`` adds to it costs each stub a megabyte and is not used here.
import _socket as socket

_HEAD_BYTES = 64


class Check:
    """A GET under way. ``fd`` is what to poll; ``outcome`` is None until it is known."""

    def __init__(self, path: str, target: str, *, deadline: float) -> None:
        """Connect and send; ``target`` is the URL's path, ``deadline`` is monotonic."""
        self.deadline = deadline
        self.outcome: bool | None = None
        self._head = b""
        kind = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
        self._socket = socket.socket(socket.AF_UNIX, kind)
        request = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
        try:
            # A Unix socket connects at once or not at all; so short a request fits the empty buffer.
            self._socket.connect(path)
            self._socket.send(request.encode("ascii"))
        except OSError:
            self._finish(is_good=False)

    @property
    def fd(self) -> int:
        """The file descriptor to poll for reading; -1 when the check is over."""
        return self._socket.fileno()

    def advance(self) -> None:
        """Read what has come of the answer; its status line is all that matters."""
        if self.outcome is not None:
            return
        try:
            part = self._socket.recv(_HEAD_BYTES)
        except BlockingIOError:
            return
        except OSError:
            part = b""
        self._head += part
        if len(self._head) >= 12 or not part:
            self._finish(is_good=is_good_answer(self._head))

    def expire(self, now: float) -> None:
        """Fail when the deadline passed."""
        if self.outcome is None and now >= self.deadline:
            self._finish(is_good=False)

    def cancel(self) -> None:
        """Forget the check."""
        self._socket.close()

    def _finish(self, *, is_good: bool) -> None:
        self.outcome = is_good
        self._socket.close()


def is_good_answer(head: bytes) -> bool:
    """Say whether the beginning of an answer is HTTP with a 2xx status."""
    return head[:7] == b"HTTP/1." and head[8:10] == b" 2" and head[10:12].isdigit()
