"""The first journey with PostgreSQL behind Taxiway and behind MLflow, set by settings alone."""

from __future__ import annotations

from collections.abc import Iterator

import httpx2
import pytest

from taxiway.client.calls import plain
from tests import postgresql
from tests.faults.broken_models import PyModel, log_model
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(400)]

ROW = {"dataframe_records": [{"amount": 1.0, "country": "DE"}]}


@pytest.fixture(scope="module")
def on_postgresql() -> Iterator[Platform]:
    """A platform whose two databases are PostgreSQL's."""
    with postgresql.running() as server:
        ours, theirs = server.new_database(), server.new_database()
        with a_platform(
            TAXIWAY_DATABASE__URL=server.url(ours), TAXIWAY_TRACKING__DATABASE_URL=server.url(theirs)
        ) as platform:
            yield platform


def test_log_convert_call_off_on_delete(on_postgresql: Platform) -> None:
    """The same answers as with SQLite, and no SQLite file anywhere."""
    run_id = log_model(on_postgresql, PyModel())

    made = on_postgresql.convert(run_id, "on-postgresql", needs_token=False)

    assert made.status == "ON", f"{made.reason}: {made.message}"
    answer = httpx2.post(f"{made.url}/invocations", json=ROW, trust_env=False)
    assert answer.json() == {"predictions": [1]}
    with on_postgresql.client() as client:
        client.switch_off("on-postgresql", 1)
        assert client.wait("on-postgresql", 1, timeout_seconds=60).status == "OFF"
        client.switch_on("on-postgresql", 1)
        assert client.wait("on-postgresql", 1, timeout_seconds=60).status == "ON"
        client.delete("on-postgresql", 1)
        assert client.send(plain("GET", "audit", "verify"))["is_intact"]
    kept = [file.name for file in on_postgresql.data.rglob("*.db")]
    assert kept == ["history.db"], "graphs alone are kept on the host"
