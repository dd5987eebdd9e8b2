"""How much memory and CPU a pod may use."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from taxiway.domain.errors import InvalidInput, LimitReached

MEBIBYTE = 1 << 20
MIN_MEMORY_BYTES = 32 * MEBIBYTE
MAX_MEMORY_BYTES = 1 << 44
MIN_CPUS = 0.1
MAX_CPUS = 256.0

_UNITS = {
    "": 1,
    "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12,
    "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40,
}  # fmt: skip
_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?)(|k|M|G|T|Ki|Mi|Gi|Ti)\Z", re.ASCII)
_CPUS = re.compile(r"(?:[0-9]{1,4}(?:\.[0-9]{1,3})?|[0-9]{1,7}m)\Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one pod may use: memory in bytes (a limit) and CPUs (cores, in steps of 0.001)."""

    memory_bytes: int = 1024 * MEBIBYTE
    cpus: float = 1.0

    def __post_init__(self) -> None:
        if not MIN_MEMORY_BYTES <= self.memory_bytes <= MAX_MEMORY_BYTES:
            raise InvalidInput(
                "Memory must be between 32Mi and 16Ti.",
                hint="Give for example 512Mi or 2Gi.",
                field="/memory",
            )
        if not MIN_CPUS <= self.cpus <= MAX_CPUS:
            raise InvalidInput(
                "CPUs must be between 0.1 and 256.", hint="Give for example 0.5, 500m or 2.", field="/cpus"
            )


MAX_PODS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How many pods a deployment has: always ``minimum``, never more than ``maximum``, which is one at least."""

    minimum: int = 1
    maximum: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.minimum <= MAX_PODS:
            raise InvalidInput(f"There are 0 to {MAX_PODS} pods at least.", hint="Give another.", field="/min_pods")
        if not max(self.minimum, 1) <= self.maximum <= MAX_PODS:
            raise InvalidInput(
                f"The most pods are between {max(self.minimum, 1)} and {MAX_PODS}.",
                hint="Give another.",
                field="/max_pods",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Capacity:
    """What this host has for pods: bytes and cores."""

    memory_bytes: int
    cpus: float

    def check_promised(self, promised: Sequence[tuple[Resources, int]], wanted: Resources, pods: int) -> None:
        """Raise LimitReached where so many pods more than are promised would be more than there is."""
        memory = sum(each.memory_bytes * count for each, count in promised)
        cpus = sum(each.cpus * count for each, count in promised)
        more = format_memory(wanted.memory_bytes * pods), f"{wanted.cpus * pods:g} CPUs"
        if memory + wanted.memory_bytes * pods > self.memory_bytes or cpus + wanted.cpus * pods > self.cpus:
            raise LimitReached(
                f"{more[0]} of memory and {more[1]} are wanted, and production is promised {format_memory(memory)} and "
                f"{cpus:g} CPUs already; this host has {format_memory(self.memory_bytes)} and {self.cpus:g} CPUs.",
                hint="Ask for less or for fewer pods, or switch another production deployment off.",
            )

    def check(self, resources: Resources) -> None:
        """Raise LimitReached for a pod that wants more than there is."""
        if resources.memory_bytes > self.memory_bytes:
            raise LimitReached(
                f"{format_memory(resources.memory_bytes)} of memory is more than the "
                f"{format_memory(self.memory_bytes)} that this host has.",
                hint="Ask for less memory.",
            )
        if resources.cpus > self.cpus:
            raise LimitReached(
                f"{resources.cpus:g} CPUs are more than the {self.cpus:g} that this host has.",
                hint="Ask for fewer CPUs.",
            )


def parse_memory(text: str, *, field: str = "/memory") -> int:
    """Return bytes for a Kubernetes quantity such as ``512Mi``, ``2Gi`` or ``1500M``; nothing else is accepted."""
    match = _QUANTITY.match(text)
    if match is None:
        raise InvalidInput(
            "Memory must be a number with a unit of k, M, G, T, Ki, Mi, Gi or Ti.",
            hint="Give for example 512Mi or 2Gi.",
            field=field,
        )
    return int(float(match[1]) * _UNITS[match[2]])


def parse_cpus(text: str, *, field: str = "/cpus") -> float:
    """Return cores for ``2``, ``0.5`` or ``500m``; nothing else is accepted."""
    if _CPUS.match(text) is None:
        raise InvalidInput("CPUs must be a number of cores.", hint="Give for example 0.5, 500m or 2.", field=field)
    return int(text[:-1]) / 1000 if text.endswith("m") else float(text)


def format_memory(memory_bytes: int) -> str:
    """Write bytes the way people give them: ``512Mi``, ``2Gi``, or plain bytes where no unit divides them."""
    for unit in ("Ti", "Gi", "Mi", "Ki"):
        if memory_bytes >= _UNITS[unit] and memory_bytes % _UNITS[unit] == 0:
            return f"{memory_bytes // _UNITS[unit]}{unit}"
    return str(memory_bytes)


def format_cpus(cpus: float) -> str:
    """Write cores without a trailing zero: ``1``, ``0.5``."""
    return f"{cpus:g}"
