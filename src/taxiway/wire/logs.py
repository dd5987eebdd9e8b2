"""What the control API returns about whose logs are kept."""

from __future__ import annotations

from taxiway.wire import Out


class PodLogOut(Out):
    """A pod whose log is kept; ``phase`` is null for a dead one."""

    id: str
    revision: int
    phase: str | None


class PodLogList(Out):
    """Pods, newest first."""

    items: list[PodLogOut]
