"""The world in memory: every port of ``taxiway.ports``, with misfortunes whose names say where they strike.

A fake is the world and not our memory of it: it lives on when the control plane is killed. ``control_plane_died``
takes from it what would have died too (what a runtime was told, copies and builds that were under way).
Time is the ``FakeClock``: things take the seconds that the constructors say, and happen when somebody looks.
"""

from tests.fakes.clock import FakeClock, FakeNudge
from tests.fakes.environments import BuildFate, FakeBuilder
from tests.fakes.gateway import FakeGateway
from tests.fakes.keys import FakeSigner
from tests.fakes.logs import FakeLogStore
from tests.fakes.measurements import FakeMeasurements
from tests.fakes.pods import FakePods, FakeRuntime, PodFate
from tests.fakes.proofs import FakeProver, ProofFate
from tests.fakes.snapshots import CopyFate, FakeBundleStore, FakeSnapshotStore
from tests.fakes.tracking import FakeRegistry, FakeTracking

__all__ = [
    "BuildFate",
    "CopyFate",
    "FakeBuilder",
    "FakeBundleStore",
    "FakeClock",
    "FakeGateway",
    "FakeLogStore",
    "FakeMeasurements",
    "FakeNudge",
    "FakePods",
    "FakeProver",
    "FakeRegistry",
    "FakeRuntime",
    "FakeSigner",
    "FakeSnapshotStore",
    "FakeTracking",
    "PodFate",
    "ProofFate",
]
