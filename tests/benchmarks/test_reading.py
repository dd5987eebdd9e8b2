"""What the harness reads from wrk, and which processes it takes for its own."""

from __future__ import annotations

import os
import subprocess
import sys
import uuid

import pytest
from benchmarks.scoring import read_wrk, spread
from benchmarks.servers import MARK, marked

SAID = """Running 4s test @ http://127.0.0.1:8399/invocations
  1 threads and 1000 connections
  Latency Distribution
     50%  940.10us
     99%    1.29s
  4000 requests in 4.00s, 1.80MB read
{more}Requests/sec:   1000.00
"""


def test_rates_and_latencies_in_milliseconds() -> None:
    found = read_wrk(SAID.format(more=""))
    assert found == {
        "rate": 1000.0, "good": 1000.0, "p50": pytest.approx(0.9401), "p99": 1290.0, "refused": 0, "failed": 0,
    }  # fmt: skip


def test_refusals_are_requests_and_socket_errors_are_not() -> None:
    more = "  Socket errors: connect 1, read 500, write 2, timeout 3\n  Non-2xx or 3xx responses: 3000\n"
    found = read_wrk(SAID.format(more=more))
    assert found["good"] == pytest.approx(250.0)
    assert (found["refused"], found["failed"]) == (3000, 3506)


def test_a_run_without_an_answer_has_no_goodput() -> None:
    found = read_wrk("  0 requests in 4.00s, 0.00B read\nRequests/sec:      0.00\n")
    assert (found["rate"], found["good"]) == (0.0, 0.0)


def test_spread_is_said_only_where_rounds_differ() -> None:
    assert spread([10.0, 10.1, 10.2], 1) == "10.1"
    assert spread([5.0, 10.0, 20.0], 0) == "10 (5-20)"


def test_only_processes_with_the_mark_are_the_harness_own() -> None:
    mark = uuid.uuid4().hex
    with subprocess.Popen(
        [sys.executable, "-c", "print(flush=True); input()"],
        env=os.environ | {MARK: mark}, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        assert marked(mark) == [process.pid]
        assert marked(mark[::-1]) == []
        process.stdin.close()
