"""What every LogStore does."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.domain.ids import EnvironmentId, RevisionId
from taxiway.domain.logs import LogKind, LogName
from taxiway.monitoring.logs import FileLogStore, LogPlaces, open_build_log
from taxiway.ports import LogStore
from tests.fakes import FakeClock, FakeLogStore

BUILD = LogName(kind=LogKind.BUILD, id="e1")
UNKNOWN = LogName(kind=LogKind.POD, id="nobody")


@dataclass(kw_only=True)
class Kit:
    logs: LogStore
    write: Callable[[list[str]], None]
    """Write a whole build log."""
    bury: Callable[[str, RevisionId], LogName]
    """Leave the log of a dead pod of a revision."""


@pytest.fixture(params=["fake", pytest.param("files", marks=pytest.mark.integration)])
def kit(request: pytest.FixtureRequest, tmp_path: Path) -> Kit:
    if request.param == "fake":
        fake = FakeLogStore(FakeClock())

        def write(lines: list[str]) -> None:
            for line in lines:
                fake.write(BUILD, line)

        def bury(pod: str, revision: RevisionId) -> LogName:
            name = LogName(kind=LogKind.POD, id=pod)
            fake.belongs(revision, pod)
            fake.write(name, "last words")
            return name

        return Kit(logs=fake, write=write, bury=bury)
    places = LogPlaces(pods=tmp_path / "pods", dead_pods=tmp_path / "dead", builds=tmp_path / "builds")

    def write_file(lines: list[str]) -> None:
        log = open_build_log(places.builds, EnvironmentId(BUILD.id))
        for line in lines:
            log.write(line)
        log.close()

    def bury_file(pod: str, revision: RevisionId) -> LogName:
        log = open_build_log(places.dead_pods / pod, EnvironmentId("log"))
        log.write("last words")
        log.close()
        (places.dead_pods / pod / "pod.json").write_text(json.dumps({"pod": pod, "revision": revision}))
        return LogName(kind=LogKind.POD, id=pod)

    return Kit(logs=FileLogStore(places), write=write_file, bury=bury_file)


async def test_an_unknown_log_is_empty_and_complete(kit: Kit) -> None:
    for page in (await kit.logs.read(UNKNOWN), await kit.logs.tail(UNKNOWN)):
        assert (page.lines, page.is_complete) == ((), True)
    await kit.logs.forget(UNKNOWN)
    assert await kit.logs.pods_of(RevisionId("r9")) == []


async def test_a_log_is_read_page_by_page(kit: Kit) -> None:
    kit.write([f"line {number}" for number in range(5)])
    first = await kit.logs.read(BUILD, limit=3)
    assert [line.text for line in first.lines] == ["line 0", "line 1", "line 2"]
    assert not first.is_complete
    second = await kit.logs.read(BUILD, after=first.next_sequence, limit=3)
    assert [line.text for line in second.lines] == ["line 3", "line 4"]
    assert second.is_complete
    sequences = [line.sequence for line in (*first.lines, *second.lines)]
    assert sequences == sorted(set(sequences))
    rest = await kit.logs.read(BUILD, after=second.next_sequence)
    assert (rest.lines, rest.is_complete) == ((), True)


async def test_a_log_is_searched(kit: Kit) -> None:
    kit.write(["installing numpy", "installing pandas", "done"])
    page = await kit.logs.read(BUILD, contains="pandas")
    assert [line.text for line in page.lines] == ["installing pandas"]
    assert page.is_complete


async def test_the_last_lines_are_the_last(kit: Kit) -> None:
    kit.write([f"line {number}" for number in range(5)])
    page = await kit.logs.tail(BUILD, limit=2)
    assert [line.text for line in page.lines] == ["line 3", "line 4"]


async def test_dead_pods_are_listed_by_their_revision_until_they_are_forgotten(kit: Kit) -> None:
    first = kit.bury("p1", RevisionId("r1"))
    kit.bury("p2", RevisionId("r1"))
    kit.bury("p3", RevisionId("r2"))
    assert await kit.logs.pods_of(RevisionId("r1")) == ["p1", "p2"]
    assert [line.text for line in (await kit.logs.read(first)).lines] == ["last words"]
    await kit.logs.forget(first)
    await kit.logs.forget(first)
    assert await kit.logs.pods_of(RevisionId("r1")) == ["p2"]
    assert (await kit.logs.read(first)).lines == ()
