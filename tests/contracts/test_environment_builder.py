"""What every EnvironmentBuilder does."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from taxiway.domain.environments import BuildProgress, BuildState, EnvironmentRequest
from taxiway.domain.errors import NoInterpreter
from taxiway.domain.ids import EnvironmentId
from taxiway.ports import EnvironmentBuilder
from tests.builders import a_request, some_facts
from tests.contracts.waiting import Pass, fake_time, real_time, until
from tests.environments.wheels import make_wheel
from tests.fakes import BuildFate, FakeBuilder, FakeClock
from tests.integration.environments.workshops import Shop

PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
UNKNOWN = EnvironmentId("0" * 64)
OVER = (BuildState.READY, BuildState.FAILED)


@dataclass(kw_only=True)
class Kit:
    builder: EnvironmentBuilder
    good: EnvironmentRequest
    bad: EnvironmentRequest
    a_moment: Pass

    async def over(self, request: EnvironmentRequest) -> BuildProgress:
        def is_over(progress: BuildProgress | None) -> bool:
            return progress is not None and progress.state in OVER

        if isinstance(self.builder, FakeBuilder):
            self.builder.fate = BuildFate.BUILD_FAILS if request == self.bad else BuildFate.WELL
        progress = await until(lambda: self.builder.observe(request.id), is_over, self.a_moment)
        assert progress is not None
        return progress


def asked(*requirements: str) -> EnvironmentRequest:
    return a_request(python=PYTHON, requirements=requirements, scoring_requirements=(), mlflow_version=None)


@pytest.fixture(params=["fake", pytest.param("uv", marks=pytest.mark.integration)])
async def kit(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Kit]:
    good, bad = asked("small"), asked("missing")
    if request.param == "fake":
        clock = FakeClock()
        builder = FakeBuilder(clock=clock, interpreters=frozenset({PYTHON}))
        yield Kit(builder=builder, good=good, bad=bad, a_moment=fake_time(clock))
        return
    shop = Shop(tmp_path)
    for name, version in {"small": "1.0", "mlflow-skinny": "3.17.2", "pandas": "3.0.0", "numpy": "2.4.0"}.items():
        make_wheel(shop.store, name, version)
    uv = shop.builder()
    await uv.open()
    yield Kit(builder=uv, good=good, bad=bad, a_moment=real_time)
    await uv.close()


async def test_a_build_ends_ready_and_is_found_again(kit: Kit) -> None:
    assert await kit.builder.observe(kit.good.id) is None
    await kit.builder.begin(kit.good)
    await kit.builder.begin(kit.good)
    progress = await kit.over(kit.good)
    assert (progress.state, progress.failure) == (BuildState.READY, None)
    assert progress.packages_done == progress.packages_total
    assert await kit.builder.stored() == [kit.good.id]
    await kit.builder.begin(kit.good)
    assert (await kit.over(kit.good)).state is BuildState.READY


async def test_a_build_that_fails_says_why_and_can_be_begun_again(kit: Kit) -> None:
    await kit.builder.begin(kit.bad)
    progress = await kit.over(kit.bad)
    assert progress.state is BuildState.FAILED
    assert progress.failure is not None
    assert progress.failure.reason
    assert progress.failure.hint
    assert await kit.builder.stored() == []
    await kit.builder.begin(kit.bad)
    again = await kit.builder.observe(kit.bad.id)
    assert again is not None
    assert (await kit.over(kit.bad)).state is BuildState.FAILED


async def test_cancelling_forgets_a_build_and_an_unknown_one_is_no_error(kit: Kit) -> None:
    await kit.builder.cancel(UNKNOWN)
    await kit.builder.begin(kit.good)
    await kit.builder.cancel(kit.good.id)
    assert await kit.builder.observe(kit.good.id) is None
    await kit.builder.begin(kit.good)
    assert (await kit.over(kit.good)).state is BuildState.READY


async def test_dropping_deletes_and_an_unknown_one_is_no_error(kit: Kit) -> None:
    await kit.builder.drop(UNKNOWN)
    await kit.builder.begin(kit.good)
    assert (await kit.over(kit.good)).state is BuildState.READY
    await kit.builder.drop(kit.good.id)
    await kit.builder.drop(kit.good.id)
    assert await kit.builder.stored() == []
    assert await kit.builder.observe(kit.good.id) is None


async def test_a_python_that_is_not_there_is_refused_at_once(kit: Kit) -> None:
    with pytest.raises(NoInterpreter) as refused:
        kit.builder.check(some_facts(python_version="3.1.0"))
    assert refused.value.hint
    assert kit.builder.check(some_facts(python_version=f"{PYTHON}.0")).python == PYTHON
