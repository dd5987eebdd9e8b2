"""The live display of phases while something is waited for; plain lines where stderr is no terminal.

What was so before the command began is not shown again.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from taxiway.wire.models import ModelVersionDetailOut, PhaseOut

STYLES = {"ON": "bold green", "Failed": "bold red", "Degraded": "bold yellow", "OFF": "dim"}


@contextmanager
def phases_display(before: ModelVersionDetailOut | None = None) -> Iterator[Callable[[ModelVersionDetailOut], None]]:
    """Give a function that shows what it is given, but for the phases that had ended ``before``."""
    old = frozenset(_key(phase) for phase in before.phases if phase.ended_at is not None) if before else frozenset()
    if not sys.stderr.isatty():
        yield PlainLines(old)
        return
    with Live(console=Console(stderr=True, highlight=False), refresh_per_second=10, transient=False) as live:
        yield lambda seen: live.update(render(seen, without=old))


PhaseKey = tuple[str, datetime]


def _key(phase: PhaseOut) -> PhaseKey:
    """Tell a phase from that of an earlier attempt."""
    return phase.name, phase.began_at


class PlainLines:
    """Writes a line when a phase ends or the status changes."""

    def __init__(self, old: Collection[PhaseKey] = ()) -> None:
        self._old = old
        self._said: set[str] = set()
        self._began = time.monotonic()

    def __call__(self, seen: ModelVersionDetailOut) -> None:
        """Write what is new."""
        if seen.observed_generation < seen.generation:
            return  # what is seen still speaks of what was wanted before
        name = f"{seen.model}/{seen.version}"
        for phase in seen.phases:
            if phase.seconds is not None and _key(phase) not in self._old:
                self._say(f"{name} {phase.name}: {phase.seconds:.1f} s {phase.detail}".rstrip())
        self._say(f"{name} {seen.status}: {seen.message}" if seen.status == "Failed" else f"{name} {seen.status}")

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            sys.stderr.write(f"[{time.monotonic() - self._began:6.1f} s] {text}\n")


def render(seen: ModelVersionDetailOut, *, without: Collection[PhaseKey] = ()) -> Group:
    """Draw a model version's status and phases."""
    head = Text(f"{seen.model}/{seen.version}  ", style="bold")
    head.append(str(seen.status), style=STYLES.get(str(seen.status), "cyan"))
    head.append(f"  {seen.message}", style="default")
    return Group(head, *(_phase(phase) for phase in seen.phases if _key(phase) not in without))


def _phase(phase: PhaseOut) -> Text:
    is_done = phase.ended_at is not None
    line = Text("  ✓ " if is_done else "  … ", style="green" if is_done else "cyan")
    line.append(f"{phase.name:<12}", style="default")
    seconds = phase.seconds if phase.seconds is not None else (datetime.now(UTC) - phase.began_at).total_seconds()
    line.append(f"{max(seconds, 0):7.1f} s  ", style="dim")
    if phase.progress is not None and not is_done:
        filled = round(phase.progress * 20)
        line.append("█" * filled + "░" * (20 - filled) + f" {phase.progress:4.0%} ")
    line.append(phase.detail, style="default")
    return line
