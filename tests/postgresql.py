"""A real PostgreSQL for tests: one server a session. Debian's programs, a Unix socket only."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

PATIENCE = 30


def find_programs() -> Path | None:
    """Return the directory with ``initdb`` and ``pg_ctl``: the newest of Debian's, else the one on the path."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = str(debian[-1]) if debian else shutil.which("initdb")
    return None if found is None else Path(found).parent


@dataclass
class PostgreSQL:
    """A running server."""

    socket: Path
    made: int = field(default=0)

    def url(self, database: str) -> str:
        """Return the URL of a database as Taxiway's settings take it."""
        return f"postgresql://postgres@/{database}?host={self.socket}"

    def new_database(self) -> str:
        """Make an empty database and return its name."""
        self.made += 1
        name = f"test_{self.made}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE template0")
        return name

    def clear(self, database: str, *, but: str) -> None:
        """Delete all rows of all tables but one, and begin numbers anew. Triggers are not asked.

        Much faster to make and to clear away than a new database, which is a thousand files.
        """
        tables = sql.SQL("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> {}")
        with self._connect(database) as connection:
            names = [row[0] for row in connection.execute(tables.format(but))]
            sequences = [row[0] for row in connection.execute("SELECT sequencename FROM pg_sequences")]
            deletions = [sql.SQL("DELETE FROM {}").format(sql.Identifier(name)) for name in names]
            restarts = [sql.SQL("ALTER SEQUENCE {} RESTART").format(sql.Identifier(name)) for name in sequences]
            replica = sql.SQL("SET session_replication_role = replica")
            connection.execute(sql.SQL("; ").join([replica, *deletions, *restarts]))

    def execute(self, statement: str) -> None:
        """Run a statement as the server's administrator, outside a transaction."""
        with self._connect("postgres") as connection:
            connection.execute(statement.encode())

    def _connect(self, database: str) -> psycopg.Connection:
        return psycopg.connect(host=str(self.socket), user="postgres", dbname=database, autocommit=True)


@contextlib.contextmanager
def running() -> Iterator[PostgreSQL]:
    """Start a server in a temporary directory, and stop it and clear it away."""
    programs = find_programs()
    assert programs is not None, "PostgreSQL is missing; `make system` installs it"
    directory = Path(tempfile.mkdtemp(prefix="twypg-"))
    directory.chmod(0o755)
    # The server refuses to run as root.
    user = "postgres" if os.getuid() == 0 else None
    if user is not None:
        shutil.chown(directory, user=user, group=user)
    data = directory / "data"
    options = f"-c listen_addresses='' -k {directory} -c fsync=off -c max_connections=60"

    def run(*argv: str) -> None:
        done = subprocess.run(
            [str(programs / argv[0]), *argv[1:]],
            user=user,
            group=user,
            env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{argv[0]} failed: {done.stdout}{done.stderr}"

    try:
        run("initdb", "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run("pg_ctl", "start", "-w", "-D", str(data), "-l", str(directory / "log"), "-o", options)
        try:
            yield PostgreSQL(socket=directory)
        finally:
            run("pg_ctl", "stop", "-D", str(data), "-m", "immediate")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Give the session's server, started when the first test asks for it."""
    with running() as server:
        yield server
