"""Over many random acts, with kills among them: is every one that was done in the audit log, exactly once?"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from sqlalchemy import func, select

from taxiway.domain.errors import TaxiwayError
from taxiway.domain.resources import MEBIBYTE, Resources, Scale
from taxiway.domain.rollouts import RolloutWanted, Strategy
from taxiway.domain.thresholds import Bound, Threshold
from taxiway.services.approvals import PromotionRequest
from taxiway.services.audit import AuditLog
from taxiway.services.deployments import DeploymentName, ProductionName
from taxiway.services.rollouts import Rollouts
from taxiway.services.thresholds import Thresholds
from taxiway.store import schema
from taxiway.store.database import Database
from tests.builders import MODEL, PROJECT, an_asking
from tests.control.harness import ControlPlane, a_world
from tests.control.killing import WatchedDatabase
from tests.control.test_production import promotions_of

pytestmark = pytest.mark.fault
ACTS = int(os.environ.get("ACTS", "250"))
"""A thousand take a minute and a half: `make fault-long`."""
KILLED = 0.1
"""How many of the acts are killed at their commit, half of them before it and half after."""
CUSTOMERS = ("acme", "zeta", "nova")


class Dead(BaseException):
    """The process is gone: nobody catches it."""


class Killing:
    """Kills at the next commit, where it is armed."""

    def __init__(self) -> None:
        self.armed = ""

    def __call__(self, point: str) -> None:
        if point == self.armed:
            self.armed = ""
            raise Dead


async def written(database: Database) -> tuple[object, ...]:
    """Return what acts change, without what controllers see: generations, rollouts and thresholds."""
    async with database.read() as tx:
        d, r, m = schema.deployments.c, schema.rollouts.c, schema.models.c
        rows = [
            (await tx.execute(select(d.id, d.generation).order_by(d.id))).all(),
            (await tx.execute(select(r.id, r.generation).order_by(r.id))).all(),
            (await tx.execute(select(m.name, m.thresholds).order_by(m.name))).all(),
        ]
    return tuple(map(str, rows))


async def entries(database: Database) -> int:
    async with database.read() as tx:
        return int((await tx.execute(select(func.count()).select_from(schema.audit_entries))).scalar_one())


def act(plane: ControlPlane, chance: random.Random) -> tuple[str, Callable[[], Awaitable[object]]]:
    """Choose one thing that somebody asks for; it may well be refused."""
    asking, customer = an_asking(), chance.choice(CUSTOMERS)
    name = ProductionName(name=f"fraud-{customer}")
    staging = DeploymentName(project=PROJECT, model=MODEL, version=chance.choice((1, 1, 1, 2)))
    size = Resources(memory_bytes=chance.randint(1, 8) * 256 * MEBIBYTE, cpus=chance.choice((0.5, 1.0)))
    rollouts = Rollouts(database=plane.database, nudge=plane.nudge, now=plane.world.clock)
    thresholds = Thresholds(database=plane.database, now=plane.world.clock)
    strategy = chance.choice((None, None, Strategy(steps=())))
    promotions = promotions_of(plane)
    request = PromotionRequest(
        source=staging, name=name.name, customer=customer.title(), reason="They asked for it.", resources=size,
        strategy=strategy,
    )  # fmt: skip
    least = chance.randint(1, 3)
    value = chance.choice((0.5, 0.9))
    choices: dict[str, Callable[[], Awaitable[object]]] = {
        "promote": lambda: promotions.promote(asking, request),
        "try": lambda: promotions.plan(asking, request),
        "configure": lambda: plane.deployments.configure(asking, name, resources=size, strategy=strategy),
        "rehearse": lambda: plane.deployments.configure(asking, name, resources=size, dry_run=True),
        "scale": lambda: plane.deployments.configure(asking, name, scale=Scale(minimum=least, maximum=least + 1)),
        "on": lambda: plane.deployments.switch_on(asking, name),
        "off": lambda: plane.deployments.switch_off(asking, name),
        "roll back": lambda: promotions.roll_back(asking, name.name, reason="It was no better."),
        "rollout": lambda: rollouts.change(asking, name.name, chance.choice(list(RolloutWanted))),
        "staging": lambda: plane.deployments.configure(asking, staging, resources=size),
        "staging on": lambda: plane.deployments.switch_on(asking, staging),
        "thresholds": lambda: thresholds.set(
            asking, PROJECT, MODEL, [Threshold(metric="loss", bound=Bound.AT_MOST, value=value)] * chance.randint(0, 1)
        ),
    }
    which = chance.choice(list(choices))
    return which, choices[which]


async def test_every_act_has_one_entry_whatever_is_killed(tmp_path: Path) -> None:
    chance, killing = random.Random(20_261_127), Killing()
    world = await a_world(tmp_path)
    plane = ControlPlane(world, database=WatchedDatabase(world.open(), killing))
    await plane.convert()
    await plane.settle()
    counts: Counter[str] = Counter()
    for number in range(ACTS):
        before, had = await written(plane.database), await entries(plane.database)
        which, ask = act(plane, chance)
        killing.armed = chance.choice(("before commit", "after commit")) if chance.random() < KILLED else ""
        outcome = "done"
        try:
            await ask()
        except TaxiwayError:
            outcome = "refused"
        except Dead:
            outcome = "killed"
            await plane.close()
            world.control_plane_died()
            plane = ControlPlane(world, database=WatchedDatabase(world.open(), killing))
        killing.armed = ""
        was_done = await written(plane.database) != before
        assert await entries(plane.database) - had == int(was_done), (number, which, outcome)
        assert not (was_done and outcome == "refused"), (number, which)
        counts[f"{outcome}, {'written' if was_done else 'nothing written'}"] += 1
        await plane.run(chance.choice((0.0, 0.5, 5.0)))
    assert (await AuditLog(database=plane.database, now=world.clock).verify()).is_intact
    assert counts["killed, written"] > ACTS / 100
    assert counts["killed, nothing written"] > ACTS / 100
    assert counts["done, written"] > ACTS / 5
    assert counts["refused, nothing written"] > ACTS / 20
    await plane.close()
