"""Memory for large bodies. Whoever finds none waits in line, unread, so that what is begun can be answered."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable


class Room:
    """``size`` bytes. Used in one thread."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._taken = 0
        self._line: deque[tuple[int, Callable[[], None]]] = deque()

    @property
    def taken(self) -> int:
        """Bytes in use."""
        return self._taken

    def take(self, size: int, on_room: Callable[[], None]) -> bool:
        """Take bytes; False where there are too few: ``on_room`` is called as soon as they are taken.

        A body that is larger than all room gets it when nothing else is there.
        """
        if not self._line and self._fits(size):
            self._taken += size
            return True
        self._line.append((size, on_room))
        return False

    def grow(self, size: int) -> bool:
        """Take bytes for what has begun without saying how large it will be; False where there are too few."""
        if not self._fits(size):
            return False
        self._taken += size
        return True

    def leave(self, on_room: Callable[[], None]) -> None:
        """Wait no longer."""
        self._line = deque(each for each in self._line if each[1] != on_room)
        self._call_next()

    def give_back(self, size: int) -> None:
        """Give bytes back, and call those who wait, in their order."""
        self._taken -= size
        self._call_next()

    def _fits(self, size: int) -> bool:
        return not self._taken or self._taken + size <= self._size

    def _call_next(self) -> None:
        while self._line and self._fits(self._line[0][0]):
            size, on_room = self._line.popleft()
            self._taken += size
            on_room()
