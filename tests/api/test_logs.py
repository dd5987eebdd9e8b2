"""Logs of builds and pods: read, search, follow."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from taxiway.api.services import STREAMS_PER_USER
from taxiway.domain.ids import RevisionId
from taxiway.domain.logs import LogKind, LogName, LogPage
from taxiway.wire.models import LogPageOut
from tests.api.world import POD, VERSION, World
from tests.fakes import FakeLogStore

POD_LOG = LogName(kind=LogKind.POD, id=POD)


async def read(world: World, kind: str, **query: str) -> LogPageOut:
    answer = await world.speak_as("member").get(f"{VERSION}/logs/{kind}", params=query)
    assert answer.status_code == 200, answer.text
    return LogPageOut.model_validate(answer.json())


@pytest.mark.parametrize(
    ("query", "texts"),
    [
        ({}, ["starting", "loaded in 1.2 s", "ready"]),
        ({"after": "2"}, ["ready"]),
        ({"tail": "1"}, ["ready"]),
        ({"contains": "a"}, ["starting", "loaded in 1.2 s", "ready"]),
        ({"contains": "load"}, ["loaded in 1.2 s"]),
        ({"contains": "a", "tail": "2"}, ["loaded in 1.2 s", "ready"]),
        ({"limit": "1"}, ["starting"]),
        ({"pod": POD}, ["starting", "loaded in 1.2 s", "ready"]),
    ],
)
async def test_lines_are_chosen(world: World, query: dict[str, str], texts: list[str]) -> None:
    page = await read(world, "pod", **query)

    assert [line.text for line in page.lines] == texts
    assert page.log == POD


async def test_the_build_log_is_that_of_the_newest_revision(world: World) -> None:
    page = await read(world, "build")

    assert [line.text for line in page.lines] == ["Resolved 41 packages"]


async def test_the_newest_pod_is_read_also_when_it_is_dead(world: World) -> None:
    revision = RevisionId(world.secrets.ids["revision"])
    world.pods.clear()
    world.logs.write(LogName(kind=LogKind.POD, id="p2"), "killed")
    world.logs.belongs(revision, "p2")

    assert (await read(world, "pod")).log == "p2"
    assert (await read(world, "pod", pod=POD)).log == POD
    pods = (await world.speak_as("member").get(f"{VERSION}/pods")).json()["items"]
    assert [(pod["id"], pod["phase"]) for pod in pods] == [("p2", None), (POD, None)]


async def test_a_pod_of_another_deployment_is_not_there(world: World) -> None:
    world.logs.write(LogName(kind=LogKind.POD, id="p9"), "other people's")
    world.logs.belongs(RevisionId("r-other-1"), "p9")
    for path in (f"{VERSION}/logs/pod", f"{VERSION}/logs/pod/stream"):
        answer = await world.speak_as("member").get(path, params={"pod": "p9"})
        assert answer.status_code == 404


async def test_without_a_pod_there_is_nothing_yet(world: World) -> None:
    world.pods.clear()
    world.logs.lines.clear()

    page = await read(world, "pod")

    assert (page.lines, page.log, page.is_complete) == ([], "", False)


async def write_accesses(world: World) -> None:
    """Have the gateway write of this deployment and of another one, whose caller tries to be taken for this one's."""
    mine = (await world.speak_as("member").get(VERSION)).json()["deployment"]
    for fields in (
        {"deployment": mine, "path": "/invocations", "status": 200},
        {"deployment": "other", "path": f'/"deployment":"{mine}"', "status": 200},
        {"deployment": mine, "path": "/invocations", "status": 503},
    ):
        world.logs.write(LogName(kind=LogKind.GATEWAY), json.dumps(fields, separators=(",", ":")))


@pytest.mark.parametrize("query", [{}, {"tail": "5"}])
async def test_the_access_log_has_the_deployments_own_requests(world: World, query: dict[str, str]) -> None:
    await write_accesses(world)

    page = await read(world, "access", **query)

    assert [json.loads(line.text)["status"] for line in page.lines] == [200, 503]
    assert page.log == "access"
    assert [line.sequence for line in (await read(world, "access", contains="503")).lines] == [3]


async def test_the_access_log_can_be_followed(world: World) -> None:
    await write_accesses(world)

    answer = await world.speak_as("member").get(f"{VERSION}/logs/access/stream", params={"contains": "503"})

    lines = [event for event in events_of(answer.text) if event["event"] == "line"]
    assert [json.loads(event["data"])["sequence"] for event in lines] == [3]


async def test_an_access_log_belongs_to_no_pod(world: World) -> None:
    answer = await world.speak_as("member").get(f"{VERSION}/logs/access", params={"pod": POD})

    assert answer.status_code == 400


def events_of(text: str) -> list[dict[str, str]]:
    blocks = [block for block in text.split("\n\n") if block and not block.startswith(":")]
    return [dict(line.split(": ", 1) for line in block.splitlines()) for block in blocks]


async def test_a_stream_ends_when_the_log_does(world: World) -> None:
    answer = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream")

    events = events_of(answer.text)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [event["event"] for event in events] == ["line", "line", "line", "end"]
    assert [event["id"] for event in events[:3]] == ["p1:1", "p1:2", "p1:3"]
    assert json.loads(events[0]["data"])["text"] == "starting"


@pytest.mark.parametrize(
    ("last", "count"), [("p1:2", 1), ("p1:3", 0), ("nonsense", 3), ("p1:x", 3), ("p1:" + "9" * 40, 3), (":", 3)]
)
async def test_a_stream_goes_on_after_the_last_event(world: World, last: str, count: int) -> None:
    answer = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream", headers={"Last-Event-ID": last})

    assert [event["event"] for event in events_of(answer.text)] == ["line"] * count + ["end"]


class Growing(FakeLogStore):
    """A log whose writer writes once more at the third look, and ends."""

    looks = 0

    async def read(self, name: LogName, *, after: int = 0, limit: int = 1000, contains: str | None = None) -> LogPage:
        self.looks += 1
        if self.looks == 3:
            self.write(name, "a new line")
            self.writing.discard(name)
        return await super().read(name, after=after, limit=limit, contains=contains)


async def test_a_stream_follows_what_is_written(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taxiway.api.logs.LOOK_EVERY_SECONDS", 0)
    growing = Growing(world.clock)
    growing.lines, growing.pods, growing.writing = world.logs.lines, world.logs.pods, {POD_LOG}
    world.services = replace(world.services, logs=growing)

    answer = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream", params={"contains": "new"})

    assert [json.loads(event["data"]).get("text") for event in events_of(answer.text)] == ["a new line", None]


async def test_a_stream_ends_some_day_so_that_its_reader_is_authorised_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taxiway.api.logs.STREAM_LIFE_SECONDS", 0.0)

    answer = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream")

    assert events_of(answer.text) == []


async def test_a_person_has_so_many_streams(world: World) -> None:
    streams = world.app.state.streams
    member = (await world.services.users.find_id("member")) or ""
    holders = [streams.hold(member) for _ in range(STREAMS_PER_USER)]
    for holder in holders:
        holder.__enter__()

    refused = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream")
    others = await world.speak_as("admin").get(f"{VERSION}/logs/pod/stream")
    for holder in holders:
        holder.__exit__(None, None, None)
    again = await world.speak_as("member").get(f"{VERSION}/logs/pod/stream")

    assert (refused.status_code, others.status_code, again.status_code) == (429, 200, 200)


async def test_engines_logs_are_for_administrators(world: World) -> None:
    world.logs.write(LogName(kind=LogKind.TRACKING), "MLflow is up")

    answer = await world.speak_as("admin").get("/api/v1/platform/logs/mlflow")

    assert [line["text"] for line in answer.json()["lines"]] == ["MLflow is up"]
