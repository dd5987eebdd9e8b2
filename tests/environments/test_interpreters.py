"""Which Pythons are known, and when they are looked for again."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from taxiway.domain.errors import EnvironmentFailed
from taxiway.environments.interpreters import Interpreters, read_list


def an_entry(version: str, path: str | None, **changes: object) -> dict[str, object]:
    return {"version": version, "path": path, "implementation": "cpython", "variant": "default", **changes}


def test_only_usual_pythons_count_in_uvs_order() -> None:
    answer = json.dumps([
        an_entry("3.11.7", "/a/python3.11"),
        an_entry("3.11.2", "/usr/bin/python3.11"),
        an_entry("3.13.1", "/t/python3.13t", variant="freethreaded"),
        an_entry("3.11.13", "/p/pypy", implementation="pypy"),
        an_entry("3.12.16", None),
        an_entry("3.10.0", "/b/python3.10"),
    ])  # fmt: skip
    assert read_list(answer) == [
        ("3.11", Path("/a/python3.11")), ("3.11", Path("/usr/bin/python3.11")), ("3.10", Path("/b/python3.10")),
    ]  # fmt: skip
    assert read_list("") == []


class Host:
    """Pythons that come and go."""

    def __init__(self, *minors: str) -> None:
        self.minors = list(minors)
        self.looked = 0
        self.now = 100.0

    def find(self) -> dict[str, Path]:
        self.looked += 1
        return {minor: Path("/dev/null") for minor in self.minors}

    def interpreters(self) -> Interpreters:
        return Interpreters(self.find, monotonic=lambda: self.now)


def test_what_was_found_is_kept() -> None:
    host = Host("3.11", "3.9", "3.10")
    interpreters = host.interpreters()
    assert interpreters.get("3.11") == Path("/dev/null")
    assert interpreters.get("3.10") == Path("/dev/null")
    assert host.looked == 1
    assert interpreters.versions() == ("3.9", "3.10", "3.11")


def test_a_missing_one_is_looked_for_again_but_not_all_the_time() -> None:
    host = Host("3.11")
    interpreters = host.interpreters()
    assert interpreters.get("3.12") is None
    host.minors.append("3.12")
    assert interpreters.get("3.12") is None
    assert host.looked == 1
    host.now += 6
    assert interpreters.get("3.12") == Path("/dev/null")
    assert host.looked == 2


def test_one_that_was_removed_is_looked_for_again() -> None:
    host = Host("3.11")
    interpreters = Interpreters(
        lambda: {"3.11": Path("/nowhere/python")} if host.find() and host.looked == 1 else host.find(),
        monotonic=lambda: host.now,
    )
    assert interpreters.get("3.11") == Path("/nowhere/python")
    host.now += 6
    assert interpreters.get("3.11") == Path("/dev/null")


@pytest.mark.parametrize(
    ("trouble", "says"),
    [(FileNotFoundError("uv"), "is missing"), (subprocess.TimeoutExpired("uv", 30), "TimeoutExpired")],
)
def test_a_uv_that_does_not_answer_is_said_so(trouble: Exception, says: str) -> None:
    def find() -> dict[str, Path]:
        raise trouble

    with pytest.raises(EnvironmentFailed, match=says) as failure:
        Interpreters(find).get("3.11")
    assert failure.value.hint
