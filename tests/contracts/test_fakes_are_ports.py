"""mypy accepts every fake as its port; at run time, each has the port's methods with the port's parameters."""

from __future__ import annotations

import inspect

import pytest

from taxiway import ports
from tests.fakes import (
    FakeBuilder,
    FakeBundleStore,
    FakeClock,
    FakeGateway,
    FakeLogStore,
    FakeMeasurements,
    FakeNudge,
    FakePods,
    FakeProver,
    FakeRegistry,
    FakeRuntime,
    FakeSigner,
    FakeSnapshotStore,
    FakeTracking,
)

CLOCK = FakeClock()
RUNTIME: ports.Runtime = FakeRuntime(CLOCK)
GATEWAY: ports.Gateway = FakeGateway(CLOCK)
TRACKING: ports.Tracking = FakeTracking()
REGISTRY: ports.ModelRegistry = FakeRegistry()
SNAPSHOTS: ports.SnapshotStore = FakeSnapshotStore(CLOCK)
BUNDLES: ports.BundleStore = FakeBundleStore()
BUILDER: ports.EnvironmentBuilder = FakeBuilder(clock=CLOCK)
PROVER: ports.Prover = FakeProver(clock=CLOCK)
LOGS: ports.LogStore = FakeLogStore(CLOCK)
SIGNER: ports.Signer = FakeSigner()
NUDGE: ports.Nudge = FakeNudge()
NOW: ports.Clock = CLOCK

FAKES = [
    (ports.Runtime, RUNTIME),
    (ports.Gateway, GATEWAY),
    (ports.Tracking, TRACKING),
    (ports.ModelRegistry, REGISTRY),
    (ports.SnapshotStore, SNAPSHOTS),
    (ports.BundleStore, BUNDLES),
    (ports.EnvironmentBuilder, BUILDER),
    (ports.Prover, PROVER),
    (ports.LogStore, LOGS),
    (ports.Signer, SIGNER),
    (ports.Measurements, FakeMeasurements()),
    (ports.Pods, FakePods()),
    (ports.Nudge, NUDGE),
]


@pytest.mark.parametrize(("port", "fake"), FAKES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_fake_takes_what_its_port_takes(port: type, fake: object) -> None:
    methods = [name for name in vars(port) if not name.startswith("_") or name == "__call__"]
    methods = [name for name in methods if inspect.isfunction(vars(port)[name])]
    assert methods
    for name in methods:
        wanted = list(inspect.signature(vars(port)[name]).parameters.values())[1:]
        given = list(inspect.signature(getattr(fake, name)).parameters.values())
        assert [(p.name, p.kind, p.default) for p in given] == [(p.name, p.kind, p.default) for p in wanted]


def test_every_port_has_a_fake() -> None:
    protocols = {
        value
        for value in vars(ports).values()
        if getattr(value, "_is_protocol", False) and value.__module__ == ports.__name__
    }
    # Signing in with a provider is tested against one that speaks HTTP, in tests/integration/identity.
    assert protocols - {ports.IdentityProvider} == {port for port, _ in FAKES}
