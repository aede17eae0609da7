"""Whatever goes wrong with a secret in hand, nothing that is told about it holds the secret."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable

import pytest

from commweb.encryption import Secret
from commweb.errors import ProviderError
from tests.unit.doors.faulty import HOMESERVER_FAULTS
from tests.unit.doors.homeserver import polite
from tests.unit.doors.listening import everything_said, faults_of, with_variables
from tests.unit.doors.planted import (
    MATRIX_PASSWORD,
    NEW_PASSWORD,
    PEOPLE_PASSWORD,
    files,
    found_in,
    response_places,
)
from tests.unit.doors.table import MATRIX, POSTS
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server

SETTINGS, SIGN_IN = (
    next(row for row in POSTS if row.rule == rule) for rule in (MATRIX, f"{MATRIX}/sign-in")
)


def trigger(when: str) -> Callable[[World], None]:
    """The database refuses to write there."""

    def arrange(world: World) -> None:
        world.execute(f"CREATE TRIGGER fault BEFORE {when} BEGIN SELECT RAISE(FAIL, 'forced'); END")

    return arrange


def without(table: str) -> Callable[[World], None]:
    def arrange(world: World) -> None:
        world.execute(f"ALTER TABLE {table} RENAME TO away")

    return arrange


def renamed(_world: World) -> dict[str, str]:
    return {"full_name": "Another", "password": NEW_PASSWORD}


DATABASE_FAULTS = [
    ("tokens cannot be stored", trigger("UPDATE ON commweb_connection"), MATRIX),
    ("a sign-in cannot be stored", trigger("UPDATE ON commweb_connection"), SIGN_IN.rule),
    ("the audit cannot be written", trigger("INSERT ON commweb_event"), MATRIX),
    ("settings cannot be stored", trigger("UPDATE ON commweb_setting"), SIGN_IN.rule),
    ("the connection's table is gone", without("commweb_connection"), MATRIX),
    ("a password cannot be stored", trigger("UPDATE ON person"), "/people/<int:person_id>/edit"),
    ("the people's table is gone", without("person"), "/login"),
]


@pytest.mark.parametrize(
    ("arrange", "rule"),
    [fault[1:] for fault in DATABASE_FAULTS],
    ids=[f[0] for f in DATABASE_FAULTS],
)
def test_a_fault_of_the_database_tells_no_secret(
    world: World, arrange: Callable[[World], None], rule: str
) -> None:
    (row,) = [row for row in POSTS if row.rule == rule]
    address, fields = row.address(world), row.fields(world)
    arrange(world)
    role = "nobody" if rule == "/login" else "admin"
    with everything_said() as said, faults_of(world.app) as faults:
        answer = world.ask(role, "POST", address, fields)
    assert answer.status_code in (500, 503)
    assert found_in(*response_places(world.app, answer), said.text, *map(str, faults)) == set()
    if answer.status_code == 503:
        assert "flask commweb upgrade" in answer.text
        return
    assert len(faults) == 1
    assert "Traceback" in said.text
    if row.ours:
        assert found_in(with_variables(faults[0])) == set()


@pytest.mark.parametrize("name", HOMESERVER_FAULTS)
def test_a_homeserver_that_repeats_what_it_was_sent_is_not_repeated(
    world: World, name: str
) -> None:
    world.homeserver.instead = HOMESERVER_FAULTS[name]
    places: list[bytes] = []
    with everything_said() as said, faults_of(world.app) as faults:
        for row in (SIGN_IN, SETTINGS):
            answer = world.ask("admin", "POST", row.rule, row.fields(world))
            assert answer.status_code in (303, 422)
            places += response_places(world.app, answer)
        for path in ("test", "lift-limits"):
            answer = world.ask("admin", "POST", f"{MATRIX}/{path}", {})
            assert answer.status_code == 303
            places += response_places(world.app, answer)
        world.execute("UPDATE commweb_connection SET expires_at = '2000-01-01'")
        answer = world.ask("admin", "POST", f"{MATRIX}/test", {})
        places += response_places(world.app, answer)
        world.ask("admin", "GET", MATRIX)
    assert faults == []
    assert {"matrix_password", "typed_access"} <= found_in(world.homeserver.text)
    assert found_in(*places, said.text, str(world.dump())) == set()


@pytest.mark.parametrize("name", [*HOMESERVER_FAULTS, "is away"])
def test_a_fault_on_the_way_to_the_homeserver_carries_no_secret(world: World, name: str) -> None:
    world.homeserver.instead = HOMESERVER_FAULTS.get(name)
    state = world.app.extensions["commweb"]
    provider = state.registry.get("matrix")
    if name == "is away":
        world.execute("UPDATE commweb_setting SET value = '\"http://127.0.0.1:9\"' "
                      "WHERE key = 'home_server_url'")  # fmt: skip
    faults: list[ProviderError] = []
    with world.app.app_context():
        values = dict(state.values(provider).values)
        for call in (
            lambda: provider.sign_in(values, state.network, "bot", Secret(MATRIX_PASSWORD)),
            lambda: provider.lift_limits(state.context(provider)),
            lambda: provider.backend(state.context(provider)).close(),
        ):
            try:
                call()
            except ProviderError as fault:
                faults.append(fault)
    for fault in faults:
        assert found_in(str(fault), repr(fault), pickle.dumps(fault)) == set()
        assert found_in(with_variables(fault)) == set()
    assert faults or name == "speaks strange versions"


def test_tokens_that_cannot_be_opened_are_told_without_them(world: World) -> None:
    world.execute("UPDATE commweb_connection SET access = 'no sealed value'")
    with everything_said() as said:
        pages = [
            world.ask("admin", method, f"{MATRIX}{path}", {} if method == "POST" else None)
            for method, path in (("GET", ""), ("GET", "/sign-in"), ("POST", "/test"))
        ]
    assert [page.status_code for page in pages] == [200, 200, 303]
    for page in pages:
        assert found_in(*response_places(world.app, page)) == set()
    assert found_in(said.text) == set()


@pytest.mark.parametrize("fault", ["none", *HOMESERVER_FAULTS])
def test_a_chat_password_goes_to_the_homeserver_and_nowhere_else(world: World, fault: str) -> None:
    world.homeserver.instead = HOMESERVER_FAULTS.get(fault, polite)
    world.allow_chat_password("student1")
    typed = {
        "site_password": PEOPLE_PASSWORD,
        "password": NEW_PASSWORD,
        "password_again": NEW_PASSWORD,
    }
    with everything_said() as said, faults_of(world.app) as faults:
        answer = world.ask("student", "POST", "/account/password", typed)
        slip = world.ask("student", "POST", "/account/password", {**typed, "password": ""})
    assert answer.status_code == (303 if fault == "none" else 422)
    assert slip.status_code == 422
    assert faults == []
    assert (found_in(world.homeserver.text) == {"access", "new_password"}) or fault != "none"
    places = [*response_places(world.app, answer), *response_places(world.app, slip)]
    assert found_in(*places, said.text, str(world.dump()), *files(world.folder).values()) == set()


def test_a_code_goes_to_the_account_and_nowhere_else(world: World) -> None:
    world.homeserver.instead = polite
    world.execute("DELETE FROM commweb_account_proof")
    with everything_said() as said:
        answer = world.ask("student", "POST", "/account/link", {"user_id": "@student1:hs.test"})
        page = world.ask("student", "GET", "/account")
    (code,) = set(re.findall(r"\b[0-9]{8}\b", world.homeserver.text))
    told = [*response_places(world.app, answer), *response_places(world.app, page)]
    told += [said.text.encode(), str(world.dump()).encode()]
    assert answer.status_code == 303
    assert not any(code.encode() in place for place in told)
