"""People's own accounts: what is asked of the homeserver for them, and what never is."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from commweb.encryption import Secret
from commweb.errors import Refused, SignInNeeded, Unreachable
from commweb.providers.base import Backend, People
from commweb.providers.matrix.identifiers import user_id_problem
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.rooms import AccountFacts, EnsureAccount, Join, RoomRef
from tests.stored_session import BASE_URL, Stored
from tests.unit.providers.matrix.conftest import BOT, Http

ANNA = "@anna:hs.example"
AWAY = "@anna:other.example"
ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
USER = f"{ADMIN}/v2/users/{quote(ANNA, safe='')}"
DM = quote("!dm", safe="")
MEMBER = f"{CLIENT}/rooms/{DM}/state/m.room.member/{quote(ANNA, safe='')}"
KNOWN = {"name": ANNA, "displayname": "Anna of her own", "deactivated": False, "locked": False}


def missing(http: Http, method: str, path: str) -> None:
    http.refuse(method, path, 404, "M_NOT_FOUND", "User not found")


@pytest.fixture
def people(stored: Stored) -> Iterator[People]:
    people = MatrixProvider().people(stored.context(), 10.0)
    yield people
    people.close()


@pytest.fixture
def backend(stored: Stored) -> Iterator[Backend]:
    backend = MatrixProvider().backend(stored.context())
    yield backend
    backend.close()


def account(**more: Any) -> EnsureAccount:
    return EnsureAccount("1", ANNA, "Anna", **more)


@pytest.mark.parametrize("known", [True, False])
def test_an_account_of_the_persons_own_is_read_and_never_renamed(
    http: Http, backend: Backend, known: bool
) -> None:
    http.on("GET", USER, KNOWN)
    facts = backend.ensure_account(account(known=known, make=False, rename=False, theirs=True))
    assert facts == AccountFacts(ANNA, existed=True, display_name="Anna of her own")
    assert http.asked == [f"GET {USER}"]


def test_an_account_the_host_names_is_made_when_it_is_missing(http: Http, backend: Backend) -> None:
    missing(http, "GET", USER)
    http.on("PUT", USER, KNOWN, 201)
    assert backend.ensure_account(account(known=True, rename=False, theirs=True)).made


def test_an_account_that_may_not_be_made_is_a_reason(http: Http, backend: Backend) -> None:
    missing(http, "GET", USER)
    facts = backend.ensure_account(account(make=False))
    assert (facts.usable, facts.reason) == (
        False,
        f"There is no account {ANNA} on the homeserver.",
    )


@pytest.mark.parametrize(
    ("remote", "where"),
    [
        (ANNA, "here"),
        (AWAY, "elsewhere"),
        ("@Old.Name=:hs.example", "here"),
        ("@a:[::1]:8448", "elsewhere"),
        ("anna", "nowhere"),
        ("@anna", "nowhere"),
        ("@:hs.example", "nowhere"),
        ("@an na:hs.example", "nowhere"),
        ("@anna:hs.example/x", "nowhere"),
        (f"@{'a' * 250}:hs.example", "nowhere"),
    ],
)
def test_whose_server_an_account_is_on(backend: Backend, remote: str, where: str) -> None:
    assert backend.whereabouts(remote) == where
    assert (user_id_problem(remote) is None) == (where != "nowhere")


@pytest.mark.parametrize(("version", "level"), [("11", 99), ("12", 100), ("1", 99)])
def test_the_highest_level_is_below_an_acting_account_that_is_listed(
    http: Http, backend: Backend, version: str, level: int
) -> None:
    versions = {"capabilities": {"m.room_versions": {"default": version}}}
    http.on("GET", f"{CLIENT}/capabilities", versions)
    assert backend.highest_level() == level


def test_an_account_elsewhere_in_a_room_that_is_not_federated_is_a_reason(
    http: Http, backend: Backend
) -> None:
    error = {"errcode": "M_FORBIDDEN", "error": "This room has been marked as unfederatable."}
    http.on("POST", f"{CLIENT}/rooms/%21room/invite", error, 403)
    state = f"{CLIENT}/rooms/%21room/state"
    http.on("GET", f"{state}/m.room.member/{quote(BOT, safe='')}", {"membership": "join"})
    http.refuse("GET", f"{state}/m.room.member/{quote(AWAY, safe='')}", 404, "M_NOT_FOUND")
    http.on("GET", f"{state}/m.room.create/", {"m.federate": False})
    room = RoomRef("1", "", "00", "!room")
    with pytest.raises(Refused, match="of another homeserver"):
        backend.join(room, Join("1", AWAY, "Anna", by_invitation=True))


def test_examining_makes_and_changes_nothing(http: Http, people: People) -> None:
    http.on("GET", USER, KNOWN)
    assert people.examine(ANNA).usable
    assert http.asked == [f"GET {USER}"]


@pytest.mark.parametrize(
    ("remote", "words"), [(BOT, "site's own account"), (AWAY, "of another homeserver")]
)
def test_some_accounts_are_nobodys_to_link(people: People, remote: str, words: str) -> None:
    facts = people.examine(remote)
    assert not facts.usable
    assert words in (facts.reason or "")


def test_an_account_elsewhere_can_be_linked_where_rooms_are_federated(stored: Stored) -> None:
    people = MatrixProvider().people(stored.context(federate=True), 10.0)
    assert people.examine(AWAY).usable
    people.close()


def test_a_code_goes_to_a_private_room_of_the_two(http: Http, people: People) -> None:
    http.on("POST", f"{CLIENT}/createRoom", {"room_id": "!dm"})
    http.on("PUT", MEMBER, {"event_id": "$1"})
    http.mock.add(
        "PUT",
        re.compile(f"{BASE_URL}{CLIENT}/rooms/{DM}/send/m.room.message/.+"),
        json={"event_id": "$2"},
    )
    assert people.send_code(ANNA, "12345678 is the code") == "!dm"
    assert http.sent(0) == {"preset": "private_chat", "visibility": "private"}
    assert http.sent(1) == {"membership": "invite", "is_direct": True}
    assert http.sent(2) == {"msgtype": "m.text", "body": "12345678 is the code"}


def test_a_room_for_a_code_that_could_not_be_sent_is_removed(http: Http, people: People) -> None:
    http.on("POST", f"{CLIENT}/createRoom", {"room_id": "!dm"})
    http.on("PUT", MEMBER, {}, 502)
    http.on("DELETE", f"{ADMIN}/v2/rooms/{DM}", {"delete_id": "1"})
    with pytest.raises(Unreachable):
        people.send_code(ANNA, "12345678")
    assert http.asked[-1] == f"DELETE {ADMIN}/v2/rooms/{DM}"


def test_a_password_signs_others_out_and_changes_nothing_else(http: Http, people: People) -> None:
    http.on("GET", USER, KNOWN)
    http.on("PUT", USER, KNOWN)
    people.set_password(ANNA, Secret("correct horse"))
    assert http.sent() == {"password": "correct horse", "logout_devices": True}


def test_no_administrator_gets_a_password(http: Http, people: People) -> None:
    http.on("GET", USER, {**KNOWN, "admin": True})
    with pytest.raises(Refused, match="Administrators"):
        people.set_password(ANNA, Secret("correct horse"))
    assert http.asked == [f"GET {USER}"]


def test_no_account_is_made_by_setting_a_password(http: Http, people: People) -> None:
    missing(http, "GET", USER)
    with pytest.raises(Refused, match="There is no account"):
        people.set_password(ANNA, Secret("correct horse"))
    assert http.asked == [f"GET {USER}"]


@pytest.mark.parametrize("locked", [True, False])
def test_locking_an_account_changes_nothing_else(http: Http, people: People, locked: bool) -> None:
    http.on("PUT", USER, KNOWN)
    people.set_locked(ANNA, locked)
    assert http.asked == [f"PUT {USER}"]
    assert http.sent() == {"locked": locked}


def test_without_a_session_nobody_can_be_asked(stored: Stored) -> None:
    with pytest.raises(SignInNeeded):
        MatrixProvider().people(stored.context("https://elsewhere.example"), 10.0)
