"""Environments on disk: whole or not there, read-only, and gone at once when dropped."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from taxiway.domain.environments import EnvironmentRequest
from taxiway.domain.errors import EnvironmentFailed
from taxiway.domain.ids import EnvironmentId
from taxiway.environments import sealing
from taxiway.environments.sealing import Skeleton
from tests.environments.builders import a_request

REQUEST = a_request("alpha==1")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "environments"
    home.mkdir()
    return home


def a_building(home: Path, request: EnvironmentRequest = REQUEST) -> Path:
    building = sealing.new_building(home, request.id)
    (building / "bin").mkdir(parents=True)
    (building / "bin" / "python").symlink_to("/bin/sh")
    (building / "pyvenv.cfg").write_text("home = /bin\n")
    (building / "lib").mkdir()
    (building / "lib" / "module.py").write_text("x = 1\n")
    (building / ".lock").touch()
    return building


def an_environment(home: Path, request: EnvironmentRequest = REQUEST) -> Path:
    building = a_building(home, request)
    sealing.seal(building, request, skeleton=Skeleton.of(building), packages=7)
    sealing.move_into_place(building, home, request.id)
    return home / request.id


def test_a_sealed_environment_says_what_it_is(home: Path) -> None:
    directory = an_environment(home)
    assert json.loads((directory / "request.json").read_text())["requirements"] == ["alpha==1"]
    assert sealing.packages_in(home, REQUEST.id) == 7
    assert sealing.sealed_in(home) == [REQUEST.id]
    assert not (directory / ".lock").exists()


def test_nothing_in_it_can_be_written(home: Path) -> None:
    directory = an_environment(home)
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            assert not stat.S_IMODE(path.stat().st_mode) & 0o222, path


def test_what_is_not_sealed_is_not_there(home: Path) -> None:
    building = a_building(home)
    sealing.seal(building, REQUEST, skeleton=Skeleton.of(building), packages=7)
    assert sealing.packages_in(home, REQUEST.id) is None
    assert sealing.sealed_in(home) == []


def test_one_whose_python_is_gone_is_not_ready_and_is_replaced(home: Path) -> None:
    directory = an_environment(home)
    directory.chmod(0o700)
    (directory / "bin").chmod(0o700)
    (directory / "bin" / "python").unlink()
    assert sealing.packages_in(home, REQUEST.id) is None
    assert sealing.sealed_in(home) == [REQUEST.id]  # it must be found to be dropped
    an_environment(home)
    assert sealing.packages_in(home, REQUEST.id) == 7
    assert [path.name for path in home.iterdir()] == [REQUEST.id]


@pytest.mark.parametrize("what", ["pyvenv.cfg", "bin/python", "bin/python3"])
def test_a_package_that_replaces_the_environment_itself_is_found_out(home: Path, what: str) -> None:
    building = a_building(home)
    skeleton = Skeleton.of(building)
    (building / what).unlink(missing_ok=True)
    (building / what).write_text("home = /secret/bin\n")
    with pytest.raises(EnvironmentFailed, match="replaced"):
        sealing.seal(building, REQUEST, skeleton=skeleton, packages=7)


def test_a_package_cannot_say_what_the_environment_is(home: Path) -> None:
    building = a_building(home)
    elsewhere = home / "elsewhere"
    elsewhere.write_text("kept")
    (building / "sealed.json").symlink_to(elsewhere)
    (building / "request.json").mkdir()
    (building / "request.json" / "x").touch()
    sealing.seal(building, REQUEST, skeleton=Skeleton.of(building), packages=3)
    sealing.move_into_place(building, home, REQUEST.id)
    assert sealing.packages_in(home, REQUEST.id) == 3
    assert elsewhere.read_text() == "kept"


def test_dropping_twice_is_dropping_once(home: Path) -> None:
    an_environment(home)
    sealing.drop(home, REQUEST.id)
    sealing.drop(home, REQUEST.id)
    assert list(home.iterdir()) == []


def test_only_environments_can_be_dropped(home: Path) -> None:
    (home.parent / "precious").mkdir()
    sealing.drop(home, EnvironmentId("../precious"))
    assert (home.parent / "precious").exists()
    assert sealing.packages_in(home, EnvironmentId("../precious")) is None


def test_leftovers_of_a_crash_go_and_environments_stay(home: Path) -> None:
    an_environment(home)
    building = a_building(home, a_request("beta"))
    (building / "process").write_text(json.dumps({"pid": 1, "ticks": -1, "boot": "another"}))
    (home / ".dropped-x-y" / "lib").mkdir(parents=True)
    (home / ".dropped-x-y" / "lib").chmod(0o500)
    assert sealing.clear_leftovers(home) == 2
    assert [path.name for path in home.iterdir()] == [REQUEST.id]
    assert sealing.clear_leftovers(home / "missing") == 0
