"""What is used of this host, from the kernel's own counts."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from taxiway.domain.measurements import HostUse

_NOT_BUSY = (3, 4)
"""Columns of ``/proc/stat`` that count time without work: idle and waiting for disks (proc(5))."""


def host_use(data: Path) -> HostUse:
    """Look at the host; ``data`` is on the disk whose room matters."""
    memory = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines())
    kib = {name: int(memory[name].split()[0]) for name in ("MemTotal", "MemAvailable")}
    return HostUse(
        cpu_seconds=_busy_seconds(Path("/proc/stat").read_text(encoding="ascii")),
        memory_bytes=(kib["MemTotal"] - kib["MemAvailable"]) << 10,
        disk_free_bytes=shutil.disk_usage(data).free,
    )


def _busy_seconds(text: str) -> float:
    """Add up the busy time of all cores."""
    # The first eight: guests' time is counted in the user's already.
    columns = [int(word) for word in text.splitlines()[0].split()[1:9]]
    busy = sum(value for number, value in enumerate(columns) if number not in _NOT_BUSY)
    return busy / os.sysconf("SC_CLK_TCK")
