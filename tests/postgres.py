"""A throwaway PostgreSQL for tests: a cluster in a temporary folder, a database for each test.

It listens on a Unix socket in a folder of its own only, where everybody is trusted.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

__all__ = ["Cluster", "cluster", "database_url", "postgres", "postgres_url"]

MISSING = (
    "PostgreSQL is missing: these tests run on a real one. "
    "Install it, on Debian with: apt-get install postgresql"
)
# Tests restart the server and never the machine.
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "deadlock_timeout": "200ms",
    "shared_buffers": "32MB",
    "max_connections": "100",
}


def programs() -> Path:
    """The folder with initdb and pg_ctl. Fails the test when there is none."""
    newest = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=_version)
    found = shutil.which("initdb") or (str(newest[-1]) if newest else None)
    if found is None:
        pytest.fail(MISSING, pytrace=False)
    return Path(os.path.realpath(found)).parent


def _version(path: Path) -> float:
    try:
        return float(path.parts[-3])
    except ValueError:
        return 0.0


# A test process that is killed takes its server with it: the pipe to this one closes.
WATCH = """
import os, signal, sys
sys.stdin.read()
with open(sys.argv[1]) as file:
    os.kill(int(file.readline()), signal.SIGQUIT)
"""


class Cluster:
    """A running server. It refuses to run as root, so that root starts it as ``postgres``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._bin = programs()
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            self._user = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(folder, "postgres", "postgres")
        data = str(folder / "data")
        self._run("initdb", "--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8",
                  "--locale=C", "-D", data)  # fmt: skip
        settings = {**SETTINGS, "unix_socket_directories": str(folder)}
        with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
            file.writelines(f"{name} = '{value}'\n" for name, value in settings.items())
        self.control("start")

    def control(self, action: str, *more: str) -> None:
        """``pg_ctl``: start, stop or restart, and wait until it is done."""
        log = str(self.folder / "log")
        self._run("pg_ctl", action, "-w", "-s", "-D", str(self.folder / "data"), "-l", log, *more)

    def crash_and_start(self) -> None:
        """As when its machine loses power: every connection breaks, nothing is finished."""
        self.control("restart", "-m", "immediate")

    def run(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement outside of any transaction; its rows."""
        with psycopg.connect(
            host=str(self.folder), user="postgres", dbname=database, autocommit=True
        ) as connection:
            # psycopg wants literals, against injection; tests write these statements themselves.
            cursor = connection.execute(statement)  # type: ignore[call-overload]
            return list(cursor.fetchall()) if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """The address of a new and empty database, dropped at the end."""
        name = f"t{secrets.token_hex(6)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield f"postgresql+psycopg://postgres@/{name}?host={self.folder}"
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self._bin / program), *arguments],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            # The server keeps what it inherits: a pipe would never come to its end.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL if program == "pg_ctl" else subprocess.PIPE,
            check=False,
            **self._user,
        )
        if done.returncode:
            log = self.folder / "log"
            said = log.read_text(errors="replace") if log.exists() else str(done.stderr)
            pytest.fail(f"{program} failed: {said[-2000:]}", pytrace=False)


@contextmanager
def cluster() -> Iterator[Cluster]:
    """A new server, stopped and removed at the end."""
    # Not in pytest's own folders, which nobody but root may enter when root runs the tests.
    with tempfile.TemporaryDirectory(prefix="commweb-postgres-") as folder:
        server = Cluster(Path(folder))
        pid_file = str(server.folder / "data" / "postmaster.pid")
        with subprocess.Popen(
            [sys.executable, "-c", WATCH, pid_file],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ):
            try:
                yield server
            finally:
                server.control("stop", "-m", "immediate")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    """One server for this test process."""
    with cluster() as server:
        yield server


@pytest.fixture
def postgres_url(postgres: Cluster) -> Iterator[str]:
    """An empty PostgreSQL database of the test's own."""
    with postgres.database() as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of the test's own: on SQLite, and once more on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'campus.db'}"
    url: str = request.getfixturevalue("postgres_url")
    return url
