"""Several workers of one pod: do they share the work, survive each other, and end as one?"""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from taxiway_scoring import manifest
from tests.integration.scoring.pods import Pod, a_model, a_pod, a_snapshot
from tests.integration.scoring.test_pod import drain_under_load

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

CALLERS, CALLS = 8, 50


def numbers(pod: Pod) -> dict[str, float]:
    """Return what the pod's metrics say."""
    with pod.connect() as connection:
        text = connection.call("GET", "/metrics")[2].decode()
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@pytest.mark.parametrize("flavor", ["sklearn", "lightgbm", "xgboost", "catboost"])
def test_workers_answer_all_that_is_asked_at_once(flavor: str, workshop: Path, program: Path, models: Path) -> None:
    """Also where native libraries predicted before the fork: one that waits for threads of its parent would hang."""
    home = workshop / f"together-{flavor}"
    files = home / "snapshot" / "files"
    shutil.copytree(models / flavor, files)
    (home / "snapshot" / "manifest.json").write_bytes(manifest.dump(manifest.build(files)))
    body = (files / "serving_input_example.json").read_bytes()
    with a_pod(home, program, home / "snapshot", workers=2) as pod:
        pod.wait_for_phase("ready")
        assert pod.phases()[-4:] == ["verified", "loaded", "example", "ready"]
        workers = children(pod.process.pid)
        # CatBoost's own way to predict starts threads, where there is more than one CPU.
        assert len(workers) == 2 or (flavor == "catboost" and not workers)

        def call(_: int) -> set[tuple[int, bytes]]:
            with pod.connect() as connection:
                return {connection.predict(body) for _ in range(CALLS)}

        with ThreadPoolExecutor(CALLERS) as callers:
            answers = set().union(*callers.map(call, range(CALLERS)))
        ((status, answer),) = answers
        assert (status, list(json.loads(answer))) == (200, ["predictions"])
        seen = numbers(pod)
        assert seen['taxiway_pod_requests_total{code="200"}'] == CALLERS * CALLS
        assert seen["taxiway_pod_workers"] == len(workers or [pod])
        assert seen["taxiway_pod_in_flight"] == 0
        assert seen["taxiway_pod_memory_bytes"] > 10e6
        pod.process.send_signal(signal.SIGTERM)
        assert pod.ended() == 0
        assert not pod.socket.exists()
        assert not [pid for pid in workers if Path(f"/proc/{pid}").exists()]


def test_what_is_in_flight_is_answered_before_the_end(workshop: Path, program: Path) -> None:
    home = workshop / "together-drain"
    with a_pod(home, program, a_snapshot(home / "snapshot", a_model()), workers=2) as pod:
        pod.wait_for_phase("ready")
        lost, answered = drain_under_load(pod)
    assert not lost
    assert answered > 20


def test_a_stuck_worker_is_replaced_and_the_others_serve_on(workshop: Path, program: Path) -> None:
    home = workshop / "together-stuck"
    with a_pod(home, program, a_snapshot(home / "snapshot", a_model()), workers=2, timeout_seconds=1) as pod:
        pod.wait_for_phase("ready")
        answers: list[tuple[int, float]] = []

        def send() -> None:
            began = time.monotonic()
            with pod.connect() as connection:
                answers.append((connection.predict({"inputs": [60.0]})[0], time.monotonic() - began))

        stuck = threading.Thread(target=send)
        with pod.connect() as connection:
            assert (
                connection.predict({"inputs": [0.0]})[0] == 200
            )  # one worker has a connection, the other gets the next
            stuck.start()
            wait_for_restart(pod, "stuck", meanwhile=lambda: connection.predict({"inputs": [0.01]})[0] == 200)
        stuck.join()
        ((status, took),) = answers
        assert status == 504
        assert 1.0 <= took < 1.25
        assert pod.process.poll() is None
        with ThreadPoolExecutor(4) as callers:
            assert {*callers.map(lambda _: ask(pod), range(4))} == {200}
        assert numbers(pod)["taxiway_pod_workers"] == 2


def wait_for_restart(pod: Pod, reason: str, meanwhile: Callable[[], bool] = lambda: True) -> None:
    until = time.monotonic() + 20
    while time.monotonic() < until:
        assert meanwhile()
        # What the dying one was just given is lost with it.
        with suppress(ConnectionError):
            if numbers(pod)[f'taxiway_pod_worker_restarts_total{{reason="{reason}"}}'] >= 1:
                return
        time.sleep(0.02)
    raise AssertionError(pod.log.read_text())


def ask(pod: Pod) -> int:
    with pod.connect() as connection:
        return connection.predict({"inputs": [0.01]})[0]


def test_a_worker_that_crashes_is_replaced_one_without_memory_ends_the_pod(workshop: Path, program: Path) -> None:
    home = workshop / "together-crash"
    with a_pod(home, program, a_snapshot(home / "snapshot", a_model()), workers=2) as pod:
        pod.wait_for_phase("ready")
        first = children(pod.process.pid)
        os.kill(first[0], signal.SIGSEGV)
        wait_for_restart(pod, "crashed")
        assert {ask(pod) for _ in range(4)} == {200}
        second = children(pod.process.pid)
        assert len({*first, *second}) == 3
        os.kill(second[0], signal.SIGKILL)
        assert pod.ended() == -signal.SIGKILL


def test_a_model_with_threads_is_served_by_one_process(workshop: Path, program: Path) -> None:
    home = workshop / "together-threads"
    load = "import threading; threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()"
    with a_pod(home, program, a_snapshot(home / "snapshot", a_model(load)), workers=2) as pod:
        pod.wait_for_phase("ready")
        assert ask(pod) == 200
        assert not children(pod.process.pid)
        assert "threads of their own" in pod.log.read_text()
        pod.process.send_signal(signal.SIGTERM)
        assert pod.ended() == 0
