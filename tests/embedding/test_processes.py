"""What the host's own processes start: none of our threads, whatever they run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import requests
from sqlalchemy import create_engine, inspect, text

from tests.embedding.processes import WSGI, answers, flask, gunicorn, running, until

pytestmark = pytest.mark.xdist_group("processes")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new college: the host's tables made by its own migrations, commweb's by its own.

    ``flask db migrate`` runs when commweb's tables are there, so that it could propose to drop
    them."""
    made = tmp_path_factory.mktemp("college")
    for words in (
        ("commweb", "upgrade"),
        ("db", "init", "--multidb"),
        ("db", "migrate", "-m", "first"),
        ("db", "upgrade"),
        ("settle",),
    ):
        ended, started = flask(made, *words)
        assert ended.returncode == 0, ended.stderr
        assert started == [], words
    return made


@pytest.fixture(scope="module")
def session() -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.trust_env = False
        yield made


def tables(folder: Path) -> set[str]:
    engine = create_engine(f"sqlite:///{folder / 'college.db'}")
    try:
        return set(inspect(engine).get_table_names())
    finally:
        engine.dispose()


def test_flask_help_lists_our_commands_and_starts_no_thread(folder: Path) -> None:
    ended, started = flask(folder, "--help")
    assert ended.returncode == 0, ended.stderr
    assert "The communication subsystem." in ended.stdout
    assert started == []


def test_the_hosts_migrations_and_ours_leave_each_other_alone(folder: Path) -> None:
    (revision,) = (folder / "migrations" / "versions").glob("*.py")
    written = revision.read_text()
    assert "op.create_table('paper'" in written
    assert "commweb" not in written
    both = {"paper", "scholar", "alembic_version", "commweb_room", "commweb_alembic_version"}
    assert both <= tables(folder)


def test_gunicorn_with_three_workers_runs_no_thread_of_ours(
    folder: Path, session: requests.Session
) -> None:
    with gunicorn(folder) as (url, master):
        assert answers(f"{url}/communication/api/readyz", session) == {"status": "ok"}
        workers: set[int] = set()
        for _asked in range(3):
            with session.post(f"{url}/settled", timeout=30) as reply:
                assert reply.status_code == 200, reply.text
            seen = answers(f"{url}/threads", session)
            assert seen["running"] == ["MainThread"]
            assert seen["started"] == []
            workers.add(seen["pid"])
        children = master.children()
        assert len(children) == 3
        assert workers <= {child.pid for child in children}
        assert [_threads(child) for child in children] == [1, 1, 1]


def test_a_preloaded_app_is_shared_by_forks_and_still_starts_no_thread(
    folder: Path, session: requests.Session
) -> None:
    with gunicorn(folder, "--preload") as (url, _master):
        assert answers(f"{url}/communication/api/readyz", session) == {"status": "ok"}
        assert answers(f"{url}/threads", session)["started"] == []


def test_a_worker_beside_gunicorn_makes_the_room_a_request_asked_for(
    folder: Path, session: requests.Session
) -> None:
    command = ("flask", "--app", WSGI, "commweb", "worker", "--workers", "2")
    with (
        gunicorn(folder) as (url, _master),
        running(folder, "worker", *command) as (worker, log),
    ):
        with session.post(f"{url}/settled", timeout=30) as reply:
            number = reply.json()["paper"]

        def ready() -> bool:
            assert worker.is_running(), log.read_text()
            return _status(folder, str(number)) == "ready"

        until(ready, f"the room of the paper {number}")


def _threads(process: psutil.Process) -> int:
    return int(process.num_threads())


def _status(folder: Path, course_id: str) -> str | None:
    engine = create_engine(f"sqlite:///{folder / 'college.db'}")
    try:
        with engine.connect() as connection:
            query = text("SELECT status FROM commweb_room WHERE course_id = :id")
            return connection.execute(query, {"id": course_id}).scalar()
    finally:
        engine.dispose()
