"""Fixtures of the store's tests."""

from __future__ import annotations

from taxiway.domain.models import ModelVersion
from taxiway.store import deployments, models, projects, revisions, snapshots, users
from taxiway.store.database import Transaction
from tests.builders import a_deployment, a_project, a_revision, a_snapshot, a_user, a_version
from tests.databases import database, database_url, migrated_file, migrated_name, postgresql, sqlite_database

__all__ = ["database", "database_url", "migrated_file", "migrated_name", "postgresql", "sqlite_database"]


async def insert_people(tx: Transaction) -> None:
    """Insert the user and the project that the other builders name."""
    assert await users.insert_user(tx, a_user(), password_hash="$argon2id$…")
    assert await projects.insert_project(tx, a_project())


async def insert_version(tx: Transaction, number: int = 1, **changes: object) -> ModelVersion:
    """Insert a model version with its deployment, snapshot and first revision; ids end in the number."""
    version = a_version(**({"id": f"v{number}", "version": number} | changes))
    names = {"project": version.project, "model": version.model, "version": version.version}
    await models.ensure_model(tx, version.project, version.model, by=version.owner, at=version.created_at)
    await models.insert_version(tx, version)
    deployment = a_deployment(id=f"d-{version.id}", model_version=version.id, owner=version.owner, **names)
    await deployments.insert_deployment(tx, deployment)
    copy = a_snapshot(model_version=version.id)
    await snapshots.insert_copy(tx, copy, project=version.project, source=version.source)
    revision = a_revision(id=f"r-{version.id}-1", deployment=deployment.id, model_version=version.id, **names)
    await revisions.insert_revision(tx, revision)
    return version
