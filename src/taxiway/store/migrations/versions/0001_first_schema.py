"""First schema.

Until the first release this one migration makes the tables as ``schema.py`` declares them; from then on each
change of ``schema.py`` comes with a migration of its own, and this file becomes a fixed list of tables.
The audit log is append-only: the database itself refuses changes and deletions.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

from alembic import op

from taxiway.store.schema import metadata

revision = "0001"
down_revision = None

SQLITE_TRIGGERS = [
    f"CREATE TRIGGER audit_entries_no_{verb.lower()} BEFORE {verb} ON audit_entries "
    "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
    for verb in ("UPDATE", "DELETE")
]
POSTGRESQL_TRIGGERS = [
    (
        "CREATE FUNCTION audit_entries_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    ),
    (
        "CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries "
        "FOR EACH STATEMENT EXECUTE FUNCTION audit_entries_append_only()"
    ),
]


def upgrade() -> None:
    bind = op.get_bind()
    metadata.create_all(bind)
    for statement in SQLITE_TRIGGERS if bind.dialect.name == "sqlite" else POSTGRESQL_TRIGGERS:
        op.execute(statement)
