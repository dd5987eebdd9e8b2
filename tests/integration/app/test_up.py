"""`taxiway up`, `down` and what is local to the host, with the real engines."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from taxiway.client import ApiError, Client
from taxiway.client.calls import plain
from taxiway.client.signing_in import sign_in
from taxiway.stub import children
from tests.platforms import PASSWORD, Platform, free_ports

pytestmark = pytest.mark.integration


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that was never started."""
    directory = Path(tempfile.mkdtemp(prefix="twy-"))
    made = Platform(data=directory / "data", port=free_ports(), settings={"TAXIWAY_RUN_DIR": str(directory / "r")})
    yield made
    made.down()
    shutil.rmtree(directory, ignore_errors=True)


def living(platform: Platform) -> set[str]:
    directories = (platform.data / "children").glob("*")
    return {path.name for path in directories if (seen := children.status(path)) is not None and seen.is_alive}


def check_chain(platform: Platform, token: str) -> None:
    """What another process wrote down is part of the same chain."""
    with Client(platform.url, token=token) as client:
        verdict = client.send(plain("GET", "audit", "verify"))
        newest = client.send(plain("GET", "audit", action="user.reset-password"))["items"][0]
    assert verdict["is_intact"]
    assert newest["actor"] == "control plane"


def control_plane(platform: Platform) -> int:
    seen = children.status(platform.data / "children" / "control")
    assert seen is not None
    assert seen.child_pid is not None
    return seen.child_pid


def damage_key(platform: Platform) -> Path:
    """Make the control plane unable to begin, in a way that only itself finds out."""
    key = platform.data / "keys" / "signing" / "first.pem"
    key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key.touch(mode=0o600)
    key.write_text("no key")
    return key


def test_from_nothing_to_up_to_nothing(platform: Platform) -> None:
    platform.up()
    assert living(platform) == {"control", "mlflow", "envoy"}

    again = platform.command("up", "--detach")
    assert "is up already" in again.stderr

    old = sign_in(platform.url, user="admin", password=PASSWORD, token_name="t", days=1)
    reset = platform.command("reset-password").stdout.strip()
    sign_in(platform.url, user="admin", password=reset, token_name="t", days=1)
    with pytest.raises(ApiError, match="password"):
        sign_in(platform.url, user="admin", password=PASSWORD, token_name="t", days=1)
    check_chain(platform, old)

    key = damage_key(platform)
    os.kill(control_plane(platform), signal.SIGKILL)
    vain = platform.command("up", "--detach", check=False)
    assert vain.returncode == 1, "what runs and does not answer is not up"
    assert f"{key} is damaged" in vain.stderr
    assert living(platform) == {"control", "mlflow", "envoy"}, "they are not this command's to end"

    platform.down()
    assert living(platform) == set()
    assert not (platform.data.parent / "r").exists(), "sockets stay behind"
    assert platform.command("reset-password", "admin").stdout.strip() not in ("", reset), "works while it is down"


def test_an_up_in_vain_says_why_and_leaves_nothing_running(platform: Platform) -> None:
    key = damage_key(platform)

    ended = platform.command("up", "--detach", check=False)

    assert ended.returncode == 1
    assert f"{key} is damaged" in ended.stderr
    assert "platform-log control" in ended.stderr
    assert "First start: user admin, password" in ended.stderr, "else nobody would ever know it"
    assert living(platform) == set()


def test_a_password_is_not_reset_where_there_is_no_taxiway(platform: Platform) -> None:
    ended = platform.command("reset-password", check=False)

    assert ended.returncode == 3
    assert "--data-dir" in ended.stderr
    assert not platform.data.exists()
