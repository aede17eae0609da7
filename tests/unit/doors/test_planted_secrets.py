"""Known tokens and passwords go in through the real forms and come out nowhere."""

from __future__ import annotations

import json
import pickle
from dataclasses import dataclass, field

import pytest

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.net import Body, Headers
from tests.unit.doors.conftest import MakeWorld
from tests.unit.doors.faulty import HOMESERVER_FAULTS, echo
from tests.unit.doors.homeserver import Homeserver, homeserver
from tests.unit.doors.listening import everything_said, reprs
from tests.unit.doors.planted import (
    ACCESS,
    ADMIN_PASSWORD,
    MATRIX_PASSWORD,
    PLANTED,
    PROXY_PASSWORD,
    REFRESH,
    TYPED_ACCESS,
    TYPED_REFRESH,
    WRONG_PASSWORD,
    files,
    found_in,
    response_places,
)
from tests.unit.doors.table import MATRIX, POSTS, TABLE, Row
from tests.unit.doors.world import ROLES, World, furnish, running

pytestmark = pytest.mark.local_server

SETTINGS, SIGN_IN = (
    next(row for row in POSTS if row.rule == rule) for rule in (MATRIX, f"{MATRIX}/sign-in")
)


@dataclass
class Trail:
    """What one walk through the site left."""

    answers: dict[str, set[str]] = field(default_factory=dict)
    log: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    reprs: str = ""
    asked: int = 0


@pytest.fixture(scope="module")
def trail(tmp_path_factory: pytest.TempPathFactory, matrix: Homeserver) -> Trail:
    """Everybody asks for everything, with the subsystem on and off, while everything is logged."""
    found = Trail()
    folder = tmp_path_factory.mktemp("planted") / "site"
    with everything_said() as said:
        with running(folder, matrix, SQLALCHEMY_ECHO="debug") as world:
            furnish(world)
            for on in (True, False):
                walk(world, found, on)
            world.restore()
            for name, fields in MISTAKES.items():
                mistake(world, found, name, fields)
            found.reprs = "\n".join(reprs(world.app.extensions["commweb"]))
            found.files = files(folder)
        found.files |= {f"closed {name}": data for name, data in files(folder).items()}
        found.log = said.text
    return found


def walk(world: World, found: Trail, on: bool) -> None:
    for row in TABLE:
        for role in ROLES:
            world.restore(on)
            answer = world.ask(role, row.method, row.address(world), row.fields(world))
            found.asked += 1
            name = f"{role} {row.name} {'on' if on else 'off'}"
            found.answers[name] = found_in(*response_places(world.app, answer))


MISTAKES: dict[str, tuple[Row, dict[str, str]]] = {
    "another field is wrong": (SETTINGS, {"home_server_url": "nowhere"}),
    "a field is missing": (SETTINGS, {"element_web_url": ""}),
    "somebody saved first": (SETTINGS, {"version": "0"}),
    "a token is wrong": (SETTINGS, {"access_token": f"{TYPED_ACCESS} {TYPED_REFRESH}"}),
    "a token is too long": (SETTINGS, {"access_token": TYPED_ACCESS * 200}),
    "tokens in the wrong fields": (SIGN_IN, {"home_server_url": "", "access_token": TYPED_ACCESS}),
    "a user name is missing": (SIGN_IN, {"username": ""}),
    "somebody saved before the sign-in": (SIGN_IN, {"version": "0"}),
    "typed first": (SIGN_IN, {"start": "1", "access_token": TYPED_ACCESS}),
    "a password is too long": (SIGN_IN, {"password": MATRIX_PASSWORD * 20}),
}


def mistake(world: World, found: Trail, name: str, changed: tuple[Row, dict[str, str]]) -> None:
    row, fields = changed
    sent = {**row.fields(world), **fields}
    for token in (True, False):
        answer = world.ask("admin", "POST", row.address(world), sent, token=token)
        assert answer.status_code in (200, 400, 422), name
        found.answers[f"{name} {token}"] = found_in(*response_places(world.app, answer))


def test_the_search_finds_a_secret_in_every_spelling() -> None:
    # Otherwise the other tests would be green whatever happens.
    for name, value in PLANTED.items():
        assert name in found_in(f"... {value} ...")
    assert found_in(json.dumps({"a": ACCESS})) == {"access"}
    assert found_in("c3lyX3BsYW50ZWRfcmVmcmVzaF9adzRuVGI2THA5YUU=") == {"refresh"}
    assert found_in(f"password={MATRIX_PASSWORD.replace(' ', '+')}") == {"matrix_password"}


def test_no_answer_to_anybody_holds_a_secret(trail: Trail) -> None:
    assert trail.asked == len(TABLE) * len(ROLES) * 2
    assert {name: found for name, found in trail.answers.items() if found} == {}


def test_no_log_line_holds_a_secret(trail: Trail) -> None:
    # Each of these has to have spoken, or nothing was listened to.
    for speaker in ("sqlalchemy.engine", "urllib3.connectionpool", "UPDATE commweb_connection"):
        assert speaker in trail.log
    assert found_in(trail.log) == set()


def test_no_file_holds_a_secret(trail: Trail) -> None:
    names = {name.rpartition("/")[2] for name in trail.files}
    assert {"site.db", "site.db-wal", "commweb-queue.db", "secret_key"} <= names
    assert b"commweb_connection" in trail.files["site.db"]
    assert b"commweb.work" in b"".join(
        data for name, data in trail.files.items() if "commweb-queue" in name
    )
    assert {name: found_in(data) for name, data in trail.files.items() if found_in(data)} == {}


def test_no_object_of_the_app_shows_a_secret(trail: Trail) -> None:
    assert "StoredTokens" in trail.reprs or "Sealer" in trail.reprs
    assert found_in(trail.reprs) == set()


def test_a_failed_login_shows_and_logs_no_password(world: World) -> None:
    with everything_said() as said:
        typed = {"username": "admin", "password": WRONG_PASSWORD}
        answer = world.ask("nobody", "POST", "/login", typed)
        assert answer.status_code == 422
        # The password in the field for the name, as happens.
        swapped = {"username": ADMIN_PASSWORD, "password": ""}
        again = world.ask("nobody", "POST", "/login", swapped)
    assert found_in(*response_places(world.app, answer)) == set()
    assert found_in(said.text) == set()
    assert again.status_code == 422


def test_a_secret_is_not_shown_formatted_or_pickled() -> None:
    secret = Secret(ACCESS)
    pair = TokenPair(secret, Secret(REFRESH))
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>80}", repr(pair)]
    shown += [repr(Headers({"Authorization": f"Bearer {ACCESS}"})), repr(Body(REFRESH.encode()))]
    shown += [repr({"a": [secret]}), str(Headers({"Authorization": ACCESS}))]
    assert found_in(*shown) == set()
    for value in (secret, pair, [secret]):
        with pytest.raises(TypeError):
            pickle.dumps(value)
    with pytest.raises(TypeError):
        json.dumps({"token": secret})


COMMANDS = (
    (["check", "--json"], ""),
    (["check"], ""),
    (["plan", "--json"], ""),
    (["sync", "--json"], ""),
    (["backfill", "--dry-run", "--json"], ""),
    (["backfill", "--json"], ""),
    (["sign-in", "--username", "bot", "--password-stdin"], f"{MATRIX_PASSWORD}\n"),
    (["sign-in", "--username", "bot"], f"{MATRIX_PASSWORD}\n"),
    (["sign-in", "--provider", "nothing", "--username", "bot"], f"{MATRIX_PASSWORD}\n"),
    (["rekey"], ""),
    (["upgrade"], ""),
)


@pytest.mark.parametrize("fault", ["none", *list(HOMESERVER_FAULTS)[:4]])
def test_no_command_prints_or_logs_a_secret(world: World, fault: str) -> None:
    world.homeserver.instead = HOMESERVER_FAULTS.get(fault)
    runner = world.app.test_cli_runner()
    with everything_said() as said:
        for command, typed in COMMANDS:
            done = runner.invoke(args=["commweb", *command], input=typed)
            assert done.exit_code in (0, 1, 2), command
            assert found_in(done.output, done.stderr) == set(), command
            if done.exception is not None:
                assert isinstance(done.exception, SystemExit), command
    assert found_in(said.text, str(world.dump())) == set()


def test_the_password_of_a_proxy_is_told_nowhere(make_world: MakeWorld) -> None:
    with everything_said() as said, homeserver(ACCESS, REFRESH) as proxy:
        address = proxy.url.replace("//", f"//operator:{PROXY_PASSWORD}@")
        with make_world(COMMWEB_HTTP_PROXY=address) as world:
            furnish(world)
            good = world.ask("admin", "POST", f"{MATRIX}/test", {})
            proxy.instead = echo(502)
            bad = world.ask("admin", "POST", f"{MATRIX}/test", {})
            page = world.ask("admin", "GET", MATRIX)
            places = [p for answer in (good, bad, page) for p in response_places(world.app, answer)]
            state = world.app.extensions["commweb"]
            shown = [repr(state), repr(state.network), repr(state.config), str(world.dump())]
    assert any("Proxy-Authorization" in seen.headers for seen in proxy.requests)
    assert found_in(*places, *shown, said.text) == set()
