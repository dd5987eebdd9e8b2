"""What a machine thinks of: requests made from the OpenAPI document, valid and not, never meet an unhandled error."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from unittest import SkipTest

import httpx2
import hypothesis
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.generation import GenerationMode

from taxiway.wire.problems import ProblemOut
from tests.api.world import URL, Secrets, World

pytestmark = pytest.mark.integration

EXAMPLES = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 2}
"""Requests for each operation; those that are wrong take long to think of."""
LOOKS_ALIKE = {"stream_log", "stream_hints"}
"""Streams: what they read is read by ``get_log`` and ``list_events`` too, and they take as long as they are told."""


def _examine(cases: st.SearchStrategy[Any], count: int, check: Callable[[Any], None]) -> None:
    @given(case=cases)
    @settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def examine(case: Any) -> None:
        check(case)

    examine()


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """One loop for all requests: connections to the database belong to a loop."""
    made = asyncio.new_event_loop()
    yield made
    made.close()


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
def test_no_request_meets_an_unhandled_error(
    template: tuple[Path, Secrets], tmp_path: Path, loop: asyncio.AbstractEventLoop, mode: GenerationMode
) -> None:
    shutil.copy(template[0], tmp_path / "taxiway.db")
    world = World(tmp_path / "taxiway.db", template[1])
    world.fill_fakes()
    schema = schemathesis.openapi.from_dict(world.app.state.openapi())
    sent = 0

    async def send(case: Any) -> httpx2.Response:
        asked = case.as_transport_kwargs(base_url=URL)
        headers = {
            name: value for name, value in asked["headers"].items() if name.lower() not in ("authorization", "cookie")
        }
        body = {"content": asked["data"]} if isinstance(asked.get("data"), str | bytes) else {"json": asked.get("json")}
        return await world.http.request(
            asked["method"],
            asked["url"],
            params=asked.get("params"),
            headers=headers | world.secrets.bearer("admin"),
            **body,
        )

    def check(operation: Any, case: Any) -> None:
        nonlocal sent
        try:
            answer = loop.run_until_complete(send(case))
        except (httpx2.InvalidURL, UnicodeEncodeError):
            return  # no client would send that
        sent += 1
        assert answer.status_code < 500, f"{operation.label}: {answer.text}"
        if answer.status_code >= 400:
            problem = ProblemOut.model_validate(answer.json())
            documented = operation.definition.raw["responses"]
            assert str(problem.status) in documented, f"{operation.label}: {problem.status} is not documented"

    try:
        for found in schema.get_all_operations():
            operation: Any = found.ok()  # type: ignore[union-attr]
            if operation.definition.raw["operationId"] in LOOKS_ALIKE:
                continue

            try:
                _examine(operation.as_strategy(generation_mode=mode), EXAMPLES[mode], partial(check, operation))
            except (hypothesis.errors.Unsatisfiable, SkipTest):
                continue  # nothing can be wrong with a request that has no parameters
    finally:
        loop.run_until_complete(world.database.close())
    assert sent > 40
