"""A real pod: ``python -I <directory> --config …`` on a Unix socket, from its first phase to its last answer."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import threading
import time
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

import pytest

from taxiway_scoring import manifest
from tests.integration.scoring.pods import MLMODEL, Pod, a_model, a_pod, a_snapshot

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def test_a_trained_model_is_served_with_all_that_belongs_to_it(workshop: Path, program: Path, models: Path) -> None:
    home = workshop / "trained"
    snapshot = home / "snapshot"
    shutil.copytree(models / "sklearn", snapshot / "files")
    (snapshot / "manifest.json").write_bytes(manifest.dump(manifest.build(snapshot / "files")))
    with a_pod(home, program, snapshot) as pod:
        pod.wait_for_phase("ready")
        assert pod.phases() == ["verified", "loaded", "example", "ready"]
        assert all(report["seconds"] >= 0 for report in pod.reports)
        with pod.connect() as connection:
            body = (snapshot / "files" / "serving_input_example.json").read_bytes()
            status, headers, answer = connection.call(
                "POST", "/invocations", body, {"Content-Type": "application/json", "X-Request-Id": "abc-1"}
            )
            assert (status, len(json.loads(answer)["predictions"])) == (200, 3)
            assert headers["x-request-id"] == "abc-1"
            assert (headers["x-taxiway-revision"], headers["x-taxiway-pod"]) == ("revision-1", "pod-1")
            for path in ("/ping", "/health", "/ready", "/v2/health/live", "/v2/health/ready"):
                assert connection.call("GET", path)[0] == 200
            assert connection.call("GET", "/version")[2].decode() == version("mlflow")
            document = json.loads(connection.call("GET", "/openapi.json")[2])
            example = document["paths"]["/invocations"]["post"]["requestBody"]["content"]["application/json"]["example"]
            assert example == json.loads(body)
            assert b"amount" in connection.call("GET", "/docs")[2]
            metrics = connection.call("GET", "/metrics")[2].decode()
            assert 'taxiway_pod_requests_total{code="200"} 1' in metrics
            assert "taxiway_pod_rows_total 3" in metrics
        pod.process.send_signal(signal.SIGTERM)
        assert pod.ended() == 0
        assert pod.phases()[-1] == "draining"
        assert {"rows": 3} in pod.reports
        assert not pod.socket.exists()


def test_deadlines_and_draining(workshop: Path, program: Path) -> None:
    """504 in time, a slow prediction is let finish, and SIGTERM loses nothing on connections that are kept."""
    home = workshop / "slow"
    snapshot = a_snapshot(home / "snapshot", a_model())
    with a_pod(home, program, snapshot, timeout_seconds=1) as pod:
        pod.wait_for_phase("ready")
        assert "nothing was scored" in str(pod.reports)
        with pod.connect() as connection:
            assert connection.predict({"inputs": [0.05]}) == (200, b'{"predictions": [0.05]}')
            began = time.monotonic()
            status, answer = connection.predict({"inputs": [1.5]})
            took = time.monotonic() - began
            assert (status, json.loads(answer)["reason"]) == (504, "PredictionTimedOut")
            assert 1.0 <= took < 1.25
            # Liveness does not wait for the model; the next prediction waits for the slow one only.
            assert connection.call("GET", "/health")[0] == 200
            assert connection.predict({"inputs": [0.0]})[0] == 200
            status, answer = connection.predict({"inputs": [-1.5]})
            assert (status, json.loads(answer)["reason"]) == (500, "PredictionFailed")
            assert b"ValueError" in answer
            assert b"secret" not in answer
            assert b"1.5" not in answer
        lost, answered = drain_under_load(pod)
        assert not lost
        assert answered > 20


def drain_under_load(pod: Pod) -> tuple[list[str], int]:
    """Send on eight kept connections while the pod is told to end; return what went wrong and what went right."""
    lost: list[str] = []
    answered = [0] * 8
    is_told = threading.Event()

    def send(number: int) -> None:
        with pod.connect() as connection:
            while True:
                was_told = is_told.is_set()
                try:
                    connection.request(
                        "POST", "/invocations", b'{"inputs":[0.005]}', {"Content-Type": "application/json"}
                    )
                    answer = connection.getresponse()
                    body = answer.read()
                except OSError as error:
                    lost.append(repr(error))
                    return
                if answer.status != 200:
                    lost.append(f"{answer.status} {body!r}")
                answered[number] += 1
                if answer.getheader("connection") == "close":
                    if not was_told and not is_told.is_set():
                        lost.append("closed before it was told to end")
                    return

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    is_told.set()
    pod.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
    if pod.ended() != 0:
        lost.append("it did not end well")
    with suppress(OSError), socket.socket(socket.AF_UNIX) as late:
        late.connect(str(pod.socket))
        lost.append("it still listens")
    return lost, sum(answered)


def test_a_stuck_prediction_ends_the_process(workshop: Path, program: Path) -> None:
    """Within the grace of its deadline; whoever waits behind it is told to come back."""
    home = workshop / "stuck"
    snapshot = a_snapshot(home / "snapshot", a_model())
    with a_pod(home, program, snapshot, timeout_seconds=1) as pod:
        pod.wait_for_phase("ready")
        began = time.monotonic()
        answers: list[tuple[int, bytes]] = []

        def send(seconds: float) -> None:
            with pod.connect() as connection:
                answers.append(connection.predict({"inputs": [seconds]}))

        stuck = threading.Thread(target=send, args=(60.0,))
        stuck.start()
        time.sleep(1.5)
        behind = threading.Thread(target=send, args=(0.0,))
        behind.start()
        assert pod.ended(seconds=10) == 4
        assert 1.9 < time.monotonic() - began < 4
        stuck.join()
        behind.join()
        assert [status for status, _ in answers] == [504, 503]
    assert pod.failure["reason"] == "PredictionStuck"
    assert pod.failure["retryable"]


FAILURES: dict[str, tuple[dict[str, str], str, str]] = {
    "module is missing": (
        a_model() | {"model_code.py": "import module_nobody_has\n"}, "MissingPackage", "module_nobody_has",
    ),
    "load raises": (a_model('raise RuntimeError("weights are gone")'), "ModelLoadFailed", "RuntimeError"),
    "malformed": ({"MLmodel": "flavors: [unclosed"}, "MalformedModel", "MLmodel"),
    "example fails": (
        a_model(
            MLmodel=MLMODEL + "saved_input_example_info:\n  artifact_path: e.json\n  type: dataframe\n"
            "  pandas_orient: split\n  serving_input_path: e.json\n",
            **{"e.json": '{"dataframe_split": {"columns": ["x"], "data": [[-1.0]]}}'},
        ),
        "ExampleFailed", "example",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILURES)
def test_a_pod_that_cannot_serve_says_why(workshop: Path, program: Path, name: str) -> None:
    files, reason, says = FAILURES[name]
    home = workshop / name.replace(" ", "-")
    with a_pod(home, program, a_snapshot(home / "snapshot", files)) as pod:
        assert pod.ended() == 3
    assert pod.failure["reason"] == reason, pod.log.read_text()
    assert says in pod.failure["message"]
    assert pod.failure["hint"]
    assert not pod.failure["retryable"]


def test_a_changed_snapshot_is_refused_before_anything_of_it_runs(workshop: Path, program: Path) -> None:
    home = workshop / "changed"
    snapshot = a_snapshot(home / "snapshot", a_model("open('/tmp/never', 'w')"))
    with (snapshot / "files" / "model_code.py").open("a") as file:
        file.write("#")
    with a_pod(home, program, snapshot) as pod:
        assert pod.ended() == 3
    assert pod.failure["reason"] == "ArtifactDigestMismatch"
    assert "model_code.py was changed" in pod.failure["message"]
    assert not Path("/tmp/never").exists()
