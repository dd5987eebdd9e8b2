"""The work queue and the loop around it, in an event loop whose time is ours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeVar

import pytest

from taxiway.control.controller import Controller
from taxiway.control.queue import FIRST_DELAY, LONGEST_DELAY, WorkQueue
from taxiway.domain.errors import TrackingUnavailable

T = TypeVar("T")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: when nothing is ready, it is at once the time of what comes next."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        ready: object = self._ready  # type: ignore[attr-defined]
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        if not ready and scheduled:
            self._now = max(self._now, scheduled[0].when())
        super()._run_once()  # type: ignore[misc]


def at_no_time(scene: Callable[[], Awaitable[T]]) -> T:
    """Play a scene in virtual time."""

    async def play() -> T:
        return await scene()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(play())


def now() -> float:
    return asyncio.get_running_loop().time() - 1000.0


async def taken(queue: WorkQueue, *, within: float = 0.0) -> str | None:
    """Return the next key, or None when none comes within so many seconds."""
    try:
        async with asyncio.timeout(within or 0.001):
            return await queue.take()
    except TimeoutError:
        return None


def test_a_key_that_is_put_twice_is_taken_once() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        queue.put("a")
        queue.put("b")
        queue.put("a")
        assert [await taken(queue), await taken(queue), await taken(queue)] == ["a", "b", None]

    at_no_time(scene)


def test_a_key_is_never_worked_on_twice_at_the_same_time_and_comes_again_afterwards() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        queue.put("a")
        assert await taken(queue) == "a"
        queue.put("a")
        queue.put("a")
        assert await taken(queue) is None
        queue.done("a")
        assert await taken(queue) == "a"
        queue.done("a")
        assert await taken(queue) is None

    at_no_time(scene)


def test_the_earliest_time_counts() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        queue.put_after("a", timedelta(seconds=10))
        queue.put_after("a", timedelta(seconds=3))
        queue.put_after("a", timedelta(seconds=20))
        assert await queue.take() == "a"
        assert now() == pytest.approx(3)
        queue.done("a")
        assert await taken(queue, within=60) is None

    at_no_time(scene)


def test_now_is_earlier_than_later() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        queue.put_after("a", timedelta(seconds=10))
        queue.put("a")
        assert await queue.take() == "a"
        assert now() == pytest.approx(0)
        queue.done("a")
        assert await taken(queue, within=60) is None

    at_no_time(scene)


def test_a_wish_for_later_that_falls_due_during_work_is_kept() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        queue.put("a")
        await queue.take()
        queue.put_after("a", timedelta(seconds=1))
        await asyncio.sleep(5)
        assert await taken(queue) is None
        queue.done("a")
        assert await taken(queue) == "a"

    at_no_time(scene)


def test_keys_fall_due_in_their_order() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        for key, seconds in (("c", 3), ("a", 1), ("b", 2)):
            queue.put_after(key, timedelta(seconds=seconds))
        assert [await queue.take() for _ in range(3)] == ["a", "b", "c"]
        assert now() == pytest.approx(3)

    at_no_time(scene)


def test_failures_come_back_slower_and_slower_and_success_forgets_them() -> None:
    async def scene() -> None:
        queue = WorkQueue()
        delays = []
        queue.put("a")
        for _ in range(12):
            assert await queue.take() == "a"
            delays.append(queue.done("a", failed=True))
        assert delays[:4] == [FIRST_DELAY * factor for factor in (1, 2, 4, 8)]
        assert delays[-1] == LONGEST_DELAY
        assert await queue.take() == "a"
        assert queue.done("a") is None
        queue.put("a")
        await queue.take()
        assert queue.done("a", failed=True) == FIRST_DELAY

    at_no_time(scene)


def test_many_workers_share_one_queue() -> None:
    async def scene() -> None:
        queue, worked = WorkQueue(), []

        async def work() -> None:
            while True:
                key = await queue.take()
                await asyncio.sleep(1)
                worked.append((key, now()))
                queue.done(key)

        workers = [asyncio.create_task(work()) for _ in range(4)]
        for n in range(8):
            queue.put(f"k{n}")
        await asyncio.sleep(2.5)
        assert sorted(key for key, _ in worked) == [f"k{n}" for n in range(8)]
        assert {round(at) for _, at in worked} == {1, 2}
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)

    at_no_time(scene)


class Noun:
    """Keys and what becomes of them."""

    def __init__(self, *, delays: dict[str, float] | None = None, fails: int = 0) -> None:
        self.delays = delays or {}
        self.fails = fails
        self.keys_fail = 0
        self.seen: list[tuple[str, float]] = []

    async def keys(self) -> list[str]:
        if self.keys_fail:
            self.keys_fail -= 1
            raise OSError("no database")
        return ["a"]

    async def reconcile(self, key: str) -> timedelta | None:
        self.seen.append((key, round(now(), 3)))
        if self.fails:
            self.fails -= 1
            raise TrackingUnavailable("Not now.", hint="Later.")
        return timedelta(seconds=self.delays[key]) if key in self.delays else None


def play(noun: Noun, seconds: float, *, and_then: Callable[[Controller], None] = lambda _: None) -> Noun:
    async def scene() -> None:
        controller = Controller("noun", reconcile=noun.reconcile, keys=noun.keys, resync=timedelta(seconds=15))
        running = asyncio.create_task(controller.run())
        await asyncio.sleep(1)
        and_then(controller)
        await asyncio.sleep(seconds - 1)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_no_time(scene)
    return noun


def test_a_controller_looks_at_all_keys_at_the_start_and_again_and_again() -> None:
    assert play(Noun(), 31).seen == [("a", 0.0), ("a", 15.0), ("a", 30.0)]


def test_a_controller_comes_back_when_the_plan_says_so() -> None:
    assert play(Noun(delays={"a": 4}), 10).seen == [("a", 0.0), ("a", 4.0), ("a", 8.0)]


def test_a_controller_works_on_what_it_is_told_at_once() -> None:
    assert play(Noun(), 3, and_then=lambda controller: controller.queue.put("b")).seen == [("a", 0.0), ("b", 1.0)]


def test_a_worker_that_is_told_again_and_again_rests_in_between() -> None:
    began: list[float] = []

    async def reconcile(_key: str) -> None:
        began.append(round(now(), 3))
        await asyncio.sleep(1)

    async def scene() -> None:
        controller = Controller("noun", reconcile=reconcile, keys=Noun().keys, width=1, share=0.25)
        running = asyncio.create_task(controller.run())
        for _ in range(100):
            await asyncio.sleep(0.1)
            controller.queue.put("a")
        await asyncio.sleep(10)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    at_no_time(scene)
    assert began[:3] == [0.0, 4.0, 8.0]
    assert 8.0 < began[3] <= 12.0, "what it was told last is not lost"


def test_a_controller_survives_failures() -> None:
    assert [at for _, at in play(Noun(fails=3), 5).seen] == [0.0, 0.1, 0.3, 0.7]


def test_a_controller_survives_a_database_that_does_not_answer() -> None:
    noun = Noun()
    noun.keys_fail = 1
    assert play(noun, 20).seen == [("a", 15.0)]
