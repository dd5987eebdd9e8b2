"""Identifiers: one NewType per noun, and how new ones are made."""

from __future__ import annotations

import secrets
import time
from typing import NewType

UserId = NewType("UserId", str)
ProjectName = NewType("ProjectName", str)
"""A project's slug; also the name of its MLflow workspace."""
ExperimentId = NewType("ExperimentId", str)
RunId = NewType("RunId", str)
ModelName = NewType("ModelName", str)
"""A model's slug within its project, as it stands in the endpoint's URL."""
ModelVersionId = NewType("ModelVersionId", str)
SnapshotId = NewType("SnapshotId", str)
"""SHA-256 (hex) of the snapshot's manifest."""
EnvironmentId = NewType("EnvironmentId", str)
"""SHA-256 (hex) of what a model environment was asked to be."""
DeploymentId = NewType("DeploymentId", str)
RevisionId = NewType("RevisionId", str)
PodId = NewType("PodId", str)
AccessTokenId = NewType("AccessTokenId", str)
ApiTokenId = NewType("ApiTokenId", str)
SessionId = NewType("SessionId", str)


def new_id() -> str:
    """Make a sortable unique id: 12 hex digits of milliseconds since 1970, then 64 random bits (28 characters)."""
    return f"{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"
