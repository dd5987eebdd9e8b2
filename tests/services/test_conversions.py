"""Convert to model: checked before anything is written, done once, finished after a crash, one transaction."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from taxiway.domain.deployments import DeploymentWanted, Status
from taxiway.domain.errors import (
    Conflict,
    InvalidInput,
    LimitReached,
    NoInterpreter,
    NoSignature,
    NotFound,
    TaxiwayError,
    TrackingUnavailable,
)
from taxiway.domain.ids import DeploymentId, ModelName, ModelVersionId, ProjectName, UserId
from taxiway.domain.models import LoggedModelRef
from taxiway.domain.resources import Capacity, Resources
from taxiway.domain.snapshots import SnapshotState
from taxiway.ports import ModelRegistry
from taxiway.services.conversions import KEYS_KEPT_FOR, ConversionRequest, Conversions
from taxiway.store import conversions, deployments, events, models, revisions, snapshots, users
from taxiway.store.database import Database
from tests.builders import (
    MODEL,
    NOW,
    PROJECT,
    RUN_ID,
    USER_ID,
    a_logged_model,
    a_principal,
    a_ref,
    a_user,
    an_administrator,
    an_asking,
    some_facts,
)
from tests.fakes import FakeBuilder, FakeClock, FakeNudge, FakeRegistry
from tests.services.conftest import actions, audited
from tests.store.conftest import insert_people

ME = an_asking()


class CrashingRegistry(FakeRegistry):
    """Registers, and then the control plane dies before it hears of it."""

    def __init__(self) -> None:
        super().__init__()
        self.crashes = 0

    async def register(
        self, project: ProjectName, model: ModelName, ref: LoggedModelRef, *, key: ModelVersionId, tags: Any
    ) -> int:
        number = await super().register(project, model, ref, key=key, tags=tags)
        if self.crashes:
            self.crashes -= 1
            raise asyncio.CancelledError
        return number


@pytest.fixture
def registry() -> CrashingRegistry:
    made = CrashingRegistry()
    made.logged[RUN_ID] = [a_logged_model()]
    return made


@pytest.fixture
async def service(database: Database, registry: ModelRegistry, clock: FakeClock, nudge: FakeNudge) -> Conversions:
    async with database.write() as tx:
        await insert_people(tx)
    return Conversions(
        database=database,
        registry=registry,
        builder=FakeBuilder(clock=clock),
        capacity=Capacity(memory_bytes=8 << 30, cpus=2),
        deployments_per_user=3,
        nudge=nudge,
        now=clock,
    )


def a_wish(**changes: object) -> ConversionRequest:
    given: dict[str, object] = {"project": PROJECT, "run": RUN_ID, "model": MODEL}
    return ConversionRequest(**(given | changes))  # type: ignore[arg-type]


async def is_untouched(database: Database, registry: FakeRegistry) -> bool:
    async with database.read() as tx:
        rows = [*await deployments.keys(tx), *await conversions.unfinished(tx, before=NOW + timedelta(days=9))]
    return not rows and not registry.versions and not await audited(database)


async def test_a_conversion_makes_all_that_belongs_to_it_at_once(
    service: Conversions, database: Database, nudge: FakeNudge
) -> None:
    wish = a_wish(resources=Resources(memory_bytes=2 << 30, cpus=0.5), needs_token=False, tags={"team": "red"})
    version = await service.convert_run(ME, wish)
    assert (version.project, version.model, version.version, version.owner) == (PROJECT, MODEL, 1, USER_ID)
    assert (version.source, version.tags, version.created_at) == (a_ref(), {"team": "red"}, NOW)
    async with database.read() as tx:
        assert await models.get_version(tx, PROJECT, MODEL, 1) == version
        deployment = await deployments.get_of_version(tx, PROJECT, MODEL, 1)
        (revision,) = await revisions.of_deployment(tx, deployment.id)
        copy = await snapshots.get(tx, version.id)
        (event,) = await events.find(tx)
    assert version.deployment == deployment.id
    assert (deployment.wanted, deployment.verdict.status, deployment.generation) == (
        DeploymentWanted.ON, Status.QUEUED, 1,
    )  # fmt: skip
    assert (deployment.resources, deployment.needs_token) == (wish.resources, False)
    assert (revision.number, revision.resources, revision.request.python) == (1, wish.resources, "3.11")
    assert copy.state is SnapshotState.PENDING
    assert (event.reason, event.actor, event.subject) == ("Converted", "ada", deployment.id)
    (entry,) = await audited(database)
    assert (entry.action, entry.object, entry.project) == ("model.convert", "fraud/scorer/1", PROJECT)
    assert '"memory":"2Gi"' in entry.after
    assert nudge.told == [("deployment", deployment.id), ("revision", revision.id)]


async def test_converting_again_makes_the_next_version(service: Conversions) -> None:
    numbers = [(await service.convert_run(ME, a_wish())).version for _ in range(2)]
    assert numbers == [1, 2]
    assert (await service.convert_run(ME, a_wish(model="second"))).version == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"model": "Bad Name"}, InvalidInput),
        ({"model": ""}, InvalidInput),
        ({"logged_model": "other"}, InvalidInput),
        ({"tags": {"": "x"}}, InvalidInput),
        ({"run": "f" * 32}, NotFound),
        ({"resources": Resources(memory_bytes=(8 << 30) + 1)}, LimitReached),
        ({"resources": Resources(cpus=2.1)}, LimitReached),
    ],
)
async def test_what_cannot_be_is_refused_before_anything_is_written(
    service: Conversions, database: Database, registry: FakeRegistry, changes: dict[str, object],
    reason: type[TaxiwayError],
) -> None:  # fmt: skip
    with pytest.raises(reason) as refused:
        await service.convert_run(ME, a_wish(**changes))
    assert refused.value.hint
    assert await is_untouched(database, registry)


@pytest.mark.parametrize(
    ("changes", "reason"), [({"signature": None}, NoSignature), ({"python_version": "3.6.1"}, NoInterpreter)]
)
async def test_a_model_that_cannot_be_served_is_refused_before_anything_is_written(
    service: Conversions, database: Database, registry: FakeRegistry, changes: dict[str, object],
    reason: type[TaxiwayError],
) -> None:  # fmt: skip
    registry.facts["model"] = some_facts(**changes)
    with pytest.raises(reason):
        await service.convert_run(ME, a_wish())
    assert await is_untouched(database, registry)


async def test_while_mlflow_is_down_nothing_is_written(
    service: Conversions, database: Database, registry: FakeRegistry
) -> None:
    registry.is_down = True
    with pytest.raises(TrackingUnavailable):
        await service.convert_run(ME, a_wish())
    registry.is_down = False
    assert await is_untouched(database, registry)


async def test_the_preflight_writes_nothing(service: Conversions, database: Database, registry: FakeRegistry) -> None:
    checked = await service.preflight(a_wish())
    assert (checked.model, checked.source, checked.request.python) == (MODEL, a_ref(), "3.11")
    assert await is_untouched(database, registry)


async def test_a_user_has_so_many_deployments_an_administrator_more(service: Conversions, database: Database) -> None:
    for _ in range(3):
        await service.convert_run(ME, a_wish())
    with pytest.raises(LimitReached, match="3 deployments"):
        await service.convert_run(ME, a_wish())
    root = an_asking(an_administrator(user=USER_ID))
    assert (await service.convert_run(root, a_wish())).version == 4


# ------------------------------------------------------------------ the same key, crashes


async def test_the_same_key_with_the_same_wish_is_the_same_conversion(service: Conversions, database: Database) -> None:
    first = await service.convert_run(ME, a_wish(), idempotency_key="k")
    assert await service.convert_run(ME, a_wish(), idempotency_key="k") == first
    with pytest.raises(Conflict):
        await service.convert_run(ME, a_wish(needs_token=False), idempotency_key="k")
    assert await actions(database) == ["model.convert"]


async def test_two_users_may_use_one_key(service: Conversions, database: Database) -> None:
    bob = a_user(id=UserId("u-bob"), name="bob")
    async with database.write() as tx:
        await users.insert_user(tx, bob, password_hash="h")
    him = an_asking(a_principal(user=bob.id, name="bob"))
    made = [await service.convert_run(asking, a_wish(), idempotency_key="k") for asking in (ME, him)]
    assert [version.version for version in made] == [1, 2]


async def test_the_key_of_a_deleted_version_says_so(service: Conversions, database: Database) -> None:
    version = await service.convert_run(ME, a_wish(), idempotency_key="k")
    async with database.write() as tx:
        await deployments.forget(tx, DeploymentId(f"d-{version.id}"))
        await models.delete_version(tx, version)
    with pytest.raises(NotFound):
        await service.convert_run(ME, a_wish(), idempotency_key="k")


async def crash(service: Conversions, registry: CrashingRegistry, **changes: str) -> None:
    registry.crashes = 1
    with pytest.raises(asyncio.CancelledError):
        await service.convert_run(ME, a_wish(), **changes)


async def test_asked_again_after_a_crash_it_goes_on(
    service: Conversions, database: Database, registry: CrashingRegistry
) -> None:
    await crash(service, registry, idempotency_key="k")
    assert await actions(database) == []
    version = await service.convert_run(ME, a_wish(), idempotency_key="k")
    assert version.version == 1
    assert list(registry.versions[PROJECT, MODEL].values()) == [version.id]
    assert await actions(database) == ["model.convert"]


async def test_what_nobody_asks_for_again_is_finished_later(
    service: Conversions, database: Database, registry: CrashingRegistry, clock: FakeClock
) -> None:
    await crash(service, registry)
    await service.finish_forgotten()
    assert await actions(database) == []
    clock.advance(31)
    registry.is_down = True
    await service.finish_forgotten()
    assert await actions(database) == []
    registry.is_down = False
    for _ in range(2):
        await service.finish_forgotten()
    assert await actions(database) == ["model.convert"]
    assert len(registry.versions[PROJECT, MODEL]) == 1


class RefusingRegistry(FakeRegistry):
    """Takes no name."""

    async def register(self, *_args: object, **_named: object) -> int:
        raise InvalidInput("MLflow refused the name.", hint="Choose another.")


async def test_what_mlflow_refuses_for_good_is_given_up(
    service: Conversions, database: Database, registry: CrashingRegistry, clock: FakeClock
) -> None:
    await crash(service, registry, idempotency_key="later")
    service._registry = RefusingRegistry()
    service._registry.logged = registry.logged
    with pytest.raises(InvalidInput):
        await service.convert_run(ME, a_wish(), idempotency_key="at once")
    clock.advance(31)
    await service.finish_forgotten()
    async with database.read() as tx:
        assert [await conversions.find(tx, USER_ID, key) for key in ("later", "at once")] == [None, None]


async def test_keys_are_forgotten_after_a_day(service: Conversions, database: Database, clock: FakeClock) -> None:
    await service.convert_run(ME, a_wish(), idempotency_key="k")
    clock.advance(KEYS_KEPT_FOR)
    await service.finish_forgotten()
    async with database.read() as tx:
        assert await conversions.find(tx, USER_ID, "k") is not None
    clock.advance(1)
    await service.finish_forgotten()
    assert (await service.convert_run(ME, a_wish(), idempotency_key="k")).version == 2


@pytest.mark.concurrent
async def test_finished_twice_at_once_it_is_done_once(
    service: Conversions, database: Database, registry: CrashingRegistry, clock: FakeClock
) -> None:
    await crash(service, registry)
    async with database.read() as tx:
        (left,) = await conversions.unfinished(tx, before=clock() + timedelta(days=1))
    first, second = await asyncio.gather(service.finish(left), service.finish(left))
    assert first == second
    assert await actions(database) == ["model.convert"]


def test_every_part_of_a_wish_tells_two_apart() -> None:
    changes: list[dict[str, object]] = [
        {}, {"project": "p"}, {"run": "r"}, {"model": "m"}, {"logged_model": "x"}, {"needs_token": False},
        {"resources": Resources(cpus=0.1)}, {"tags": {"a": "b"}},
    ]  # fmt: skip
    assert len({a_wish(**change).digest() for change in changes}) == len(changes)
