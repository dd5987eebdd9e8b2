"""Does what takes too long end, and nothing else?"""

from __future__ import annotations

import signal
from collections.abc import Iterator
from typing import Any

import pytest

from taxiway_scoring.deadlines import Deadline, Overdue


@pytest.fixture
def deadline() -> Iterator[Deadline]:
    """A deadline of 50 ms; SIGALRM is given back."""
    before = signal.getsignal(signal.SIGALRM)
    yield Deadline(0.05)
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def forever(_: Any) -> None:
    while True:
        try:
            signal.pause()
        except Exception:  # noqa: S112 - as a model may do
            continue


def test_a_call_that_does_not_end_is_interrupted_and_the_next_one_is_not(deadline: Deadline) -> None:
    for _ in range(2):
        with pytest.raises(Overdue):
            deadline.call(forever, None)
        assert deadline.call(lambda given: given + 1, 1) == 2


def test_a_model_that_swallows_it_is_interrupted_again(deadline: Deadline) -> None:
    swallowed: list[int] = []

    def stubborn(_: Any) -> None:
        while True:
            try:
                signal.pause()
            except BaseException:
                swallowed.append(1)
                if len(swallowed) > 2:
                    raise

    with pytest.raises(Overdue):
        deadline.call(stubborn, None)
    assert len(swallowed) == 3


def test_the_timer_stops_when_nothing_is_called(deadline: Deadline) -> None:
    assert deadline.call(len, "abc") == 3
    for _ in range(3):  # the tick after the call, one without any, which stops the timer, and none
        if signal.getitimer(signal.ITIMER_REAL)[0]:
            signal.sigtimedwait([], 0.03)
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
