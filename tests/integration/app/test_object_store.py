"""Does the doctor say of a bucket what is amiss, and do the settings lead to it?"""

from __future__ import annotations

from pathlib import Path

import pytest

from taxiway.app.doctor import examine
from taxiway.settings import Settings, read_settings
from tests.objectstore import ACCESS_KEY, SECRET, Bucket, bucket, object_server

__all__ = ["bucket", "object_server"]
pytestmark = pytest.mark.integration


def settings_for(bucket: Bucket, data: Path, **changes: str) -> Settings:
    production = {
        "store_url": f"s3://{bucket.name}/models/production",
        "store_endpoint": bucket.server.endpoint,
        "store_access_key_id": ACCESS_KEY,
        "store_secret_access_key": SECRET,
    }
    return read_settings(data_dir=data, production=production | changes)


def test_the_doctor_looks_at_the_bucket(bucket: Bucket, tmp_path: Path) -> None:
    bucket.write(f"models/production/manifests/{'ab' * 32}.json", b"{}")
    (found,) = (each for each in examine(settings_for(bucket, tmp_path)) if each.what == "production store")
    assert (found.verdict, found.message) == ("good", "it answers, and has 1 snapshots")
    missing = settings_for(bucket, tmp_path, store_url="s3://no-such-bucket/x")
    (found,) = (each for each in examine(missing) if each.what == "production store")
    assert found.verdict == "bad"
    assert "NoSuchBucket" in found.message
    assert "credentials" in found.hint
    assert SECRET not in repr(missing)
