"""What a revision that served had on disk, and has no more: seen when nothing runs of it, and made again.

A scoring server that runs needs neither the snapshot nor the model environment's directory any more; the next one
does. Somebody deleted them, a backup left them out, or the Python that the environment was made with is gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from taxiway.domain.conditions import Failure
from taxiway.domain.pods import PodObservation, PodPhase

FILES_GONE = "FilesGone"
"""The reason of a revision whose snapshot or model environment was deleted behind our back."""
_RUNNING = (PodPhase.STARTING, PodPhase.READY, PodPhase.UNREADY)


def runs_nowhere(pods: Sequence[PodObservation]) -> bool:
    """Tell whether no scoring server of these pods runs: they ended, wait to be started anew, or lost their stubs."""
    return not any(pod.phase in _RUNNING and pod.started_at is not None and pod.restart_at is None for pod in pods)


def what_is_lost(*, has_snapshot: bool, has_environment: bool) -> Failure | None:
    """Say what is gone without which no pod can start; None when nothing is."""
    kept = (("snapshot", has_snapshot), ("model environment", has_environment))
    lost = [f"its {name}" for name, is_there in kept if not is_there]
    if not lost:
        return None
    gone = " and ".join(lost)
    return Failure(
        reason=FILES_GONE,
        message=f"{gone[0].upper()}{gone[1:]} had gone from disk; what is missing is made again.",
        hint="See who deletes what is in Taxiway's data directory.",
    )


def not_made_again(failure: Failure) -> Failure:
    """Say of a revision that served that what it had on disk cannot be had any more."""
    way_out = "Or restore the data directory's snapshots/ and environments/ from a backup, and switch it ON."
    return replace(
        failure,
        reason=FILES_GONE,
        message=f"Its files had gone from disk and could not be made again: {failure.message}",
        hint=f"{failure.hint} {way_out}".strip(),
    )
