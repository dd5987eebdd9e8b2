"""The live display of the demo: one line a model, with the phases of its way to ON."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from enum import StrEnum
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from taxiway.wire.models import ModelVersionDetailOut, PhaseOut


class Stage(StrEnum):
    """What happens to a model before it has a status."""

    WAITING = "waiting"
    TRAINING = "training"
    CONVERTING = "converting"
    FOUND = "found"


class Line:
    """How far one model is. Written by its own thread, read by the display."""

    def __init__(self, model: str) -> None:
        self.model = model
        self.stage = Stage.WAITING
        self.seen: ModelVersionDetailOut | None = None
        self.trouble = ""
        self.is_done = False
        self.began = time.monotonic()
        self.seconds: float | None = None
        self.spent: dict[str, float] = {}

    def begin(self, stage: Stage) -> None:
        """Go on to a stage."""
        self._finish_stage()
        self.stage, self.began = stage, time.monotonic()

    def _finish_stage(self) -> None:
        if self.stage is Stage.TRAINING:
            self.spent[self.stage] = time.monotonic() - self.began

    def show(self, seen: ModelVersionDetailOut) -> None:
        """Take what the control plane says."""
        self._finish_stage()
        self.stage, self.seen = Stage.FOUND, seen

    def end(self, seen: ModelVersionDetailOut | None, trouble: str) -> None:
        """Take the end, good or bad."""
        self.seen = seen or self.seen
        self.trouble = trouble.strip()
        self.is_done = True

    @property
    def status(self) -> str:
        """The word to show."""
        if self.trouble:
            return "Failed"
        return str(self.seen.status) if self.seen is not None else str(self.stage)

    def steps(self) -> list[str]:
        """Return the steps so far, each with its seconds."""
        texts = [f"{name} {seconds:.1f} s" for name, seconds in self.spent.items()]
        if self.stage in (Stage.TRAINING, Stage.CONVERTING):
            texts.append(f"{self.stage} {time.monotonic() - self.began:.0f} s …")
        elif self.seen is not None:
            texts += [describe(phase) for phase in self.seen.phases]
        return texts


def describe(phase: PhaseOut) -> str:
    """Return a phase as a few words: its name, its seconds or its progress, its detail while it runs."""
    if phase.seconds is not None:
        return f"{phase.name} {phase.seconds:.1f} s"
    progress = f" {phase.progress:.0%}" if phase.progress is not None else ""
    return f"{phase.name}{progress} … {phase.detail}".rstrip()


class Board:
    """All lines, drawn live on a terminal and as plain lines elsewhere."""

    def __init__(self, models: Sequence[str], console: Console) -> None:
        self._lines = {model: Line(model) for model in models}
        self._console = console
        self._live = Live(console=console, refresh_per_second=8) if console.is_terminal else None
        self._told: dict[str, list[str]] = {model: [] for model in models}

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._draw()
        if self._live is not None:
            self._live.stop()

    def line(self, model: str) -> Line:
        """Return a model's line."""
        return self._lines[model]

    def seen(self, model: str) -> ModelVersionDetailOut:
        """Return what was last seen of a model that is ON."""
        seen = self._lines[model].seen
        assert seen is not None
        return seen

    def watch(self, threads: Sequence[threading.Thread]) -> None:
        """Draw until all threads have ended."""
        while any(thread.is_alive() for thread in threads):
            self._draw()
            time.sleep(0.15)

    def failures(self) -> list[str]:
        """Return a sentence for each model that is not ON."""
        return [f"{line.model}: {line.trouble}" for line in self._lines.values() if line.trouble]

    def _draw(self) -> None:
        if self._live is not None:
            self._live.update(self._table())
            return
        for line in self._lines.values():
            ended = [step for step in line.steps() if "…" not in step]
            if line.is_done:
                ended.append(line.status)
            for step in ended[len(self._told[line.model]) :]:
                self._console.print(f"{line.model}: {step}", highlight=False)
            self._told[line.model] = ended

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for title in ("MODEL", "STATUS", "PHASES"):
            table.add_column(title, overflow="fold")
        styles = {"ON": "bold green", "Failed": "bold red"}
        for line in self._lines.values():
            status = Text(line.status, style=styles.get(line.status, "cyan"))
            table.add_row(line.model, status, " → ".join(line.steps()))
        return table
