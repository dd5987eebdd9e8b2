"""What happened can be told apart: what somebody asked for, how the status changed, what revisions went through."""

from __future__ import annotations

from taxiway.domain.events import Topic
from tests.control.harness import ControlPlane
from tests.fakes import PodFate


async def told(plane: ControlPlane, topic: Topic) -> list[tuple[str, str]]:
    return [(event.was, event.became) for event in await plane.events() if event.topic is topic]


async def test_the_status_goes_its_way_once(plane: ControlPlane) -> None:
    await plane.convert()
    await plane.settle()
    await plane.off()
    await plane.settle()

    assert await told(plane, Topic.REQUEST) == [("", "Queued"), ("on", "off")]
    assert await told(plane, Topic.STATUS) == [
        ("Queued", "Preparing"), ("Preparing", "Starting"), ("Starting", "ON"), ("ON", "Stopping"), ("Stopping", "OFF"),
    ]  # fmt: skip
    assert (await told(plane, Topic.REVISION))[-1] == ("Retiring", "Retired")


async def test_a_failure_is_told_of_the_revision_and_of_the_deployment(plane: ControlPlane) -> None:
    plane.world.runtime.fate = PodFate.FAILS_FOR_GOOD
    await plane.convert()
    await plane.settle()

    assert (await told(plane, Topic.STATUS))[-1] == ("Starting", "Failed")
    assert (await told(plane, Topic.REVISION))[-1] == ("Starting", "Failed")
