"""What the command line reads of the control plane: why it did not start, how many deployments there are."""

from __future__ import annotations

import json
from pathlib import Path

from taxiway.app.platform import NOT_STARTED, control_spec, given_port, read_deployments, said_reason
from taxiway.domain.logs import LogLine
from taxiway.settings import read_settings
from taxiway.stub.spec import to_json
from taxiway.telemetry.metrics import ControlMetrics
from tests.builders import NOW


def lines(*texts: str) -> list[LogLine]:
    return [LogLine(sequence=i, at=NOW, stream="stderr", text=text) for i, text in enumerate(texts, 1)]


def test_the_newest_reason_counts() -> None:
    old = json.dumps({"event": NOT_STARTED, "message": "The disk is full.", "hint": "Free some."})
    new = json.dumps({"event": NOT_STARTED, "message": "The key is damaged.", "hint": None})

    assert said_reason(lines(old, "Traceback", new, "[1, 2]")) == ("The key is damaged.", "")


def test_a_log_without_a_reason_gives_none() -> None:
    assert said_reason(lines("Killed", json.dumps({"event": "request"}), "{")) is None


def test_deployments_are_counted_by_the_metric_that_the_control_plane_has() -> None:
    metrics = ControlMetrics()
    metrics.show_deployments({"ON": 2, "Failed": 1})

    assert read_deployments(metrics.text().decode()) == {"Failed": 1, "ON": 2}
    assert read_deployments(ControlMetrics().text().decode()) == {}


def test_the_port_that_it_was_brought_up_with_is_known_to_later_commands(tmp_path: Path) -> None:
    settings = read_settings(None, data_dir=tmp_path)

    assert given_port(json.dumps(to_json(control_spec(settings, None, port=8090), nonce="n", group="g"))) == 8090
    assert given_port(json.dumps(to_json(control_spec(settings, None), nonce="n", group="g"))) is None
    assert given_port("{") is None
