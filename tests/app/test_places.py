"""The run directory is cleared away, and nothing that is not ours with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.app.places import Places, clear_run_directory


@pytest.fixture
def places(tmp_path: Path) -> Places:
    made = Places(data=tmp_path / "data", run=tmp_path / "r")
    made.run.mkdir()
    return made


def test_sockets_and_directory_go(places: Places) -> None:
    (places.pod_sockets / "a-pod").mkdir(parents=True)
    left = places.control_socket.with_name(f"{places.control_socket.name}.4711")
    for socket in (places.control_socket, left, places.pod_sockets / "a-pod" / "s"):
        socket.touch()

    clear_run_directory(places)
    clear_run_directory(places)

    assert not places.run.exists()


def test_what_is_not_ours_stays(places: Places) -> None:
    (places.run / "notes.txt").write_text("mine")

    clear_run_directory(places)

    assert (places.run / "notes.txt").read_text() == "mine"


def test_a_link_in_its_place_is_not_followed(places: Places, tmp_path: Path) -> None:
    others = tmp_path / "others"
    (others / "p").mkdir(parents=True)
    places.run.rmdir()
    places.run.symlink_to(others)

    clear_run_directory(places)

    assert (others / "p").exists()
