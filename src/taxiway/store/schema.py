"""The tables. Rows are mapped to domain values in the modules named after the nouns.

JSON columns hold values that are only ever read and written whole. Times are UTC microseconds since 1970 as
integers, so that SQLite and PostgreSQL sort and compare them alike.
"""

from __future__ import annotations

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.dialects import postgresql, sqlite

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

Sequence = BigInteger().with_variant(sqlite.INTEGER(), "sqlite")
Document = JSON(none_as_null=True).with_variant(postgresql.JSONB(none_as_null=True), "postgresql")
Microseconds = BigInteger

users = Table(
    "users",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("name", String(80), nullable=False, unique=True),
    Column("role", String(20), nullable=False),
    Column("password_hash", Text),
    Column("is_disabled", Boolean, nullable=False, default=False),
    Column("must_change_password", Boolean, nullable=False, default=False),
    Column("created_at", Microseconds, nullable=False),
    Column("issuer", String(300)),
    Column("subject", String(255)),
    UniqueConstraint("issuer", "subject"),
)

projects = Table(
    "projects",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", Microseconds, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("workspace_is_ready", Boolean, nullable=False, default=False),
)

members = Table(
    "members",
    metadata,
    Column("project", ForeignKey("projects.name", ondelete="CASCADE"), primary_key=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    Column("added_at", Microseconds, nullable=False),
    Column("is_from_groups", Boolean, nullable=False, default=False),
    Index(None, "user_id"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column("seen_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds, nullable=False),
    Column("source", String(80), nullable=False, default=""),
    Column("user_agent", String(200), nullable=False, default=""),
    Index(None, "user_id"),
)

api_tokens = Table(
    "api_tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("secret_hash", LargeBinary(32), nullable=False, unique=True),
    Column("user_id", ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    Column("name", String(80), nullable=False),
    Column("project", ForeignKey("projects.name", ondelete="SET NULL")),
    Column("scopes", Document),
    Column("created_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds),
    Column("used_at", Microseconds),
    Column("revoked_at", Microseconds),
    Index(None, "user_id"),
)

login_attempts = Table(
    "login_attempts",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("account", String(64), nullable=False),
    Column("source", String(80), nullable=False),
    Column("at", Microseconds, nullable=False),
    Index(None, "account", "at"),
    Index(None, "source", "at"),
)

models = Table(
    "models",
    metadata,
    Column("project", ForeignKey("projects.name"), primary_key=True),
    Column("name", String(40), primary_key=True),
    Column("created_at", Microseconds, nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("thresholds", Document, nullable=False, default=[]),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("project", String(40), nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("source", Document, nullable=False),
    Column("run_id", String(64), nullable=False),
    Column("facts", Document, nullable=False),
    Column("owner", ForeignKey("users.id"), nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column("tags", Document, nullable=False),
    Column("metrics", Document, nullable=False, default={}),
    Column("environment", String(20), nullable=False),
    Index(None, "run_id"),
)
Index(
    "uq_model_versions_staging",
    model_versions.c.project,
    model_versions.c.model,
    model_versions.c.version,
    unique=True,
    sqlite_where=model_versions.c.environment == "staging",
    postgresql_where=model_versions.c.environment == "staging",
)

conversions = Table(
    "conversions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("user_id", String(40), nullable=False),
    Column("idempotency_key", String(120), nullable=False),
    Column("request_digest", String(64), nullable=False),
    Column("document", Document),
    Column("created_at", Microseconds, nullable=False),
    UniqueConstraint("user_id", "idempotency_key"),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("model_version", String(40), primary_key=True),
    Column("project", String(40), nullable=False),
    Column("source", Document, nullable=False),
    Column("wanted", String(10), nullable=False),
    Column("state", String(20), nullable=False),
    Column("digest", String(64)),
    Column("began_at", Microseconds),
    Column("bytes_done", BigInteger, nullable=False, default=0),
    Column("bytes_total", BigInteger),
    Column("failure", Document),
    Column("environment", String(20), nullable=False),
    Index(None, "digest"),
)

deployments = Table(
    "deployments",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("environment", String(20), nullable=False),
    Column("project", String(40), nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model_version", ForeignKey("model_versions.id"), nullable=False, unique=True),
    Column("name", String(40), unique=True),
    Column("customer", String(80), nullable=False, default=""),
    Column("min_pods", Integer, nullable=False, default=1),
    Column("max_pods", Integer, nullable=False, default=1),
    Column("autoscaling", Document),
    Column("quota", Document),
    Column("owner", ForeignKey("users.id"), nullable=False),
    Column("wanted", String(10), nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("cpus_milli", Integer, nullable=False),
    Column("options", Document, nullable=False),
    Column("needs_token", Boolean, nullable=False, default=True),
    Column("generation", Integer, nullable=False),
    Column("observed_generation", Integer, nullable=False, default=0),
    Column("status", String(20), nullable=False),
    Column("reason", String(60), nullable=False, default=""),
    Column("message", Text, nullable=False, default=""),
    Column("hint", Text, nullable=False, default=""),
    Column("conditions", Document, nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column("changed_at", Microseconds, nullable=False),
    Index(None, "project", "model"),
    Index(None, "status"),
    Index(None, "owner"),
)

revisions = Table(
    "revisions",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("deployment", ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("number", Integer, nullable=False),
    Column("project", String(40), nullable=False),
    Column("model", String(40), nullable=False),
    Column("version", Integer, nullable=False),
    Column("model_version", String(40), nullable=False),
    Column("request", Document, nullable=False),
    Column("environment_id", String(64), nullable=False),
    Column("memory_bytes", BigInteger, nullable=False),
    Column("cpus_milli", Integer, nullable=False),
    Column("options", Document, nullable=False),
    Column("environment", String(20), nullable=False),
    Column("made_by", String(80), nullable=False, default=""),
    Column("why", Text, nullable=False, default=""),
    Column("created_at", Microseconds, nullable=False),
    Column("wanted", String(10), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("pods", Integer),
    Column("observed_generation", Integer, nullable=False, default=0),
    Column("state", String(20), nullable=False),
    Column("phases", Document, nullable=False),
    Column("conditions", Document, nullable=False),
    Column("failure", Document),
    UniqueConstraint("deployment", "number"),
    Index(None, "model_version"),
    Index(None, "environment_id"),
    Index(None, "state"),
)

promotions = Table(
    "promotions",
    metadata,
    Column("model_version", String(40), primary_key=True),
    Column("deployment", ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("gates", Document, nullable=False),
    Column("reason", Text, nullable=False),
    Column("promoted_by", String(80), nullable=False),
    Column("promoted_at", Microseconds, nullable=False),
    Index(None, "deployment"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("deployment", String(40), nullable=False),
    Column("digest", String(64), nullable=False),
    Column("wanted", Document, nullable=False),
    Column("asking", Document, nullable=False),
    Column("asked_at", Microseconds, nullable=False),
    Column("decision", String(10), nullable=False),
    Column("decided_by", String(80), nullable=False, default=""),
    Column("decided_at", Microseconds),
    Column("reason", Text, nullable=False, default=""),
    Index(None, "asked_at"),
)

rollouts = Table(
    "rollouts",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("deployment", ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("old_revision", String(60), nullable=False),
    Column("new_revision", String(60), nullable=False),
    Column("before", Document, nullable=False),
    Column("strategy", Document, nullable=False),
    Column("made_by", String(80), nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column("wanted", String(10), nullable=False),
    Column("wanted_percent", Integer),
    Column("generation", Integer, nullable=False),
    Column("state", String(10), nullable=False),
    Column("step", Integer, nullable=False),
    Column("percent", Integer, nullable=False),
    Column("reason", String(60), nullable=False),
    Column("message", Text, nullable=False),
    Column("changed_at", Microseconds),
    Index(None, "deployment"),
    Index(None, "state"),
)

scrubs = Table(
    "scrubs",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("asked_at", Microseconds, nullable=False),
    Column("asked_by", String(80), nullable=False),
    Column("began_at", Microseconds),
    Column("ended_at", Microseconds),
    Column("snapshots", Integer, nullable=False, default=0),
    Column("bytes_read", BigInteger, nullable=False, default=0),
    Column("damages", Document, nullable=False),
    Column("trouble", Text, nullable=False, default=""),
    Index(None, "asked_at"),
)

usage = Table(
    "usage",
    metadata,
    Column("deployment", String(40), primary_key=True),
    Column("day", Integer, primary_key=True),
    Column("customer", String(80), primary_key=True),
    Column("name", String(40), nullable=False),
    Column("requests", BigInteger, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("client_errors", BigInteger, nullable=False),
    Column("server_errors", BigInteger, nullable=False),
    Column("cpu_seconds", Float, nullable=False),
    Column("pod_seconds", Float, nullable=False),
    Index(None, "day"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", String(40), primary_key=True),
    Column("deployment", ForeignKey("deployments.id", ondelete="CASCADE"), nullable=False),
    Column("caller", String(80), nullable=False),
    Column("created_by", String(40), nullable=False),
    Column("created_at", Microseconds, nullable=False),
    Column("expires_at", Microseconds, nullable=False),
    Column("revoked_at", Microseconds),
    Index(None, "deployment"),
)

events = Table(
    "events",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=True),
    Column("at", Microseconds, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("project", String(40), nullable=False),
    Column("subject_kind", String(20), nullable=False),
    Column("subject", String(80), nullable=False),
    Column("topic", String(20), nullable=False),
    Column("was", String(40), nullable=False, default=""),
    Column("became", String(40), nullable=False, default=""),
    Column("reason", String(60), nullable=False),
    Column("message", Text, nullable=False),
    Index(None, "subject_kind", "subject", "sequence"),
    Index(None, "project", "sequence"),
    sqlite_autoincrement=True,
)

audit_entries = Table(
    "audit_entries",
    metadata,
    Column("sequence", Sequence, primary_key=True, autoincrement=False),
    Column("at", Microseconds, nullable=False),
    Column("actor", String(80), nullable=False),
    Column("auth_method", String(20), nullable=False),
    Column("token_id", String(40), nullable=False, default=""),
    Column("source", String(80), nullable=False, default=""),
    Column("request_id", String(80), nullable=False, default=""),
    Column("action", String(60), nullable=False),
    Column("object_kind", String(20), nullable=False),
    Column("object", String(120), nullable=False),
    Column("project", String(40), nullable=False, default=""),
    Column("before", Text, nullable=False, default=""),
    Column("after", Text, nullable=False, default=""),
    Column("reason", Text, nullable=False, default=""),
    Column("outcome", String(20), nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index(None, "at"),
    Index(None, "actor"),
    Index(None, "project"),
)

leases = Table(
    "leases",
    metadata,
    Column("name", String(40), primary_key=True),
    Column("holder", String(200), nullable=False),
    Column("token", BigInteger, nullable=False),
    Column("expires_at", Microseconds, nullable=False),
)
