"""The control plane is killed at every commit and every call of a port, in all that people ask of deployments.

The places are not listed by hand: a run that is left alone writes down every gate that it passes (``app/gates.py``).
Each time the end must be the same as without the kill. The short form takes some of the places, another choice each
time; ``make fault-long`` takes all of them.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
import pytest

from taxiway.client import ApiError, Client, Unreachable
from taxiway.client.calls import plain
from taxiway.domain.ids import new_id
from taxiway.wire.models import ConversionIn, ModelVersionDetailOut
from taxiway.wire.production import ProductionConfigurationIn, ProductionDetailOut, PromotionIn
from tests.faults.broken_models import PyModel, log_model
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timeout(7200)]

CYCLES = os.environ.get("TAXIWAY_TEST_KILL_CYCLES", "3")
OPERATIONS = ("convert", "promote", "update", "roll_back", "take_away", "off", "on", "delete")
POLLED = ("Runtime.observe", "Gateway.accepted", "SnapshotStore.observe", "EnvironmentBuilder.observe", "LogStore")
"""Looked at again and again: the first look stands for all."""
PATIENCE = 60.0
MODEL = "killed"
PROMOTED = "killed-acme"
USUAL, MORE = "0.5", "1"
"""CPUs before and after an update."""
ROW = {"dataframe_records": [{"amount": 1.0, "country": "DE"}]}


@dataclass
class Victim:
    """A platform whose control plane can be killed at chosen places, and one run to convert again and again."""

    platform: Platform
    points: Path
    run_id: str = ""
    version: int = 0
    key: str = field(default_factory=new_id)

    def arm(self, point: str) -> None:
        """Have the control plane die at this place (one that does not exist: only write down)."""
        (self.points / "trace").unlink(missing_ok=True)
        new = self.points / "armed.new"
        new.write_text(point)
        new.replace(self.points / "armed")

    def disarm(self) -> bool:
        """Tell whether the place was reached, and let the control plane live from now on."""
        with contextlib.suppress(FileNotFoundError):
            (self.points / "armed").unlink()
            return False
        return True

    def passed(self) -> list[str]:
        """Return the places that were passed since ``arm``, those that are polled once."""
        lines = (self.points / "trace").read_text().split("\n") if (self.points / "trace").exists() else []
        return [line for line in lines if line and (line.endswith(" 1") or not line.startswith(POLLED))]

    def insist(self, ask: Callable[[Client], Any]) -> Any:
        """Ask until there is an answer, as a person or program would whose first try got none."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                with self.platform.client() as client:
                    return ask(client)
            except (Unreachable, ApiError) as error:
                if isinstance(error, ApiError) and error.status not in (502, 503):
                    raise
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def wait_for(self, status: str) -> ModelVersionDetailOut:
        """Wait until the model has this status."""
        seen: ModelVersionDetailOut | None = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = self.insist(lambda client: client.model(MODEL, self.version))
            assert seen is not None
            if seen.status == status and seen.observed_generation == seen.generation:
                return seen
            time.sleep(0.2)
        raise AssertionError(f"{seen.status}: {seen.message}" if seen else "never seen")

    def do(self, operation: str) -> None:
        """Do one operation to its end, and look whether it is the right one."""
        getattr(self, f"_{operation}")()

    def _convert(self) -> None:
        self.key = new_id()
        wanted = ConversionIn(model=MODEL, needs_token=False)
        made = self.insist(lambda client: client.convert(self.run_id, wanted, idempotency_key=self.key))
        self.version = made.version
        seen = self.wait_for("ON")
        assert httpx2.post(f"{seen.url}/invocations", json=ROW, timeout=10, trust_env=False).status_code == 200
        listed = self.insist(lambda client: client.models(contains=MODEL))
        assert [item.version for item in listed.items] == [self.version], "converted once, not twice"

    def _promote(self) -> None:
        wanted = PromotionIn(
            project="fraud", model=MODEL, version=self.version, name=PROMOTED, customer="Acme", reason="A trial.",
            cpus=USUAL,
        )  # fmt: skip

        def promote(client: Client) -> None:
            if not client.production().items:  # a first try may have been done and its answer lost
                client.promote(wanted)

        self.insist(promote)
        seen = self.wait_for_production(USUAL)
        assert (len(seen.promotions), len(seen.history)) == (1, 1), "promoted once, not twice"

    def _update(self) -> None:
        self.insist(lambda client: client.configure_production(PROMOTED, ProductionConfigurationIn(cpus=MORE)))
        self.wait_for_production(MORE)

    def _roll_back(self) -> None:
        def roll_back(client: Client) -> None:
            if client.production_deployment(PROMOTED).resources.cpus == MORE:
                client.roll_back(PROMOTED, reason="It was no better.")

        self.insist(roll_back)
        assert len(self.wait_for_production(USUAL).history) == 3

    def _take_away(self) -> None:
        with contextlib.suppress(ApiError):
            self.insist(lambda client: client.delete_production(PROMOTED))
        deadline = time.monotonic() + PATIENCE
        while self.insist(lambda client: client.production()).items or len(self.pods()) > 1:
            assert time.monotonic() < deadline, "not deleted"
            time.sleep(0.2)

    def wait_for_production(self, cpus: str) -> ProductionDetailOut:
        """Wait until the production deployment serves with so many CPUs, by one pod."""
        seen: ProductionDetailOut | None = None
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            seen = self.insist(lambda client: client.production_deployment(PROMOTED))
            assert seen is not None
            is_seen = seen.observed_generation == seen.generation and seen.resources.cpus == cpus
            if seen.status == "ON" and is_seen and len(self.pods()) == 2:
                return seen
            time.sleep(0.2)
        raise AssertionError(f"{seen.status}: {seen.message}, {self.pods()}" if seen else "never seen")

    def _off(self) -> None:
        self.insist(lambda client: client.switch_off(MODEL, self.version))
        seen = self.wait_for("OFF")
        answer = httpx2.post(f"{seen.url}/invocations", json=ROW, timeout=10, trust_env=False)
        assert answer.status_code == 503
        assert not self.pods()

    def _on(self) -> None:
        self.insist(lambda client: client.switch_on(MODEL, self.version))
        seen = self.wait_for("ON")
        assert httpx2.post(f"{seen.url}/invocations", json=ROW, timeout=10, trust_env=False).status_code == 200
        assert len(self.pods()) == 1

    def _delete(self) -> None:
        with contextlib.suppress(ApiError):  # gone already: a first try was done and its answer lost
            self.insist(lambda client: client.delete(MODEL, self.version))
        deadline = time.monotonic() + PATIENCE
        while self.insist(lambda client: client.models(contains=MODEL)).items:
            assert time.monotonic() < deadline, "not deleted"
            time.sleep(0.2)
        while self.left_over():
            assert time.monotonic() < deadline, self.left_over()
            time.sleep(0.2)

    def pods(self) -> list[str]:
        """List the pods' directories."""
        return sorted(path.name for path in (self.platform.data / "pods").iterdir())

    def left_over(self) -> list[str]:
        """List what a deleted model must not leave behind."""
        data = self.platform.data
        kept = [*(data / "pods").iterdir(), *(data / "logs" / "pods").glob("*"), *(data / "snapshots").iterdir()]
        return [str(path.relative_to(data)) for path in kept]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """A platform with the gates on, and a model environment that is built before."""
    points = tmp_path_factory.mktemp("points")
    with a_platform(TAXIWAY_FAILPOINTS=str(points), TAXIWAY_TESTING="1") as platform:
        victim = Victim(platform=platform, points=points)
        victim.run_id = log_model(platform, PyModel())
        victim.do("convert")
        victim.do("delete")
        yield victim


def test_killed_at_every_point(victim: Victim) -> None:
    """Wherever the control plane dies, each operation comes to the end that it has without."""
    places: dict[str, list[str]] = {}
    for operation in OPERATIONS:
        victim.arm(f"record only {operation}")
        victim.do(operation)
        victim.disarm()
        places[operation] = victim.passed()
        assert places[operation], "gates were passed"
    seed = random.randrange(1 << 32)
    chance = random.Random(seed)
    for chosen in places.values():
        chance.shuffle(chosen)
    longest = max(len(chosen) for chosen in places.values())
    cycles = longest if CYCLES == "all" else int(CYCLES)
    reached = 0
    for number in range(cycles):
        for operation in OPERATIONS:
            point = places[operation][number % len(places[operation])]
            victim.arm(point)
            try:
                victim.do(operation)
            except (AssertionError, ApiError, Unreachable) as error:
                raise AssertionError(f"seed {seed}: killed at {point} of {operation}: {error}") from error
            reached += victim.disarm()
    assert reached >= cycles * len(OPERATIONS) / 2, f"seed {seed}: only {reached} kills happened"
    verdict = victim.insist(lambda client: client.send(plain("GET", "audit", "verify")))
    assert verdict["is_intact"]
