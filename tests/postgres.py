"""A PostgreSQL of the machine's own packages, for one test run: no port, a socket in a folder of its own."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg import sql

from tests.thrift import fast_folder

#: Nobody cuts this server's power: what the kill test kills are processes that speak to it, and what they had
#: committed is still there. So nothing waits for a disk, and the log of what was written stays small.
_THRIFTY = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "dynamic_shared_memory_type": "mmap",  # in its own folder: a server that is stopped at once cleans up nothing else
    "min_wal_size": "32MB",
    "max_wal_size": "128MB",
    "autovacuum": "off",  # who empties a database cleans up
}

#: Tables that hold pages: those that were written to since they were made or cleaned up, though all was rolled back.
_WRITTEN = """
    SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
    AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""
_SEQUENCES_ANEW = """
    SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, start_value, false) FROM pg_sequences
    WHERE schemaname = 'public' AND last_value IS NOT NULL
"""


def find_binaries() -> Path | None:
    """Where ``initdb`` and ``postgres`` are, or None when the machine has no PostgreSQL server."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "initdb").is_file() and (folder / "postgres").is_file():
            return folder
    found = shutil.which("initdb")
    return Path(found).resolve().parent if found and shutil.which("postgres") else None


class Cluster:
    """A running PostgreSQL."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="bridge-pg-", dir=fast_folder()))
        self._as: list[str] = []
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            user = pwd.getpwnam("postgres")
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as = ["runuser", "-u", "postgres", "--"]
        self._run("initdb", "-D", str(self.folder / "data"), "-U", "bridge", "-A", "trust", "-N", "--locale=C.UTF-8")
        thrifty = " ".join(f"-c {name}={value}" for name, value in _THRIFTY.items())
        options = f"{thrifty} -c listen_addresses='' -c unix_socket_directories={self.folder} -c max_connections=200"
        self._run(
            "pg_ctl",
            "-D",
            str(self.folder / "data"),
            "-l",
            str(self.folder / "log"),
            "-w",
            "-o",
            options,
            "start",
        )

    def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._binaries / program), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, check=False)
        if done.returncode:
            raise RuntimeError(f"{program} failed: {done.stderr}")

    def url(self, database: str) -> str:
        """The address of a database in it."""
        return f"postgresql://bridge@/{database}?host={self.folder}"

    def create(self, database: str, template: str = "template0") -> str:
        """Make a database and return its address."""
        self._run(
            "psql", "-h", str(self.folder), "-U", "bridge", "-d", "postgres", "-qc",
            f"CREATE DATABASE {database} TEMPLATE {template}",
        )  # fmt: skip
        return self.url(database)

    def stop(self) -> None:
        """Stop it, and leave nothing behind."""
        self._run("pg_ctl", "-D", str(self.folder / "data"), "-m", "immediate", "stop")
        shutil.rmtree(self.folder, ignore_errors=True)


class Emptier:
    """Brings a database to the state of having just been migrated, over a connection that it keeps.

    By DELETE and VACUUM, which leave a table's file as empty as TRUNCATE does and cost a tenth of it: that makes new
    files for every table and index, written to or not.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True)

    def empty(self) -> None:
        """Nothing is in it any more, and numbers begin at 1."""
        try:
            self._empty()
        except psycopg.OperationalError:  # a test had the server throw everybody out
            self.close()
            self._connection = psycopg.connect(self._url, autocommit=True)
            self._empty()

    def _empty(self) -> None:
        tables = [sql.Identifier(name) for (name,) in self._connection.execute(_WRITTEN)]
        with self._connection.transaction():
            # As somebody who owns the database: the audit log refuses it to everybody else.
            self._connection.execute("SET LOCAL session_replication_role = replica")
            for table in tables:
                self._connection.execute(sql.SQL("DELETE FROM {}").format(table))
            self._connection.execute(_SEQUENCES_ANEW)
        if tables:
            self._connection.execute(sql.SQL("VACUUM {}").format(sql.SQL(", ").join(tables)))

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()
