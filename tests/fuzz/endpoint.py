"""Whatever is sent to an endpoint: never a 500, a hang or an echo, and every refusal names its place.

``python -m tests.fuzz.endpoint --payloads N --seed S --zoo DIR`` sends requests to each of the zoo's models there, by
the path that is proven for it: good ones, and good ones of which something was changed. It ends with 1 on any finding.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import io
import json
import logging
import os
import random
import re
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

SECRET = "zx81secret"
DEEP = "very deep"
"""Becomes many brackets, more than a writer would write."""
NUMBER = 918273645
"""Values by which an echo is known."""
PLACE = re.compile(
    r"[Rr]ow \d+|[Cc]olumn|line \d+|[Bb]ody|[Tt]able|first line|"
    r"'(columns|data|index|params|inputs|outputs|id|shape|datatype)'|"
    r"inputs\[|outputs\[|content type|UTF-8|[Pp]arameter|[Tt]ensor|dataframe|instances|schema|no rows|Content-Length"
)
STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1.7, 2**31, 2**63, 2**70, -(2**70), 1e308, 5e-324, "", "x", SECRET, f"{SECRET}\n", "NaN",
    "é" * 50,
    "2024-01-01", "1", [], [[]], {}, [SECRET], {SECRET: SECRET}, NUMBER, [NUMBER], "\x00", "\ud800", [None],
    {"a": {"b": []}},
)  # fmt: skip
HEADERS = (
    "application/json", "application/json", "application/json", "application/json; charset=utf-8",
    "application/json; charset=latin-1", "application/json; format=pandas-records", "text/csv", "text/plain", "",
    "application/x",
    "application/vnd.apache.parquet", f"application/{SECRET}", "application/json; a=b",
)  # fmt: skip


ARROW_STREAM, ARROW_FILE = "application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"
PARQUET = "application/vnd.apache.parquet"
ACCEPTS = (
    "*/*", "*/*", "application/json", ARROW_STREAM, PARQUET, f"{PARQUET};q=0.5, {ARROW_STREAM}", "text/csv",
    f"a/{SECRET}", ";q", ",",
)  # fmt: skip


class Writer:
    """Makes request bodies for one contract."""

    def __init__(self, contract: Any, rows: Callable[[int], list[tuple[Any, ...]]], chance: random.Random) -> None:
        self._contract = contract
        self._rows = rows
        self._chance = chance

    def request(self) -> tuple[str, dict[str, str], bytes]:
        """Return path, headers and body."""
        chance = self._chance
        if chance.random() < 0.03:
            return "/invocations", {"content-type": chance.choice(HEADERS)}, chance.randbytes(chance.randrange(200))
        if chance.random() < 0.1:
            return "/invocations", {"content-type": "text/csv"}, self._broken(self._csv())
        if chance.random() < 0.3:
            media = chance.choice((ARROW_STREAM, ARROW_STREAM, ARROW_FILE, PARQUET, PARQUET))
            body = self._table(media)
            for _ in range(chance.choice((0, 0, 1, 1, 2))):
                body = self._broken(body) if chance.random() < 0.5 else self._overwritten(body)
            return "/invocations", {"content-type": media, "accept": chance.choice(ACCEPTS)}, body
        path, document = self._document()
        for _ in range(chance.choice((0, 1, 1, 1, 2, 3))):
            document = self._changed(document)
        body = json.dumps(document, ensure_ascii=chance.random() < 0.5).encode("utf-8", "surrogatepass")
        depth = chance.choice((50, 500, 50_000))
        body = body.replace(f'"{DEEP}"'.encode(), b"[" * depth + b"]" * depth)
        headers = {"content-type": chance.choice(HEADERS) if chance.random() < 0.1 else "application/json"}
        if chance.random() < 0.1:
            headers["accept"] = chance.choice(ACCEPTS)
        return path, headers, self._broken(body) if chance.random() < 0.3 else body

    def _document(self) -> tuple[str, Any]:
        chance = self._chance
        names, rows = list(self._contract.names), self._rows(chance.choice((0, 1, 1, 2, 5)))
        objects = [dict(zip(names, row, strict=True)) for row in rows]
        columns = {name: [row[at] for row in rows] for at, name in enumerate(names)}
        if chance.random() < 0.2:
            tensors = [
                {
                    "name": name,
                    "shape": [len(rows)],
                    "datatype": chance.choice(("FP64", "INT64", "BYTES", "BOOL")),
                    "data": values,
                }
                for name, values in columns.items()
            ]
            return "/v2/models/m/infer", {"inputs": tensors}
        return "/invocations", chance.choice(
            (
                {"dataframe_split": {"columns": names, "data": [list(row) for row in rows]}},
                {"dataframe_records": objects},
                {"instances": objects},
                {"inputs": columns},
                {"inputs": objects},
            )
        )

    def _csv(self) -> bytes:
        lines = [",".join(self._contract.names)]
        lines += [",".join("" if cell is None else str(cell) for cell in row) for row in self._rows(3)]
        return "\n".join(lines).encode("utf-8", "surrogatepass")

    def _table(self, media: str) -> bytes:
        """Return a table: good, or with columns of other names, types or values."""
        import pyarrow as pa
        import pyarrow.parquet

        chance = self._chance
        rows = self._rows(chance.choice((0, 1, 3, 40)))
        names = list(self._contract.names)
        arrays = [pa.array([row[at] for row in rows]) for at in range(len(names))]
        if not names:  # it takes no table of columns
            names, arrays = ["0", "1"], [pa.array([0.5, 1.5]), pa.array([1, 2])]
        for _ in range(chance.choice((0, 0, 1, 2))):
            at = chance.randrange(len(names))
            what = chance.random()
            if what < 0.15:
                names[at] = chance.choice((SECRET, "", *names))
            elif what < 0.3:
                del names[at], arrays[at]
            elif what < 0.6:
                arrays[at] = _strange_array(pa, chance, arrays[at])
            elif what < 0.8:
                types = (pa.string(), pa.large_string(), pa.int64(), pa.uint8(), pa.float32(), pa.float64(), pa.bool_())
                with contextlib.suppress(pa.ArrowException):
                    arrays[at] = arrays[at].cast(chance.choice(types), safe=chance.random() < 0.5)
            else:
                with contextlib.suppress(pa.ArrowException):
                    arrays[at] = arrays[at].dictionary_encode()
            if not names:
                break
        table = pa.Table.from_arrays(arrays, names=names)
        sink = io.BytesIO()
        try:
            if media == PARQUET:
                pyarrow.parquet.write_table(
                    table, sink, compression=chance.choice(("none", "snappy", "zstd", "lz4")),
                    use_dictionary=chance.random() < 0.5, data_page_version=chance.choice(("1.0", "2.0")),
                    row_group_size=chance.choice((7, 1000)),
                )  # fmt: skip
            else:
                make = pa.ipc.new_stream if media == ARROW_STREAM else pa.ipc.new_file
                options = pa.ipc.IpcWriteOptions(compression=chance.choice((None, "zstd", "lz4")))
                with make(sink, table.schema, options=options) as writer:
                    writer.write_table(table, max_chunksize=chance.choice((7, 1000)))
        except pa.ArrowException:  # what Parquet has not
            return b"PAR1"
        return bytes(sink.getvalue())

    def _overwritten(self, body: bytes) -> bytes:
        """Put numbers that lie where lengths and offsets may be."""
        chance = self._chance
        if len(body) < 16:
            return body
        at = chance.randrange(len(body) - 8)
        if chance.random() < 0.7:
            at = at // 8 * 8 if chance.random() < 0.5 else min(at, 400) // 4 * 4
        number = chance.choice((0, 1, 7, 255, 2**16, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**63, 2**64 - 1))
        size = chance.choice((1, 2, 4, 8))
        return body[:at] + (number % (1 << 8 * size)).to_bytes(size, "little") + body[at + size :]

    def _changed(self, document: Any) -> Any:
        """Change one place of a document, chosen by walking down."""
        chance = self._chance
        if isinstance(document, dict) and document and chance.random() < 0.9:
            key = chance.choice(list(document))
            what = chance.random()
            if what < 0.1:
                return {k: v for k, v in document.items() if k != key}
            if what < 0.2:
                return {
                    **document,
                    chance.choice((SECRET, "params", "index", "inputs", "", "id")): chance.choice(STRANGE),
                }
            return {**document, key: self._changed(document[key])}
        if isinstance(document, list) and document and chance.random() < 0.9:
            at = chance.randrange(len(document))
            what = chance.random()
            if what < 0.1:
                return document[:at] + document[at + 1 :]
            if what < 0.2:
                return [*document, chance.choice(STRANGE)]
            return [*document[:at], self._changed(document[at]), *document[at + 1 :]]
        if chance.random() < 0.01:
            return DEEP
        return chance.choice(STRANGE)

    def _broken(self, body: bytes) -> bytes:
        chance = self._chance
        for _ in range(chance.randrange(1, 4)):
            at = chance.randrange(len(body) + 1)
            body = chance.choice(
                (
                    body[:at],
                    body[:at] + chance.randbytes(1) + body[at + 1 :],
                    body[:at]
                    + chance.choice((b'"', b",", b"{", b"]", b"NaN", b"1e999", b"\\", b"\xff", b"0"))
                    + body[at:],
                    body[:at] + body[at + chance.randrange(5) :],
                )
            )
        return body


def _strange_array(pa: Any, chance: random.Random, array: Any) -> Any:
    """Return an array as long, of values or of a type that no table of the contract has."""
    count = len(array)
    strange = (
        pa.nulls(count), pa.array([[SECRET]] * count), pa.array([{SECRET: NUMBER}] * count),
        pa.array([SECRET] * count), pa.array([b"\xff"] * count), pa.array([NUMBER] * count, pa.decimal128(12, 2)),
        pa.array([2**63] * count, pa.uint64()), pa.array([0] * count, pa.timestamp("ns", tz="UTC")),
        pa.array([NUMBER] * count, pa.timestamp("s")), pa.array([SECRET] * count, pa.string_view()),
        pa.array([float("inf")] * count), pa.array([float("nan")] * count), pa.array([None] * count, pa.duration("s")),
        pa.array([NUMBER] * count, pa.time64("us")), pa.array([1.5] * count, pa.float16()),
        pa.array([[1, 2]] * count, pa.list_(pa.int8(), 2)), pa.array([[NUMBER]] * count, pa.list_view(pa.int64())),
        pa.array([[("k", 1)]] * count, pa.map_(pa.string(), pa.int8())),
    )  # fmt: skip
    if count and chance.random() < 0.1:
        return pa.RunEndEncodedArray.from_arrays(pa.array([count], pa.int32()), pa.array([NUMBER]))
    return chance.choice(strange)


def open_app(files: Path) -> tuple[Any, Any, Callable[[int, random.Random], Any]]:
    """Return the app of a model, its contract, and what draws rows for it."""
    import yaml

    from taxiway_scoring.app import Identity, Limits, ScoringApp
    from taxiway_scoring.contract import compile_signature
    from taxiway_scoring.predictor import find_example, load_predictor
    from taxiway_scoring.proof import known_rows, prove
    from taxiway_scoring.sampling import Sampler
    from taxiway_scoring.serving import Loaded, choose

    metadata = yaml.safe_load((files / "MLmodel").read_text())
    contract = compile_signature(metadata["signature"])
    example = find_example(files, metadata)
    proof = prove(files, metadata, contract, load_predictor(files, contract), example, seed=1)
    served = choose(Loaded.of(files, metadata, contract), proof)
    app = ScoringApp(identity=Identity("p", "r", "m", "1"), contract=contract, limits=Limits(), example=example)
    app.install(served.predictor, served.rows)
    app.is_ready = True
    known = known_rows(contract, example)

    def draw(count: int, chance: random.Random) -> Any:
        return Sampler(contract, known, chance.randrange(2**32)).usual(count)

    return app, contract, draw


def _no_number(name: str) -> None:
    raise AssertionError(f"{name} in an answer")


async def fuzz(files: Path, payloads: int, seed: int) -> tuple[Counter[int], list[str]]:
    """Send so many requests to one model; return the statuses and what was found."""
    from taxiway_scoring.app import HttpRequest, HttpResponse

    app, contract, draw = open_app(files)
    chance = random.Random(seed)
    writer = Writer(contract, lambda count: draw(count, chance), chance)
    statuses: Counter[int] = Counter()
    found: list[str] = []
    for number in range(payloads):
        path, headers, body = writer.request()
        request = HttpRequest("POST", path, headers, body)
        answers: list[HttpResponse] = []
        try:
            async with asyncio.timeout(20):
                if app.take(request, answers.append):
                    while not answers:
                        await asyncio.sleep(0)
                else:
                    answers.append(await app.answer(request))
        except TimeoutError:
            found.append(f"{files.name} {number}: hangs: {body[:300]!r}")
            continue
        (answer,) = answers
        statuses[answer.status] += 1
        text = answer.body.decode("utf-8", "replace")
        if answer.status == 200 and answer.content_type != "application/json":
            read_table(answer)
            continue
        if answer.status == 200:
            json.loads(text, parse_constant=_no_number)
            continue
        problem = json.loads(text)
        said = f"{answer.status} {problem['detail']}"
        where = f"{files.name} {number} ({path}, {headers['content-type']}): {said}: {body[:300]!r}"
        if answer.status >= 500:
            found.append(f"failed: {where}")
        elif not PLACE.search(problem["detail"]):
            found.append(f"no place: {where}")
        if SECRET in text or str(NUMBER) in text:
            found.append(f"echoed: {where}")
    return statuses, found


def read_table(answer: Any) -> None:
    """Read an answer that is a table."""
    import pyarrow as pa
    import pyarrow.parquet

    source = pa.BufferReader(b"".join(answer.pieces) if answer.pieces is not None else answer.body)
    is_parquet = answer.content_type == PARQUET
    table = pyarrow.parquet.read_table(source) if is_parquet else pa.ipc.open_stream(source).read_all()
    assert table.num_rows == answer.rows


def main() -> int:
    """Fuzz every model; print a table and what was found."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.endpoint")
    parser.add_argument("--zoo", type=Path, required=True)
    parser.add_argument("--payloads", type=int, default=2_000, help="for each model")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    print(f"seed {given.seed}")
    total = 0
    for files in sorted(given.zoo.iterdir()):
        if given.only and files.name not in given.only.split(","):
            continue
        began = time.monotonic()
        statuses, found = asyncio.run(fuzz(files, given.payloads, given.seed))
        total += len(found)
        print(
            f"{files.name}: {dict(sorted(statuses.items()))}, {len(found)} findings, {time.monotonic() - began:.1f} s",
            flush=True,
        )
        for line in found[:5]:
            print(f"  {line}", flush=True)
    return 1 if total else 0


if __name__ == "__main__":
    sys.exit(main())
