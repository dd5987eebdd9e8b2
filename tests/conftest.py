"""What holds for every test: nothing of the control plane unpickles, and how many examples a rule is tried with."""

from __future__ import annotations

import sys
from types import FrameType

import structlog
from hypothesis import HealthCheck, settings


def _refuse_unpickling(event: str, _arguments: tuple[object, ...]) -> None:
    """Fail where a class is looked up for a pickle on behalf of ``taxiway``; tests and their models may."""
    if event != "pickle.find_class":
        return
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if frame.f_globals.get("__name__", "").partition(".")[0] == "taxiway":
            raise RuntimeError(f"{frame.f_globals['__name__']} unpickles")
        frame = frame.f_back


sys.addaudithook(_refuse_unpickling)

# Plain tracebacks where nothing is configured: those in colour take longer than the test that logs one.
PLAIN = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
structlog.configure(processors=[*structlog.get_config()["processors"][:-1], PLAIN])

# The same few examples in every run, so that a run fails for what was changed. `make unit-long` looks for new ones.
settings.register_profile(
    "short",
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("short")
