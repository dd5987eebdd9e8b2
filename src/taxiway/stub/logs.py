"""The writing half of a child's log: bytes in, numbered and dated lines out, never more than the cap on disk.

A line on disk is ``<sequence> <unix seconds> <o|e|s> <text>``: stdout, stderr, or the stub's own remarks. The
files are named after their first sequence. ``reading.py`` is the other half. Runs inside the stub.
"""

from __future__ import annotations

import os
import re
import time

LINE_BYTES = 8192
"""What is kept of one line; the rest is counted and left out."""

_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(9), *range(10, 32), *range(127, 160))}
_CONTROLS[0x2028] = "\\u2028"
_CONTROLS[0x2029] = "\\u2029"


def clean_text(raw: bytes) -> str:
    r"""Turn the bytes of one line into printable text: colours left out, what is not UTF-8 as ``\xNN``.

    Of a line that was overwritten with carriage returns (progress bars), the last state is kept.
    """
    text = raw.decode("utf-8", "backslashreplace").rstrip("\r")
    if "\r" in text:
        text = text[text.rfind("\r") + 1 :]
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return text.translate(_CONTROLS)


class LineSplitter:
    """Cuts a stream of bytes into lines, holding no more than LINE_BYTES of one however long it gets."""

    def __init__(self) -> None:
        self._kept = b""
        self._left_out = 0

    def feed(self, data: bytes) -> list[tuple[bytes, int]]:
        """Return the lines that are whole now, each with the count of bytes that were left out of it."""
        lines = []
        *whole, rest = data.split(b"\n")
        for piece in whole:
            self._add(piece)
            lines.append((self._kept, self._left_out))
            self._kept, self._left_out = b"", 0
        self._add(rest)
        return lines

    def flush(self) -> list[tuple[bytes, int]]:
        """Return the unfinished last line, if there is one."""
        if not self._kept and not self._left_out:
            return []
        last = (self._kept, self._left_out)
        self._kept, self._left_out = b"", 0
        return [last]

    def _add(self, piece: bytes) -> None:
        room = LINE_BYTES - len(self._kept)
        self._kept += piece[:room]
        self._left_out += max(0, len(piece) - room)


class LogWriter:
    """Appends lines to the files of one log directory, rotating them. A full disk loses lines, never the stub."""

    def __init__(self, directory: str, *, file_bytes: int, files: int) -> None:
        self._directory = directory
        self._file_bytes = max(file_bytes, 4 * LINE_BYTES)
        self._files = max(files, 1)
        self._fd = -1
        self._size = 0
        self.sequence = 0
        """The sequence of the last line written."""
        self._resume()

    def write(self, stream: str, text: str) -> None:
        """Append one line; ``stream`` is ``o``, ``e`` or ``s``."""
        self.write_all([(stream, text)])

    def write_all(self, lines: list[tuple[str, str]]) -> None:
        """Append lines, with one system call for each file that they end up in."""
        now = f"{time.time():.6f}"
        batch: list[bytes] = []
        size = self._size
        for stream, text in lines:
            line = f"{self.sequence + 1} {now} {stream} {text}\n".encode("utf-8", "backslashreplace")
            if size + len(line) > self._file_bytes and size > 0:
                self._append(batch)
                batch, size = [], 0
                self._rotate()
            self.sequence += 1
            batch.append(line)
            size += len(line)
        self._append(batch)

    def close(self) -> None:
        """Close the current file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, batch: list[bytes]) -> None:
        if not batch:
            return
        try:
            if self._fd < 0:
                self._open(self.sequence - len(batch) + 1)
            data = b"".join(batch)
            written = os.write(self._fd, data)
            self._size += written
            if written < len(data):
                self._close_torn_line()
        except OSError:
            # Most often the disk is full. The gap in the sequence shows it to readers.
            return

    def _close_torn_line(self) -> None:
        """End a line that the disk had no room for, so that the next one does not run on from it."""
        self._size += os.write(self._fd, b"\n")

    def _open(self, first: int) -> None:
        path = f"{self._directory}/{first:020d}.log"
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._size = os.fstat(self._fd).st_size

    def _rotate(self) -> None:
        self.close()
        self._size = 0
        names = log_files(self._directory)
        # One less than allowed, for the next line opens a new one.
        for name in names[: max(0, len(names) - self._files + 1)]:
            try:
                os.unlink(f"{self._directory}/{name}")  # noqa: PTH108
            except OSError:
                continue

    def _resume(self) -> None:
        """Go on after the last whole line of an earlier stub; one that was torn is closed with a newline."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)  # noqa: PTH103
        names = log_files(self._directory)
        if not names:
            return
        path = f"{self._directory}/{names[-1]}"
        self._fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        self._size = os.fstat(self._fd).st_size
        self.sequence = max(int(names[-1][:20]) - 1, 0)
        tail = os.pread(self._fd, 4 * LINE_BYTES * 4, max(0, self._size - 4 * LINE_BYTES * 4))
        if tail and not tail.endswith(b"\n"):
            try:
                self._close_torn_line()
            except OSError:
                # No room even for this; the reader leaves out what it cannot parse.
                self._size = os.fstat(self._fd).st_size
        for line in reversed(tail.split(b"\n")):
            number = line.split(b" ", 1)[0]
            if number.isdigit() and line.count(b" ") >= 3:
                self.sequence = max(self.sequence, int(number))
                break


def log_files(directory: str) -> list[str]:
    """Return the names of a log's files, oldest first."""
    try:
        names = os.listdir(directory)  # noqa: PTH208
    except OSError:
        return []
    return sorted(name for name in names if len(name) == 24 and name.endswith(".log") and name[:20].isdigit())
