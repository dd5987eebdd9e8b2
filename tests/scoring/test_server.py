"""The HTTP server, fed with bytes: framing, limits, order, ends."""

from __future__ import annotations

import asyncio
import json
import random
import threading

import pytest

from taxiway_scoring.server import (
    FREE_BYTES,
    LINGER_SECONDS,
    MAX_HEADER_BYTES,
    MAX_URL_BYTES,
    SMALL_BYTES,
    ServerLimits,
)
from tests.scoring.apps import Wire, a_post, an_app

BODY = b'{"inputs": [1.5]}'
PING = b"GET /ping HTTP/1.1\r\nHost: x\r\n\r\n"


def statuses(answers: list[tuple[int, dict[str, str], bytes]]) -> list[int]:
    return [status for status, _, _ in answers]


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("piece", [0, 1, 7])
async def test_a_request_is_answered_however_it_is_cut(piece: int) -> None:
    wire = Wire(an_app(lambda request: request.value))
    wire.feed(a_post(BODY, "Content-Type: application/json"), piece=piece)
    ((status, headers, body),) = await wire.settle()
    assert (status, json.loads(body)) == (200, {"predictions": [1.5]})
    assert headers["content-type"] == "application/json"
    assert len(headers["x-request-id"]) == 32
    assert "connection" not in headers
    assert not wire.transport.is_closed


async def test_a_large_body_in_one_piece_with_its_headers() -> None:
    """More than the limit for headers arrives with the first read; only headers count as headers."""
    wire = Wire(an_app(lambda request: len(request.value)))
    body = json.dumps({"inputs": [1.5] * 50_000}).encode()
    wire.feed(a_post(body))
    ((status, _, answer),) = await wire.settle()
    assert (status, json.loads(answer)) == (200, {"predictions": 50_000})


async def test_requests_in_a_pipeline_are_answered_in_order() -> None:
    wire = Wire(an_app(lambda request: request.value))
    bodies = [f'{{"inputs": [{number}.0]}}'.encode() for number in range(40)]
    wire.feed(b"".join(a_post(body) for body in bodies))
    assert wire.transport.is_paused, "what is sent ahead is bounded"
    answers = await wire.settle()
    assert [json.loads(body)["predictions"] for _, _, body in answers] == [[float(n)] for n in range(40)]
    assert not wire.transport.is_paused


async def test_chunked_bodies_and_trailers() -> None:
    wire = Wire(an_app(lambda request: request.value))
    head = b"POST /invocations HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunks = b"7\r\n" + BODY[:7] + b"\r\n" + b"%x;a=b\r\n" % len(BODY[7:]) + BODY[7:] + b"\r\n0\r\n"
    wire.feed(head + chunks + b"Content-Type: text/csv\r\nX-Request-Id: trailer\r\n\r\n" + PING, piece=3)
    (status, headers, body), (ping, _, _) = await wire.settle()
    assert (status, ping, json.loads(body)) == (200, 200, {"predictions": [1.5]})
    assert headers["x-request-id"] != "trailer"


LIMITS = ServerLimits(body_bytes=100)
REFUSED = {
    "body": (a_post(b"x" * 101), 413, "BodyTooLarge"),
    "chunked body": (
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"32\r\n" + b"x" * 50 + b"\r\n" * 1
        + b"33\r\n" + b"x" * 51, 413, "BodyTooLarge",
    ),
    "url": (b"GET /" + b"x" * MAX_URL_BYTES + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "UrlTooLong"),
    "headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 6000 + b"\r\n", 431, "HeadersTooLarge"),
    "one header": (b"GET / HTTP/1.1\r\nA: " + b"x" * MAX_HEADER_BYTES + b"\r\n\r\n", 431, "HeadersTooLarge"),
    "garbage": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "MalformedRequest"),
    "both lengths": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "MalformedRequest",
    ),
    "two lengths": (
        b"POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400, "MalformedRequest",
    ),
    "two types": (a_post(BODY, "Content-Type: text/csv", "Content-Type: application/json"), 400, "MalformedRequest"),
    "length": (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, "MalformedRequest"),
    "huge length": (b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400, "MalformedRequest"),
    "space before colon": (b"POST / HTTP/1.1\r\nContent-Length : 4\r\n\r\nabcd", 400, "MalformedRequest"),
    "bad chunk": (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400, "MalformedRequest"),
    "other encoding": (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\nzz\r\n", 400, "MalformedRequest"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("piece", [0, 100])
async def test_what_is_too_much_or_no_http_is_refused_once(name: str, piece: int) -> None:
    data, expected, reason = REFUSED[name]
    wire = Wire(limits=LIMITS)
    wire.feed(data + b"more" * 1000, piece=piece)
    ((status, headers, body),) = await wire.settle()
    assert (status, json.loads(body)["reason"]) == (expected, reason)
    assert headers["connection"] == "close"
    assert headers["x-taxiway-revision"] == "revision-1"
    assert headers["x-request-id"] in json.loads(body)["instance"]
    assert wire.transport.has_ended, "the client is told that nothing more comes"
    assert not wire.transport.is_closed, "what it still sends is read, or the refusal would be lost"
    wire.connection.eof_received()


async def test_limits_are_met_exactly() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(a_post(b"x" * 100) + b"GET /" + b"x" * (MAX_URL_BYTES - 1) + b" HTTP/1.1\r\nHost: x\r\n\r\n" + PING)
    assert statuses(await wire.settle()) == [400, 404, 200]


async def test_headers_without_end_are_refused() -> None:
    wire = Wire()
    wire.feed(b"GET / HTTP/1.1\r\n")
    for _ in range(40):
        wire.feed(b"A: " + b"b" * 1000)
    ((status, _, _),) = await wire.settle()
    assert status == 431


async def test_a_bad_request_behind_a_good_one_is_answered_after_it() -> None:
    wire = Wire(an_app(lambda request: request.value))
    wire.feed(a_post(BODY) + b"NOT HTTP AT ALL\r\n\r\n")
    answers = await wire.settle()
    assert statuses(answers) == [200, 400]
    assert [headers.get("connection") for _, headers, _ in answers] == [None, "close"]


async def test_an_expectation_is_met_before_the_body_comes() -> None:
    wire = Wire(an_app(lambda request: request.value))
    wire.feed(a_post(BODY, "Expect: 100-continue")[: -len(BODY)])
    assert wire.transport.written == b"HTTP/1.1 100 Continue\r\n\r\n"
    wire.feed(BODY)
    assert statuses(await wire.settle()) == [200]


async def test_an_expectation_with_too_large_a_body_is_refused_instead() -> None:
    wire = Wire(limits=LIMITS)
    wire.feed(a_post(b"x" * 101, "Expect: 100-continue")[:-101])
    assert statuses(await wire.settle()) == [413]
    assert b"100 Continue" not in wire.transport.written


@pytest.mark.parametrize(
    "head",
    [
        b"GET /ping HTTP/1.0\r\n\r\n",
        b"GET /ping HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        b"GET /ping HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n",
    ],
)
async def test_connections_that_are_not_kept_end_after_the_answer(head: bytes) -> None:
    wire = Wire()
    wire.feed(head)
    ((status, headers, _),) = await wire.settle()
    assert (status, headers["connection"]) == (200, "close")
    assert wire.transport.has_ended


async def test_head_has_no_body_and_absolute_targets_are_understood() -> None:
    wire = Wire()
    wire.feed(b"HEAD /ping HTTP/1.1\r\nHost: x\r\n\r\n")
    await wire.settle()
    assert wire.transport.written.endswith(b"\r\n\r\n")
    wire = Wire()
    wire.feed(b"GET http://example.org/ping?q HTTP/1.1\r\nHost: x\r\n\r\n")
    assert statuses(await wire.settle()) == [200]


async def test_repeated_headers_are_joined_and_not_lost() -> None:
    wire = Wire()
    wire.feed(a_post(BODY, "Content-Encoding: gzip", "Content-Encoding: identity"))
    assert statuses(await wire.settle()) == [415]


async def test_a_connection_without_a_request_is_closed_in_time() -> None:
    wire = Wire(limits=ServerLimits(header_seconds=0))
    await turns()
    assert wire.transport.is_closed
    assert not wire.transport.written


@pytest.mark.parametrize("sent", [b"GET /pi", b"\r\n", a_post(BODY)[:-3]])
async def test_a_request_that_does_not_come_whole_in_time_is_told_so(sent: bytes) -> None:
    wire = Wire(limits=ServerLimits(header_seconds=0, body_seconds=0))
    wire.feed(sent)
    await turns()
    assert statuses(await wire.settle()) == [408]


async def test_half_a_request_behind_a_whole_one_gets_its_time_afterwards() -> None:
    wire = Wire(limits=ServerLimits(header_seconds=0, body_seconds=0))
    wire.feed(PING + b"GET /pi")
    await wire.settle()
    await turns()
    assert statuses(await wire.settle()) == [200, 408]


async def test_an_idle_connection_is_closed_in_time() -> None:
    wire = Wire(limits=ServerLimits(idle_seconds=0))
    wire.feed(PING)
    await wire.settle()
    await turns()
    assert wire.transport.is_closed
    assert not wire.transport.was_aborted


async def test_a_client_that_does_not_read_its_answer_is_cut_off() -> None:
    wire = Wire(limits=ServerLimits(body_seconds=0, idle_seconds=0))
    wire.connection.pause_writing()
    wire.feed(PING)
    await wire.settle()
    assert wire.transport.was_aborted
    wire = Wire(limits=ServerLimits(idle_seconds=0))
    wire.transport.unwritten = 5
    wire.feed(PING)
    await wire.settle()
    await turns()
    assert wire.transport.was_aborted


async def test_a_client_that_has_closed_its_side_gets_its_answer() -> None:
    wire = Wire()
    wire.feed(PING)
    assert wire.connection.eof_received(), "the other side stays open for the answer"
    ((status, headers, _),) = await wire.settle()
    assert (status, headers["connection"]) == (200, "close")
    assert wire.transport.is_closed
    assert not Wire().connection.eof_received()


async def test_a_client_that_is_gone_is_forgotten_with_what_it_asked() -> None:
    begun, may_end, seen = threading.Event(), threading.Event(), []

    def slow(request: object) -> list[float]:
        seen.append(request)
        begun.set()
        may_end.wait(10)
        return [1.0]

    app = an_app(slow)
    first, second = Wire(app), Wire(app)
    first.feed(a_post(BODY))
    second.feed(a_post(BODY) * 3)
    await asyncio.to_thread(begun.wait)
    second.connection.connection_lost(None)
    await turns()
    may_end.set()
    assert statuses(await first.settle()) == [200]
    await second.settle()
    assert len(seen) == 1, "what was not begun is not predicted"
    assert not second.connections.open
    assert app.telemetry.in_flight == 0


async def test_draining_answers_what_is_under_way_and_closes_after_it() -> None:
    wire = Wire(an_app(lambda request: request.value))
    half, rest = a_post(BODY)[:-5], a_post(BODY)[-5:]
    wire.feed(half)
    wire.connections.is_draining = True
    wire.connections.close_idle()
    assert wire.connections.busy == 1
    wire.feed(rest + PING)
    answers = await wire.settle()
    assert statuses(answers) == [200, 200]
    assert [headers.get("connection") for _, headers, _ in answers] == [None, "close"]
    assert wire.connections.busy == 0
    wire.connections.close_idle()
    assert wire.transport.is_closed


async def test_an_idle_connection_is_closed_only_when_all_is_written() -> None:
    wire = Wire()
    wire.transport.unwritten = 1
    wire.connections.close_idle()
    assert not wire.transport.is_closed
    wire.connections.abort()
    assert wire.transport.was_aborted


async def test_after_a_refusal_the_connection_does_not_linger_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    assert LINGER_SECONDS < 5
    monkeypatch.setattr("taxiway_scoring.server.LINGER_SECONDS", 0)
    wire = Wire()
    wire.feed(b"garbage\r\n\r\n")
    await wire.settle()
    await turns()
    assert wire.transport.is_closed


async def test_no_bytes_break_the_server() -> None:
    """Good requests with bytes changed, cut out and put in: always an answer or a wait, never a 500."""
    dice = random.Random(5)
    good = a_post(BODY, "Content-Type: application/json", "X-Request-Id: a") + PING
    for _ in range(400):
        data = bytearray(good)
        for _ in range(dice.randrange(1, 6)):
            at = dice.randrange(len(data))
            match dice.randrange(3):
                case 0:
                    data[at] = dice.randrange(256)
                case 1:
                    del data[at : at + dice.randrange(1, 9)]
                case _:
                    data[at:at] = dice.randbytes(dice.randrange(1, 5))
        wire = Wire()
        wire.feed(bytes(data), piece=dice.choice([0, 1, 50]))
        for status, _, _ in await wire.settle():
            assert status < 500
        wire.connection.connection_lost(None)


LARGE = b'{"inputs": [1.5]}' + b" " * SMALL_BYTES


async def test_a_large_body_waits_unread_until_there_is_room() -> None:
    wire = Wire(limits=ServerLimits(receiving_bytes=len(LARGE)))
    room = wire.connections.room
    assert room.grow(10)  # of others
    wire.feed(a_post(LARGE, "Expect: 100-continue")[:200])
    assert wire.transport.is_paused
    assert await wire.settle() == [], "who waits is not told to go on"
    room.give_back(10)
    assert [wire.transport.is_paused] == [False]
    wire.feed(a_post(LARGE, "Expect: 100-continue")[200:])
    ((status, _, _),) = await wire.settle()
    assert wire.transport.written.startswith(b"HTTP/1.1 100 Continue")
    assert status == 200
    assert room.taken == 0, "it is given back with the answer"


async def test_a_body_that_came_with_its_headers_need_not_wait_for_room() -> None:
    """It is here already; whoever gives room back later must not be told of it."""
    wire = Wire(limits=ServerLimits(receiving_bytes=len(LARGE)))
    room = wire.connections.room
    assert room.grow(10)  # of others
    wire.feed(a_post(LARGE) + a_post(BODY))
    assert [status for status, _, _ in await wire.settle()] == [200, 200]
    assert not wire.transport.is_paused
    room.give_back(10)
    assert room.taken == 0


async def test_small_bodies_get_through_whatever_large_ones_hold() -> None:
    wire = Wire(limits=ServerLimits(receiving_bytes=100))
    assert wire.connections.room.grow(100)  # of others
    wire.feed(a_post(BODY), piece=7)
    assert (await wire.settle())[0][0] == 200


async def test_endless_trailers_are_refused() -> None:
    wire = Wire()
    wire.feed(a_chunked_post(BODY)[:-2] + b"X: ")
    for _ in range(5):
        wire.feed(b"y" * 8192)
    ((status, _, _),) = await wire.settle()
    assert status == 431


async def test_who_waits_for_room_too_long_is_told_to_come_back() -> None:
    wire = Wire(limits=ServerLimits(receiving_bytes=len(LARGE), room_seconds=0))
    room = wire.connections.room
    assert room.grow(10)
    wire.feed(a_post(LARGE)[:200])
    await asyncio.sleep(0.01)
    ((status, headers, body),) = await wire.settle()
    assert (status, json.loads(body)["reason"], headers["retry-after"]) == (503, "TooManyRequests", "1")
    wire.connection.connection_lost(None)
    room.give_back(10)
    assert room.taken == 0


async def test_clients_that_go_leave_their_room_and_their_place_in_line() -> None:
    wires = [Wire(limits=ServerLimits(receiving_bytes=len(LARGE)))]
    wires += [Wire(limits=wires[0].limits, connections=wires[0].connections) for _ in range(2)]
    room = wires[0].connections.room
    for wire in wires:
        wire.feed(a_post(LARGE)[:200])
    assert [wire.transport.is_paused for wire in wires] == [False, True, True]
    wires[1].connection.connection_lost(None)
    wires[0].connection.connection_lost(None)
    assert not wires[2].transport.is_paused
    wires[2].connection.connection_lost(None)
    assert room.taken == 0


@pytest.mark.parametrize("body", [BODY + b" " * 2 * FREE_BYTES, LARGE])
async def test_bodies_that_come_in_pieces_are_bounded_for_all_connections_together(body: bytes) -> None:
    """Small ones, and chunked ones that do not say how large they will be."""
    wire = Wire(limits=ServerLimits(receiving_bytes=len(body)))
    room = wire.connections.room
    request = a_post(body) if body != LARGE else a_chunked_post(body)
    wire.feed(request[:-12])
    assert room.taken > 0
    wire.feed(request[-12:])
    assert (await wire.settle())[0][0] == 200
    assert room.taken == 0
    assert room.grow(len(body))  # of others
    wire.feed(request[:-12])
    answers = await wire.settle()
    assert (answers[1][0], json.loads(answers[1][2])["reason"]) == (503, "TooManyRequests")
    wire.connection.connection_lost(None)
    assert room.taken == len(body)


def a_chunked_post(body: bytes) -> bytes:
    head = a_post(b"", "Content-Type: application/json", "Transfer-Encoding: chunked")
    head = head.replace(b"Content-Length: 0\r\n", b"")
    return head + f"{len(body):x}\r\n".encode() + body + b"\r\n0\r\n\r\n"
