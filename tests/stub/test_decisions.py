"""What a stub decides: back-off, reports, why a child ended, which lines mattered."""

from __future__ import annotations

import json
import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from taxiway.stub.decisions import (
    MAX_LINES,
    MAX_REPORTS,
    End,
    Reported,
    backoff_seconds,
    failures_in_a_row,
    fold_report,
    lines_that_mattered,
    should_restart,
    why_it_ended,
    wrapper_status,
)


def test_the_delay_doubles_up_to_its_maximum() -> None:
    delays = [backoff_seconds(n, initial=1, maximum=300) for n in range(1, 12)]
    assert delays == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_no_number_of_failures_breaks_the_delay() -> None:
    assert backoff_seconds(10**9, initial=0.1, maximum=60) == 60
    assert backoff_seconds(0, initial=1, maximum=60) == 0


def test_a_healthy_time_begins_a_new_count() -> None:
    assert failures_in_a_row(7, ready_seconds=60.0, healthy_after=60) == 1
    assert failures_in_a_row(7, ready_seconds=59.0, healthy_after=60) == 8
    assert failures_in_a_row(7, ready_seconds=None, healthy_after=60) == 8


@pytest.mark.parametrize(
    ("policy", "succeeded", "retryable", "expected"),
    [
        ("always", True, True, True),
        ("always", False, True, True),
        ("always", False, False, False),
        ("on-failure", True, True, False),
        ("on-failure", False, True, True),
        ("never", False, True, False),
    ],
)
def test_restart_policies(policy: str, *, succeeded: bool, retryable: bool, expected: bool) -> None:
    assert should_restart(policy, succeeded=succeeded, retryable=retryable) is expected


def test_reports_fold_into_phases_and_readiness() -> None:
    reported = Reported()
    for phase in ("verified", "loaded", "example", "ready"):
        line = json.dumps({"phase": phase, "seconds": 1.5, "detail": {"bytes": 3}}).encode()
        assert fold_report(reported, line)
    assert [phase["phase"] for phase in reported.phases] == ["verified", "loaded", "example", "ready"]
    assert reported.phases[0] == {"phase": "verified", "seconds": 1.5, "detail": {"bytes": 3}}
    assert reported.is_ready
    assert not reported.is_draining


@pytest.mark.parametrize("place", ["outside", "inside"])
def test_a_reported_failure_says_whether_a_retry_may_help(place: str) -> None:
    failed: dict[str, object] = {"reason": "ArtifactDigestMismatch", "message": "model.pkl changed", "hint": "x"}
    line: dict[str, object] = {"failed": failed}
    (line if place == "outside" else failed)["retryable"] = False
    reported = Reported()
    assert fold_report(reported, json.dumps(line).encode())
    assert reported.trouble == {
        "reason": "ArtifactDigestMismatch", "message": "model.pkl changed", "hint": "x", "retryable": False,
    }  # fmt: skip


@pytest.mark.parametrize(
    "line",
    [
        b"", b"{", b"[]", b"1", b"null", b'{"phase": 1}', b'{"phase": "two words", "seconds": 1}',
        b'{"phase": "ready", "seconds": "soon"}', b'{"phase": "ready", "seconds": -1}',
        b'{"phase": "ready", "seconds": NaN}', b"\xff\xfe", b'{"phase": "' + b"x" * 100 + b'"}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_report_changes_nothing(line: bytes) -> None:
    reported = Reported()
    assert not fold_report(reported, line)
    assert not reported.phases
    assert not reported.is_ready


def test_rows_only_grow_and_are_numbers() -> None:
    reported = Reported()
    told = (b'{"rows": 3}', b'{"rows": 8}', b'{"rows": 2}', b'{"rows": true}', b'{"rows": "9"}', b'{"rows": 1e300}')
    assert [fold_report(reported, line) for line in told] == [True, True, False, False, False, False]
    assert reported.rows == 8


@given(st.lists(st.binary(max_size=200) | st.just(b'{"phase":"loaded","seconds":1}'), max_size=120))
def test_no_flood_of_reports_grows_without_bound(lines: list[bytes]) -> None:
    reported = Reported()
    for line in lines:
        fold_report(reported, line)
    assert len(reported.phases) <= MAX_REPORTS


def test_long_messages_and_odd_reasons_of_a_child_are_cut() -> None:
    reported = Reported()
    failed = {"reason": "not a word!", "message": "m" * 10_000, "hint": ["x"]}
    fold_report(reported, json.dumps({"failed": failed}).encode())
    assert reported.trouble is not None
    assert reported.trouble["reason"] == "Failed"
    assert len(str(reported.trouble["message"])) == 2000


REPORTED: dict[str, object] = {"reason": "ModelLoadFailed", "message": "no", "hint": "", "retryable": True}


@pytest.mark.parametrize(
    ("end", "reported", "reason"),
    [
        (End(cannot_start="no such file", code=126), None, "CannotStart"),
        (End(signal_number=9, oom_kills=1, memory_limit=1 << 28, memory_last=1 << 28), None, "OutOfMemory"),
        (End(code=1, oom_kills=1), REPORTED, "OutOfMemory"),
        (End(code=0, oom_kills=1), None, "Exited"),
        (End(signal_number=9, cause="OutOfMemory"), None, "OutOfMemory"),
        (End(signal_number=9, cause="StartDeadlineExceeded", start_deadline=5), REPORTED, "StartDeadlineExceeded"),
        (End(signal_number=9, cause="ProbeFailed"), None, "ProbeFailed"),
        (End(code=3), REPORTED, "ModelLoadFailed"),
        (End(signal_number=signal.SIGSEGV), None, "Killed"),
        (End(code=1), None, "Exited"),
    ],
)
def test_the_most_telling_cause_wins(end: End, reported: dict[str, object] | None, reason: str) -> None:
    trouble = why_it_ended(end, reported)
    assert trouble["reason"] == reason
    assert str(trouble["message"]).endswith((".", "no", "file"))


def test_out_of_memory_tells_limit_and_last_use() -> None:
    trouble = why_it_ended(End(signal_number=9, oom_kills=1, memory_limit=256 << 20, memory_last=250 << 20), None)
    assert "256 MiB" in str(trouble["message"])
    assert "250 MiB" in str(trouble["message"])


def test_a_traceback_is_cut_to_its_head_and_end() -> None:
    recent = [("e", "earlier noise"), ("e", "Traceback (most recent call last):")]
    recent += [("e", f"  frame {n}") for n in range(40)] + [("e", "ImportError: no module named x"), ("o", "out")]
    lines = lines_that_mattered(recent)
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "ImportError: no module named x"
    assert len(lines) == MAX_LINES


def test_without_stderr_the_end_of_stdout_is_taken() -> None:
    assert lines_that_mattered([("o", "a"), ("s", "remark"), ("o", "b" * 1000)]) == ["a", "b" * 300]


def test_a_wrapper_passes_signals_on_as_codes() -> None:
    assert wrapper_status(137) == (None, 9)
    assert wrapper_status(3) == (3, None)
    assert wrapper_status(255) == (255, None)
