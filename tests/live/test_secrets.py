"""Real tokens, from a real sign-in and refreshed many times, stand nowhere but in the store."""

from __future__ import annotations

import json
import secrets
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography.fernet import Fernet

from commweb.site.homeserver import Homeserver
from tests.live.conftest import ADMIN, CHEAP_PASSWORDS, MANY_LOGINS
from tests.live.connected_site import COMMANDS, Used, end_the_session, fail, talkative_worker
from tests.live.crew import wait_until
from tests.live.known_tokens import KnownTokens, TellingProxy
from tests.live.test_serve import Run
from tests.unit.doors.listening import everything_said, reprs
from tests.unit.doors.planted import files
from tests.unit.doors.world import running

pytestmark = pytest.mark.xdist_group("secrets")


@dataclass
class Trail:
    """What the use of the site left, and where tokens were found in it."""

    known: KnownTokens
    generation: int = 0
    knew_the_stored: bool = False
    answers: dict[str, set[str]] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    files: dict[str, set[str]] = field(default_factory=dict)
    site_log: str = field(default="", repr=False)
    worker_log: str = field(default="", repr=False)
    reprs: str = field(default="", repr=False)


@pytest.fixture(scope="module")
def server(
    synapse_python: Path, admin_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Homeserver]:
    """A Synapse whose access tokens live two seconds."""
    folder = tmp_path_factory.mktemp("secrets-homeserver")
    config = {**MANY_LOGINS, **CHEAP_PASSWORDS}
    made = Homeserver(folder, synapse_python, refreshable_access_token_lifetime="2s", config=config)
    with made:
        made.register_admin(ADMIN, admin_password)
        yield made


@pytest.fixture(scope="module")
def trail(
    server: Homeserver, admin_password: str, tmp_path_factory: pytest.TempPathFactory
) -> Trail:
    """The site in use, with everything logged: a sign-in, a course, its room, every page, faults,
    commands, and the end of the session."""
    folder = tmp_path_factory.mktemp("secrets") / "site"
    with (
        everything_said() as said,
        TellingProxy.before(server.base_url) as proxy,
        # Only the proxy's address is asked for.
        running(folder, proxy, SQLALCHEMY_ECHO="debug") as world,  # type: ignore[arg-type]
    ):
        assert isinstance(proxy, TellingProxy)
        used = Used(world, server, proxy, admin_password)
        used.known.add_secret("the homeserver's password", admin_password)
        found = Trail(used.known)
        with talkative_worker(folder):
            live(used, found)
        found.reprs = "\n".join(reprs(world.app.extensions["commweb"]))
        found.files = used.all_files()
    after = files(folder)
    found.files |= {f"closed {name}": used.known.found_in(data) for name, data in after.items()}
    found.answers, found.statuses = used.told, used.statuses
    found.site_log = said.text
    found.worker_log = (folder.parent / "worker.log").read_text(encoding="utf-8")
    return found


def live(used: Used, found: Trail) -> None:
    used.set_up()
    course = used.new_course("LIVE1")
    wait_until("the room is made", lambda: used.room_is(course, "ready"))
    used.visit(course)
    used.press(course)
    used.rotate(3)
    second = fail(used)
    # Its refusals have ended the session.
    used.type_tokens()
    wait_until("the second room is made", lambda: used.room_is(second, "ready"))
    used.rotate(2)
    for command in COMMANDS:
        used.run(*command)
    used.run("sign-in", "--username", ADMIN, "--password-stdin", typed=f"{used.password}\n")
    found.generation = used.generation()
    wait_until("all of the store came by", lambda: all(map(used.known.knows, used.stored())))
    found.knew_the_stored = True
    end_the_session(used, course)


def test_the_tokens_are_real_and_were_refreshed_and_the_search_finds_them(trail: Trail) -> None:
    # Otherwise the other tests would be green whatever happens.
    assert trail.generation >= 8
    assert trail.knew_the_stored
    assert trail.known.count("access") >= 8
    assert trail.known.count("refresh") >= 8


def test_the_search_finds_a_piece_of_a_token() -> None:
    known = KnownTokens()
    token = f"syt_YWRtaW4_{'aBcDeFgHiJkLmNoPqRsT'}_0AbCdE"
    known.add("access", token)
    assert known.found_in(f"... {token} ...") == {"access token 0"}
    assert known.found_in(token[12:28]) == known.found_in(token[16:32]) == {"access token 0"}
    assert known.found_in(Fernet(Fernet.generate_key()).encrypt(token.encode())) == set()
    assert known.found_in(token[:20]) == set()
    assert token[12:20] not in repr(known)


def test_no_answer_and_no_command_told_a_real_token(trail: Trail) -> None:
    assert max(trail.statuses.values()) < 500
    assert sum(status == 200 for status in trail.statuses.values()) > 80
    assert {name: found for name, found in trail.answers.items() if found} == {}


@pytest.mark.parametrize(
    ("whose", "speakers"),
    [
        ("site_log", ("sqlalchemy.engine", "urllib3.connectionpool", "UPDATE commweb_connection")),
        ("worker_log", ("huey", "urllib3.connectionpool", "UPDATE commweb_room", "createRoom")),
    ],
)
def test_no_log_line_holds_a_real_token(
    trail: Trail, whose: str, speakers: tuple[str, ...]
) -> None:
    log: str = getattr(trail, whose)
    missing = [speaker for speaker in speakers if speaker not in log]
    assert missing == []
    found = trail.known.found_in(log)
    assert found == set()


def test_no_file_of_the_site_holds_a_real_token(trail: Trail) -> None:
    assert {"site.db", "site.db-wal", "commweb-queue.db"} <= set(trail.files)
    assert {name: found for name, found in trail.files.items() if found} == {}


def test_no_object_of_the_app_shows_a_real_token(trail: Trail) -> None:
    spoken = "Sealer" in trail.reprs or "StoredTokens" in trail.reprs
    assert spoken
    found = trail.known.found_in(trail.reprs)
    assert found == set()


# make run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    """``make run``'s program with a Synapse of its own, on an instance folder of the test's."""
    runs: list[Run] = []

    def start(**variables: str) -> Run:
        runs.append(Run(tmp_path / "run.log", tmp_path / "instance", **variables))
        return runs[-1].up()

    yield start
    for each in runs:
        if each.process.poll() is None:
            each.stop()


def unsealed(instance: Path) -> list[str]:
    """The tokens in the site's database, opened with its key."""
    fernet = Fernet((instance / "commweb_secret_key").read_text().strip())
    query = "SELECT access, refresh, previous FROM commweb_connection"
    with closing(sqlite3.connect(instance / "site.db")) as connection:
        (row,) = connection.execute(query).fetchall()
    return [json.loads(fernet.decrypt(sealed.encode()))[1] for sealed in row if sealed]


def rooms(instance: Path) -> list[str]:
    with closing(sqlite3.connect(instance / "site.db")) as connection:
        return [status for (status,) in connection.execute("SELECT status FROM commweb_room")]


def test_make_run_prints_no_token_and_keeps_none_in_the_open(
    run: Callable[..., Run], tmp_path: Path
) -> None:
    instance = tmp_path / "instance"
    own = secrets.token_urlsafe(16)
    started = run(
        ADMIN_PASSWORD=own,
        PEOPLE_PASSWORD=own + "-people",
        FLASK_SQLALCHEMY_ECHO='"debug"',
        PYTHONDEVMODE="1",
    )
    known = KnownTokens()
    known.add_secret("a password", own)
    before = unsealed(instance)
    wait_until("rooms are made", lambda: rooms(instance).count("ready") == 3)
    # A token of five minutes is refreshed a minute before its end: long ago, for the site.
    with closing(sqlite3.connect(instance / "site.db", timeout=20)) as connection, connection:
        connection.execute("UPDATE commweb_connection SET expires_at = '2000-01-01 00:00:00'")
        connection.execute("UPDATE commweb_room SET revision = revision + 1")
    wait_until("the tokens were refreshed", lambda: unsealed(instance)[0] != before[0])
    for token in {*before, *unsealed(instance)}:
        known.add("stored", token)
    note = json.loads((instance / "homeserver.json").read_text())
    known.add("noted", note["access_token"])
    known.add_secret("admin", (instance / "homeserver" / "admin_password").read_text().strip())
    pages = [started.get(path).text for path in ("/login", "/courses/", "/api/healthz")]
    assert started.stop() == 0
    assert "SELECT" in started.said
    assert known.count("stored") >= 4
    assert known.found_in(started.said, *pages) == set()
    open_files = {
        name: known.found_in(data)
        for name, data in files(instance).items()
        # Synapse's own files, and the note that is there to be read.
        if not name.startswith("homeserver")
    }
    assert {"site.db", "commweb-queue.db"} <= set(open_files)
    assert {name: found for name, found in open_files.items() if found} == {}
