"""Are live requests kept, one in many and not too many, and compared with pyfunc?"""

from __future__ import annotations

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import pytest

from taxiway_scoring import spool
from taxiway_scoring.app import HttpRequest, HttpResponse
from taxiway_scoring.decoding import Decoder, Rows
from taxiway_scoring.payload import Request
from taxiway_scoring.serving import RowPath
from taxiway_scoring.spool import Check, Spool, check
from tests.scoring.apps import ByRows, FakePredictor, X, an_app, ask

KIND = "application/json"


def body(*values: float | None) -> bytes:
    return json.dumps({"dataframe_split": {"columns": ["x"], "data": [[value] for value in values]}}).encode()


def doubled(request: Request) -> list[Any]:
    return [float("nan") if row[0] is None else row[0] * 2 for row in request.value["data"]]


def checked(directory: Path, function: Any = doubled) -> Check:
    return check(FakePredictor(function), X, directory)


def test_what_pyfunc_says_too_is_no_difference(tmp_path: Path) -> None:
    kept = Spool(tmp_path, 1)
    assert kept.keep(body(1.5, None), KIND, b'{"predictions": [3.0, null]}')
    assert kept.keep(body(-0.0), KIND, b'{"predictions": [-0.0]}')
    assert checked(tmp_path) == Check(2, 3, 0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("asked", "answer", "where"),
    [
        (body(1.0, 2.0), [2.0, 4.000000000000001], "row 1 of a request of 2 rows differs"),
        (body(0.0), [-0.0], "row 0 of a request of 1 rows differs"),
        (body(1.0), [2], "row 0 of a request of 1 rows differs"),
        (body(1.0), [[2.0]], "row 0 of a request of 1 rows differs"),
        (body(1.0), [2.0, 2.0], "an answer has another shape than pyfunc's"),
        (b'{"dataframe_records": [{"y": 1.0}]}', [2.0], "a request was answered that must be refused"),
    ],
)  # fmt: skip
def test_differences_are_counted_and_told_without_values(
    tmp_path: Path, asked: bytes, answer: list[Any], where: str
) -> None:
    Spool(tmp_path, 1).keep(asked, KIND, json.dumps({"predictions": answer}).encode())
    found = checked(tmp_path)
    assert (found.requests, found.differences, found.where) == (1, 1, where)


def test_pyfunc_that_fails_on_what_was_answered_is_a_difference(tmp_path: Path) -> None:
    def fails(_: Request) -> Any:
        raise ValueError

    Spool(tmp_path, 1).keep(body(1.0), KIND, b'{"predictions": [2.0]}')
    assert checked(tmp_path, fails).where == "pyfunc fails on a request of 1 rows that was answered"


def test_one_in_many_is_due_and_the_first_at_once(tmp_path: Path) -> None:
    kept = Spool(tmp_path, 3)
    assert [kept.is_due() for _ in range(7)] == [True, False, False, True, False, False, True]


def test_a_full_spool_takes_no_more_until_it_is_emptied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Spool(tmp_path, 1)
    answer = b'{"predictions": [2.0]}'
    assert [kept.keep(body(1.0), KIND, answer) for _ in range(spool.MAX_FILES + 2)].count(True) == spool.MAX_FILES
    assert checked(tmp_path).requests == spool.MAX_FILES
    assert not kept.keep(b" " * spool.MAX_FILE_BYTES, KIND, answer)
    assert kept.keep(body(1.0), KIND, answer)
    size = next(tmp_path.iterdir()).stat().st_size
    monkeypatch.setattr(spool, "MAX_BYTES", 3 * size)
    assert [kept.keep(body(1.0), KIND, answer) for _ in range(4)] == [True, True, False, False]


def test_a_spool_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    assert not Spool(tmp_path / "not there", 1).keep(body(1.0), KIND, b'{"predictions": [2.0]}')


def test_strange_files_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "1.json").write_text("{")
    (tmp_path / "2.json").write_text("[]")
    (tmp_path / "3.json").symlink_to("/etc/hostname")
    (tmp_path / "4.json").write_text(json.dumps({"body": "", "type": KIND, "answer": base64.b64encode(b"1").decode()}))
    (tmp_path / "5-1").write_text("begun only")
    assert checked(tmp_path) == Check(0, 0, 0, "")


class Doubling(ByRows):
    """A plan."""

    name = "doubling"

    def predict(self, rows: Rows) -> Any:
        return [row[0] * 2 for row in rows]


async def test_an_app_keeps_what_it_answered_inline_and_in_its_thread(tmp_path: Path) -> None:
    app = an_app(doubled, spool=Spool(tmp_path, 1))
    decoder = Decoder.of(X)
    assert decoder is not None
    app.install(FakePredictor(doubled), RowPath(decoder, Doubling(), Doubling(), may_join=True))
    answers: list[HttpResponse] = []
    assert app.take(HttpRequest("POST", "/invocations", {}, body(1.5)), answers.append)
    await asyncio.sleep(0)
    assert [answer.status for answer in answers] == [200]
    assert (await ask(app, "POST", "/invocations", body(*[0.5] * 500))).status == 200
    assert (await ask(app, "POST", "/invocations", b"{}")).status == 400
    assert checked(tmp_path) == Check(2, 501, 0, "")


async def test_pyfunc_is_not_compared_with_itself(tmp_path: Path) -> None:
    app = an_app(doubled, spool=Spool(tmp_path, 1))
    assert (await ask(app, "POST", "/invocations", body(1.5))).status == 200
    assert list(tmp_path.iterdir()) == []
