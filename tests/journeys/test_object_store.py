"""Production on S3: what was promoted serves whatever becomes of staging, of this host's copy and of the bucket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from taxiway.client import Client
from taxiway.client.calls import plain
from taxiway.stub import children
from tests import objectstore
from tests.faults.broken_models import PyModel, log_model
from tests.journeys.test_production import ask, wait_for, wait_until_gone
from tests.objectstore import ACCESS_KEY, REGION, SECRET, Bucket, ObjectServer
from tests.platforms import Platform, a_platform

pytestmark = [pytest.mark.journey, pytest.mark.integration, pytest.mark.timeout(400)]

ROW = {"dataframe_records": [{"amount": 1.0, "country": "DE"}]}


@pytest.fixture(scope="module")
def server() -> Iterator[ObjectServer]:
    with objectstore.running() as made:
        yield made


@pytest.fixture(scope="module")
def bucket(server: ObjectServer) -> Bucket:
    return Bucket(server=server, name=server.new_bucket())


@pytest.fixture(scope="module")
def on_s3(bucket: Bucket) -> Iterator[Platform]:
    """A platform whose production store is a bucket."""
    with a_platform(
        TAXIWAY_PRODUCTION__STORE_URL=f"s3://{bucket.name}/taxiway",
        TAXIWAY_PRODUCTION__STORE_ENDPOINT=bucket.server.endpoint,
        AWS_REGION=REGION,
        TAXIWAY_PRODUCTION__STORE_ACCESS_KEY_ID=ACCESS_KEY,
        TAXIWAY_PRODUCTION__STORE_SECRET_ACCESS_KEY=SECRET,
        TAXIWAY_PRODUCTION__ALLOW_PLAIN_ISOLATION="true",
    ) as platform:
        yield platform


def promote(platform: Platform, model: str, name: str) -> None:
    platform.command(
        "production", "promote", model, "--to", name, "--customer", "Acme", "--reason", "They asked for it.",
        "--project", "fraud",
    )  # fmt: skip


def remove(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(directory)


def notes(client: Client) -> list[str]:
    return list(client.send(plain("GET", "platform"))["notes"])


def test_promote_lose_the_copy_damage_and_scrub(on_s3: Platform, bucket: Bucket) -> None:
    made = on_s3.convert(log_model(on_s3, PyModel()), "on-s3", needs_token=False)
    assert made.status == "ON", f"{made.reason}: {made.message}"
    promote(on_s3, f"on-s3/{made.version}", "on-s3-acme")
    listed = bucket.listed()
    (manifest,) = (key for key in listed if "/manifests/" in key)
    digest = Path(manifest).stem
    assert any("/bundles/" in key for key in listed)
    copy = on_s3.data / "production" / "snapshots" / digest

    with on_s3.client() as client:
        token = client.issue_production_token("on-s3-acme", caller="till 7").token
        acme = wait_for(client, "on-s3-acme")
        assert ask_row(acme.url, token) == {"predictions": [1]}
        assert ask(acme, "wrong")[0] == 401

        # Staging is deleted, and this host's copy is lost while it is OFF: the bucket has it.
        client.delete("on-s3", made.version)
        wait_until_gone(client, "on-s3", made.version)
        client.switch_production("on-s3-acme", on=False)
        wait_for(client, "on-s3-acme", "OFF")
        remove(copy)
        client.switch_production("on-s3-acme", on=True)
        acme = wait_for(client, "on-s3-acme")
        assert ask_row(acme.url, token) == {"predictions": [1]}

        # A damaged copy is mended by a scrub; a damaged object is named, and pods go on.
        damaged = copy / "files" / "MLmodel"
        damaged.chmod(0o600)
        damaged.write_bytes(b"other")
        done = on_s3.command("production", "scrub", "--run")
        assert "Made whole again" in done.stderr
        assert damaged.read_bytes() != b"other"
        (key, whole) = next((key, bucket.read(key)) for key in listed if "/files/" in key)
        bucket.write(key, whole[:-1])
        done = on_s3.command("production", "scrub", "--run", check=False)
        assert done.returncode == 1
        assert digest[:12] in done.stderr
        assert "was changed" in done.stderr
        (note,) = notes(client)
        assert digest[:12] in note
        events = client.send(plain("GET", "events", limit=100))["items"]
        assert {"SnapshotMended", "SnapshotDamaged"} <= {event["reason"] for event in events}
        assert ask_row(acme.url, token) == {"predictions": [1]}
        bucket.write(key, whole)
        on_s3.command("production", "scrub", "--run")
        assert notes(client) == []

        kill_control(on_s3)
        on_s3.wait_for_tracking()
        on_s3.command("production", "verify", "--data-dir", str(on_s3.data))
        acme = wait_for(client, "on-s3-acme")
        assert ask_row(acme.url, token) == {"predictions": [1]}
        client.delete_production("on-s3-acme")
        wait_until_empty(bucket)
    told = "".join(path.read_text("utf-8", "replace") for path in on_s3.data.rglob("*log*") if path.is_file())
    assert "scrubbed" in told
    assert SECRET not in told


def ask_row(url: str, token: str) -> object:
    answer = httpx2.post(f"{url}/invocations", json=ROW, headers={"Authorization": f"Bearer {token}"}, trust_env=False)
    assert answer.status_code == 200, answer.text
    return json.loads(answer.content)


def kill_control(platform: Platform) -> None:
    status = children.status(platform.data / "children" / "control")
    assert status is not None
    assert status.child_pid is not None
    os.kill(status.child_pid, signal.SIGKILL)


def wait_until_empty(bucket: Bucket) -> None:
    until = time.monotonic() + 30
    while [key for key in bucket.listed() if "/keys/" not in key]:
        assert time.monotonic() < until, bucket.listed()
        time.sleep(0.2)
