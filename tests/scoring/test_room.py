"""Who gets memory for a body, and when?"""

from __future__ import annotations

from taxiway_scoring.room import Room


def test_what_fits_is_taken_at_once_the_rest_in_its_order() -> None:
    room, came = Room(100), list[str]()
    first, second, third = (lambda name=name: came.append(name) for name in ("first", "second", "third"))
    assert room.take(60, first)
    assert not room.take(70, second)
    assert not room.take(10, third), "nobody overtakes, or large bodies would wait for ever"
    assert came == []
    room.give_back(60)
    assert came == ["second", "third"]
    assert room.taken == 80


def test_who_leaves_lets_the_next_one_in() -> None:
    room, came = Room(100), list[str]()
    second, third = (lambda name=name: came.append(name) for name in ("second", "third"))
    assert room.take(60, second)
    assert not room.take(70, second)
    assert not room.take(10, third)
    room.leave(second)
    assert came == ["third"]


def test_a_body_larger_than_all_room_is_received_alone() -> None:
    room, came = Room(100), list[str]()
    assert room.take(10, came.clear)
    assert not room.take(500, lambda: came.append("large"))
    room.give_back(10)
    assert came == ["large"]
    assert not room.grow(1)


def test_what_grows_takes_what_is_there() -> None:
    room = Room(100)
    assert room.grow(60)
    assert room.grow(40)
    assert not room.grow(1)
    assert room.taken == 100
