"""The path that a proof chose against ``mlflow.pyfunc``: the same bytes to both, answers compared bit for bit.

``python -m tests.fuzz.differential --rows N --seed S [--only a,b] [--zoo DIR]`` goes through the whole zoo and prints a
table; it ends with 1 where anything differs.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

SMALL = (1, 1, 1, 2, 3, 7, 20, 50)
"""Rows of a request of all kinds; one that the model refuses spoils the others with it."""
LARGE = (100, 500, 1_000, 2_000)
"""Rows of a request of usual ones."""
LARGE_SHARE = 0.08
SHOWN = 3


@dataclass
class Findings:
    """What came of one model: ``rows`` were sent to both, ``predicted`` of them got predictions."""

    name: str
    path: str = ""
    plan: str = ""
    why: str = ""
    requests: int = 0
    rows: int = 0
    predicted: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)


class Pair:
    """One model by both paths. Imports what the model needs."""

    def __init__(self, files: Path, seed: int) -> None:
        import yaml

        from taxiway_scoring.contract import compile_signature
        from taxiway_scoring.predictor import find_example, load_predictor
        from taxiway_scoring.proof import prove
        from taxiway_scoring.sampling import Sampler
        from taxiway_scoring.serving import Loaded, choose

        metadata = yaml.safe_load((files / "MLmodel").read_text())
        self.contract = compile_signature(metadata["signature"])
        self.pyfunc = load_predictor(files, self.contract)
        self.example = find_example(files, metadata)
        self.proof = prove(files, metadata, self.contract, self.pyfunc, self.example, seed=seed)
        self.served = choose(Loaded.of(files, metadata, self.contract), self.proof)
        self.sampler = Sampler(self.contract, self._known(), seed)
        self._chance = random.Random(seed)

    def _known(self) -> list[tuple[Any, ...]]:
        from taxiway_scoring.decoding import rows_of
        from taxiway_scoring.payload import JSON_TYPE, read_request

        if self.example is None:
            return []
        return rows_of(self.contract, read_request(self.contract, self.example, JSON_TYPE)) or []

    def requests(self, rows: int) -> Iterator[tuple[bytes, int]]:
        """Yield bodies with at least so many rows in all: each edge of each column first, then rows of all kinds.

        What is no table of single values has its example only.
        """
        from taxiway_scoring.contract import is_tabular

        if not is_tabular(self.contract):
            if self.example is not None:
                yield self.example, 1
            return
        for group in self.sampler.sweeps():
            rows -= len(group)
            yield self._body(group), len(group)
        while rows > 0:
            is_large = self._chance.random() < LARGE_SHARE
            size = min(rows, self._chance.choice(LARGE if is_large else SMALL))
            kind = self.sampler.usual if is_large else self.sampler.mixed
            rows -= size
            yield self._body(kind(size)), size

    def _body(self, rows: list[tuple[Any, ...]]) -> bytes:
        names = list(self.contract.names)
        form = self._chance.choice(("split", "split", "records", "other order"))
        document: dict[str, Any]
        if form == "records":
            document = {"dataframe_records": [dict(zip(names, row)) for row in rows]}
        else:
            order = list(range(len(names)))
            if form == "other order":
                self._chance.shuffle(order)
            data = [[row[at] for at in order] for row in rows]
            document = {"dataframe_split": {"columns": [names[at] for at in order], "data": data}}
        return json.dumps(document, ensure_ascii=self._chance.random() < 0.5).encode()

    def expected(self, body: bytes) -> Any:
        """Return what pyfunc says; None where it fails."""
        from taxiway_scoring.payload import JSON_TYPE, read_request

        try:
            return self.pyfunc.predict(read_request(self.contract, body, JSON_TYPE))
        except Exception:
            return None

    def found(self, body: bytes) -> bytes | None:
        """Return what a pod answers by its path; None where it fails."""
        from taxiway_scoring.answers import plain, write_array, write_predictions
        from taxiway_scoring.payload import JSON_TYPE, read_request

        path = self.served.rows
        rows = path.decoder.decode(body) if path is not None else None
        try:
            if path is None or rows is None:
                values = self.served.predictor.predict(read_request(self.contract, body, JSON_TYPE))
            else:
                values = (path.inline or path.plan).predict(rows)
            quick = write_array(values) if type(values).__name__ == "ndarray" else None
            return write_predictions(plain(values)) if quick is None else quick
        except Exception:
            return None

    def difference(self, body: bytes) -> tuple[bool, str]:
        """Send to both; tell whether pyfunc predicted, and where they differ, without values ("" for nowhere)."""
        from taxiway_scoring.answers import plain
        from taxiway_scoring.proof import same

        expected, answer = self.expected(body), self.found(body)
        if expected is None or answer is None:
            who = "" if expected is None and answer is None else "pyfunc" if expected is None else "the path"
            return expected is not None, f"only {who} fails" if who else ""
        wanted, got = plain(expected), json.loads(answer)["predictions"]
        if same(wanted, got):
            return True, ""
        if isinstance(wanted, list) and isinstance(got, list) and len(wanted) == len(got):
            row = next((at for at, (a, b) in enumerate(zip(wanted, got)) if not same(a, b)), 0)
            return True, f"row {row} differs"
        return True, "another shape"


def try_model(name: str, home: Path, seed: int, rows: int) -> Findings:
    """Send rows to one model of the zoo by both paths. Fits it first where it is not in ``home`` yet."""
    warnings.simplefilter("ignore")
    began = time.monotonic()
    files = home / name
    if not files.is_dir():
        from tests.zoo.__main__ import save

        files = save(name, seed, home)
    pair = Pair(files, seed)
    findings = Findings(name, pair.served.path, pair.served.name, pair.served.reason)
    for body, count in pair.requests(rows):
        is_predicted, difference = pair.difference(body)
        findings.requests += 1
        findings.rows += count
        findings.predicted += count if is_predicted else 0
        if difference:
            findings.differences.append(f"{difference} in request {findings.requests} of {count} rows")
    findings.seconds = time.monotonic() - began
    return findings


def _in_process(arguments: tuple[str, Path, int, int]) -> Findings:
    import logging

    logging.disable(logging.CRITICAL)
    return try_model(*arguments)


def run(names: list[str], home: Path, *, seed: int, rows: int, processes: int) -> list[Findings]:
    """Try every model, each in a process of its own; print a line of the table for each."""
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        results = []
        print(
            "| model | path | requests | rows | predicted | differences | s |\n|---|---|---|---|---|---|---|",
            flush=True,
        )
        for it in pool.map(_in_process, [(name, home, seed, -(-rows // len(names))) for name in names]):
            results.append(it)
            print(
                f"| {it.name} | {it.path}: {it.plan} | {it.requests} | {it.rows} | {it.predicted} "
                f"| {len(it.differences)} | {it.seconds:.0f} |",
                flush=True,
            )
            for difference in it.differences[:SHOWN]:
                print(f"  {it.name}: {difference}", file=sys.stderr)
    return results


def main() -> None:
    """Try the zoo."""
    parser = argparse.ArgumentParser(prog="tests.fuzz.differential")
    parser.add_argument("--rows", type=int, default=100_000, help="in all")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**31))
    parser.add_argument("--only", default="", help="names, with commas between them")
    parser.add_argument("--zoo", type=Path, help="where the models are, or shall be")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    given = parser.parse_args()
    for name in ("OMP", "OPENBLAS"):
        os.environ.setdefault(f"{name}_NUM_THREADS", "1")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    print(f"seed {given.seed}", flush=True)
    from tests.zoo.pipelines import ZOO

    with tempfile.TemporaryDirectory() as scratch:
        home = given.zoo or Path(scratch)
        names = given.only.split(",") if given.only else list(ZOO)
        results = run(names, home, seed=given.seed, rows=given.rows, processes=given.processes)
    differences = sum(len(it.differences) for it in results)
    on_plans = sum(it.path == "plan" for it in results)
    print(
        f"{len(results)} models, {on_plans} by plans: {sum(it.rows for it in results)} rows, "
        f"{sum(it.predicted for it in results)} predicted, {differences} differences"
    )
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
