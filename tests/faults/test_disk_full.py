"""A disk that is too small: what is begun fails with need and have, nothing half made stays, serving goes on."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.faults.broken_models import PyModel, log_model
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.fault, pytest.mark.integration, pytest.mark.timeout(600)]

SIZE_MIB = 1200
"""Room for the platform, one model environment and its cache, and the reserve of 256 MiB; not for much more."""
RESERVE_MIB = 256
ROW = {"dataframe_records": [{"amount": 1.0, "country": "DE"}]}


@pytest.fixture(scope="module")
def small_disk() -> Iterator[Path]:
    """A file system of its own. Mounting needs root, as a test machine gives it."""
    directory = Path(tempfile.mkdtemp(prefix="twy-disk-"))
    become_root = [] if os.geteuid() == 0 else ["sudo", "-n"]
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700,uid={os.getuid()}", "taxiway", str(directory)]
    subprocess.run([*become_root, *mount], check=True)
    try:
        yield directory
    finally:
        subprocess.run([*become_root, "umount", "--lazy", str(directory)], check=True)
        directory.rmdir()


@pytest.fixture(scope="module")
def platform(small_disk: Path) -> Iterator[Platform]:
    """A platform whose data directory is on the small disk."""
    with a_platform(home=small_disk, TAXIWAY_ENVIRONMENTS__CACHE_DIR="") as running:
        yield running


def test_disk_full(platform: Platform, small_disk: Path) -> None:
    """While one model serves, the disk fills: another cannot be converted and says why; freed, it can."""
    run_id = log_model(platform, PyModel())
    served = platform.convert(run_id, "served", needs_token=False)
    assert served.status == "ON", served.message
    before = {path.name for path in (platform.data / "snapshots").iterdir()}
    ballast = small_disk / "ballast"
    free = shutil.disk_usage(small_disk).free
    with ballast.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - (RESERVE_MIB // 2 << 20))

    bulky = log_model(platform, PyModel(predict="return [0] * len(model_input)", ballast_bytes=3_000_000))
    seen = platform.convert(bulky, "bulky")

    assert seen.status == "Failed"
    assert seen.reason == "OutOfDisk", seen.message
    assert seen.hint
    assert "MiB" in seen.message or "MB" in seen.message, "need and have are named"
    assert {path.name for path in (platform.data / "snapshots").iterdir()} == before, "nothing half made stays"
    answer = httpx2.post(f"{served.url}/invocations", json=ROW, trust_env=False)
    assert answer.status_code == 200, answer.text

    ballast.unlink()
    with platform.client() as client:
        client.switch_on("bulky", seen.version)
        again = client.wait("bulky", seen.version, timeout_seconds=120)
    assert again.status == "ON", again.message
