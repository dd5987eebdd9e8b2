"""Does a live answer that differs from pyfunc turn the path off, and is that told?"""

from __future__ import annotations

from taxiway.control.checking import LiveChecks
from taxiway.domain.proofs import LiveCheck
from taxiway.domain.revisions import RevisionState, RevisionWanted
from tests.control.harness import ControlPlane


def checks_of(plane: ControlPlane) -> LiveChecks:
    world = plane.world
    return LiveChecks(
        database=plane.database, prover=world.prover, observed=plane.observed, nudge=plane.nudge, now=world.clock
    )


async def test_a_difference_renews_the_revision_and_is_told(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    (revision,) = await plane.revisions()
    digest = (await plane.snapshot()).digest
    assert digest is not None
    plane.world.prover.found[digest] = LiveCheck(rows=5, differences=1, where="row 2")
    plane.world.clock.advance(30)
    await checks_of(plane).look()
    await plane.settle()
    (told,) = [event for event in await plane.events() if event.reason == "PlanTurnedOff"]
    assert (told.was, told.became) == ("Ready", "Ready")
    assert "of 5 rows that callers sent, 1 differ from pyfunc (row 2)" in told.message
    first, second = await plane.revisions()
    assert (first.wanted, second.wanted) == (RevisionWanted.RETIRE, RevisionWanted.SERVE)
    assert (second.number, second.options, second.request) == (2, revision.options, revision.request)
    assert second.state is RevisionState.READY
    assert await plane.status() == "ON"


async def test_what_is_equal_is_left_alone(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    count = len(await plane.events())
    digest = (await plane.snapshot()).digest
    assert digest is not None
    plane.world.prover.found[digest] = LiveCheck(rows=5, differences=0)
    await checks_of(plane).look()
    assert len(await plane.events()) == count
