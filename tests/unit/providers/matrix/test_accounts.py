"""Accounts on the homeserver: what is looked at, created and never changed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

import pytest

from commweb.errors import ProviderError
from commweb.providers.base import Backend
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.rooms import AccountFacts, EnsureAccount
from tests.stored_session import BASE_URL, Stored
from tests.unit.providers.matrix.conftest import BOT, Http

ANNA = "@anna:hs.example"
ADMIN = "/_synapse/admin"
USER = f"{ADMIN}/v2/users/{quote(ANNA, safe='')}"
DEVICES = f"{USER}/devices"
SIGN_ON = f"{ADMIN}/v1/auth_providers/oidc-school/users/42"
HELD = [{"auth_provider": "oidc-school", "external_id": "42"}]


@pytest.fixture
def backend(stored: Stored) -> Iterator[Backend]:
    backend = MatrixProvider().backend(stored.context())
    yield backend
    backend.close()


@pytest.fixture
def school(stored: Stored) -> Iterator[Backend]:
    """With a single sign-on."""
    backend = MatrixProvider().backend(stored.context(sso_provider_id="oidc-school"))
    yield backend
    backend.close()


def account(**more: Any) -> EnsureAccount:
    return EnsureAccount("1", ANNA, "Anna", **more)


def ours(**more: Any) -> EnsureAccount:
    """An account that commweb created."""
    return account(theirs=True, **more)


def user(**changes: Any) -> dict[str, Any]:
    return {"name": ANNA, "displayname": "Anna", "deactivated": False, "locked": False, **changes}


def missing(http: Http, path: str = USER) -> None:
    http.refuse("GET", path, 404, "M_NOT_FOUND")


def written(http: Http) -> list[Any]:
    """What was sent to be written."""
    sent = range(len(http.asked))
    return [http.sent(number) for number in sent if not http.asked[number].startswith("GET")]


def test_a_new_account_is_looked_for_first_and_gets_a_name_only(
    http: Http, backend: Backend
) -> None:
    missing(http)
    http.on("PUT", USER, user(), 201)
    assert backend.ensure_account(account()).made
    assert http.asked == [f"GET {USER}", f"PUT {USER}"]
    assert written(http) == [{"displayname": "Anna"}]


@pytest.mark.parametrize(
    "there", [{}, {"admin": True}, {"locked": True}, {"deactivated": True}, {"displayname": "X"}]
)
def test_an_account_that_is_there_is_not_theirs_and_is_not_changed(
    http: Http, school: Backend, there: dict[str, Any]
) -> None:
    missing(http, SIGN_ON)
    http.on("GET", USER, user(**there))
    facts = school.ensure_account(account(external_id="42", intended_at_seconds=time.time()))
    assert (facts.usable, facts.made, facts.existed, facts.origin) == (False, False, True, "named")
    assert facts.reason
    assert written(http) == []


@pytest.mark.parametrize(
    ("there", "usable"),
    [({}, True), ({"admin": True}, False), ({"locked": True}, False), ({"deactivated": 1}, False)],
)
def test_trusted_names_take_no_administrator_and_nobody_who_is_barred(
    http: Http, backend: Backend, there: dict[str, Any], usable: bool
) -> None:
    http.on("GET", USER, user(**there))
    facts = backend.ensure_account(account(trust_names=True))
    assert (facts.usable, facts.origin) == (usable, "trusted_name" if usable else "named")
    assert written(http) == []


def test_an_account_of_a_bridge_leads_to_another_name(http: Http, backend: Backend) -> None:
    http.on("GET", USER, user(appservice_id="irc"))
    facts = backend.ensure_account(account(trust_names=True))
    assert (facts.usable, facts.origin) == (False, "refused")


@pytest.mark.parametrize("errcode", ["M_EXCLUSIVE", "M_INVALID_USERNAME", "M_USER_IN_USE"])
def test_a_name_that_the_server_keeps_for_itself_leads_to_another_one(
    http: Http, backend: Backend, errcode: str
) -> None:
    missing(http)
    http.refuse("PUT", USER, 400, errcode)
    facts = backend.ensure_account(account())
    assert (facts.usable, facts.origin) == (False, "refused")
    assert ANNA in (facts.reason or "")


def test_the_acting_account_is_nobodys_and_is_not_even_asked_for(
    http: Http, backend: Backend
) -> None:
    facts = backend.ensure_account(EnsureAccount("1", BOT, "Bot", theirs=True))
    assert (facts.usable, facts.origin) == (False, "refused")
    assert http.asked == []


def answered_at(http: Http, seconds: float, **more: Any) -> None:
    """The account as the server tells it, at this time by its own clock."""
    headers = {"Date": formatdate(seconds, usegmt=True)}
    http.mock.add("GET", BASE_URL + USER, json=user(**more), headers=headers)


@pytest.mark.parametrize("skew", [-3600, 0, 3600])
@pytest.mark.parametrize(("age", "is_ours"), [(-100, True), (-2, True), (3, False), (600, False)])
def test_an_account_not_older_than_the_wish_is_a_lost_answer(
    http: Http, backend: Backend, skew: int, age: int, is_ours: bool
) -> None:
    """``age``: how many seconds before the wish it was created."""
    wished = time.time() - 200
    answered_at(http, time.time() + skew, creation_ts=int(wished + skew - age))
    if is_ours:
        http.on("GET", DEVICES, {"devices": [], "total": 0})
    facts = backend.ensure_account(account(intended_at_seconds=wished))
    assert (facts.usable, facts.origin) == ((True, "created") if is_ours else (False, "named"))


@pytest.mark.parametrize(
    "there",
    [
        {"displayname": "Anna of the directory"},
        {"threepids": [{"medium": "email", "address": "anna@school.example"}]},
        {"external_ids": [{"auth_provider": "oidc-school", "external_id": "7"}]},
        {"avatar_url": "mxc://hs.example/1"},
    ],
)
def test_what_a_script_of_the_school_created_in_the_same_second_is_no_lost_answer(
    http: Http, backend: Backend, there: dict[str, Any]
) -> None:
    now = time.time()
    answered_at(http, now, creation_ts=int(now), **there)
    facts = backend.ensure_account(account(intended_at_seconds=now))
    assert (facts.usable, facts.origin) == (False, "named")
    assert written(http) == []


@pytest.mark.parametrize("name", ["anna", None, "Somebody"])
def test_a_name_that_somebody_registered_while_the_wish_waited_is_no_lost_answer(
    http: Http, backend: Backend, name: str | None
) -> None:
    """The server was away for ten minutes. Somebody who registers gets the name as display name
    and has no device if the registration asked for none."""
    now = time.time()
    answered_at(http, now, creation_ts=int(now - 60), displayname=name)
    facts = backend.ensure_account(account(intended_at_seconds=now - 600))
    assert (facts.usable, facts.origin) == (False, "named")
    assert written(http) == []


@pytest.mark.parametrize("seen", [True, False])
def test_an_account_that_somebody_signed_in_with_is_no_lost_answer(
    http: Http, backend: Backend, seen: bool
) -> None:
    now = time.time()
    answered_at(http, now, creation_ts=int(now), last_seen_ts=int(now * 1000) if seen else None)
    if not seen:
        http.on("GET", DEVICES, {"devices": [{"device_id": "A"}], "total": 1})
    facts = backend.ensure_account(account(intended_at_seconds=now - 5))
    assert (facts.usable, facts.origin) == (False, "named")


def test_somebody_who_was_faster_keeps_the_account(http: Http, backend: Backend) -> None:
    missing(http)
    http.on("PUT", USER, user(creation_ts=int(time.time()), last_seen_ts=1), 200)
    facts = backend.ensure_account(account(intended_at_seconds=time.time()))
    assert (facts.usable, facts.made, facts.origin) == (False, False, "named")
    created, put_back = written(http)
    assert (created["displayname"], put_back["displayname"]) == ("Anna", "anna")


def test_the_same_external_id_makes_an_account_theirs(http: Http, school: Backend) -> None:
    http.on("GET", SIGN_ON, {"user_id": ANNA})
    http.on("GET", USER, user(displayname="Annie", external_ids=HELD))
    facts = school.ensure_account(account(external_id="42"))
    assert (facts.usable, facts.origin) == (True, "external_id")
    assert written(http) == []


def test_another_account_that_the_single_sign_on_opens_is_theirs(
    http: Http, school: Backend
) -> None:
    http.on("GET", SIGN_ON, {"user_id": "@annie:hs.example"})
    facts = school.ensure_account(account(external_id="42"))
    assert (facts.remote_user_id, facts.origin) == ("@annie:hs.example", "external_id")
    assert not facts.usable
    assert len(http.asked) == 1


def test_a_new_account_is_linked_to_the_single_sign_on_once_it_is_ours(
    http: Http, school: Backend
) -> None:
    missing(http, SIGN_ON)
    missing(http)
    http.on("PUT", USER, user(), 201)
    http.on("PUT", USER, user())
    assert school.ensure_account(account(external_id="42")).made
    assert written(http) == [{"displayname": "Anna"}, {"external_ids": HELD}]


def test_a_single_sign_on_that_is_taken_leaves_a_usable_account_and_is_said(
    http: Http, school: Backend
) -> None:
    missing(http, SIGN_ON)
    missing(http)
    http.on("PUT", USER, user(), 201)
    http.refuse("PUT", USER, 409, "M_UNKNOWN", "External id is already in use.")
    facts = school.ensure_account(account(external_id="42"))
    assert (facts.usable, facts.made) == (True, True)
    assert facts.note == (f"The single sign-on of Anna already opens another account than {ANNA}.")


def test_a_known_account_is_only_looked_at(http: Http, backend: Backend) -> None:
    http.on("GET", USER, user())
    facts = backend.ensure_account(ours(known=True))
    assert facts == AccountFacts(ANNA, existed=True, display_name="Anna")
    assert len(http.asked) == 1


@pytest.mark.parametrize(
    ("now", "last", "follows"),
    [
        ("Old", "Old", True),
        (None, "Old", True),
        ("anna", "Old", True),
        ("Annie by hand", "Old", False),
        ("Annie by hand", "", False),
    ],
)
def test_a_display_name_follows_the_persons_until_they_set_one(
    http: Http, backend: Backend, now: str | None, last: str, follows: bool
) -> None:
    http.on("GET", USER, user(displayname=now))
    if follows:
        http.on("PUT", USER, user())
    assert backend.ensure_account(ours(known=True, last_name=last)).usable
    assert written(http) == ([{"displayname": "Anna"}] if follows else [])


@pytest.mark.parametrize("changes", [{"rename": False}, {}])
def test_nobody_elses_account_and_no_administrators_is_renamed(
    http: Http, backend: Backend, changes: dict[str, bool]
) -> None:
    http.on("GET", USER, user(displayname="Old", admin="rename" not in changes))
    assert backend.ensure_account(ours(known=True, last_name="Old", **changes)).usable
    assert written(http) == []


@pytest.mark.parametrize("admin", [True, False])
def test_a_guess_is_never_a_server_administrators_account(
    http: Http, backend: Backend, admin: bool
) -> None:
    http.on("GET", USER, user(admin=admin))
    facts = backend.ensure_account(account(theirs=True, guessed=True, rename=False, known=True))
    assert (facts.usable, facts.origin) == ((False, "named") if admin else (True, ""))
    assert written(http) == []


def test_pages_and_syncs_name_accounts_alike(stored: Stored) -> None:
    backend = MatrixProvider().backend(stored.context())
    names = MatrixProvider().names(backend.own_id, backend.server_name)
    for text in (ANNA, "@anna:other.example", "anna", "", "@a b:hs.example", f"@{'a' * 300}:x"):
        assert names.whereabouts(text) == backend.whereabouts(text)
    for name in ("Anna", "_x", "12", "a" * 300, "Ä/"):
        assert names.identify(name, frozenset()) == backend.identify(name, frozenset())
    assert (names.own_id, names.server_name) == (BOT, "hs.example")
    backend.close()


@pytest.mark.parametrize("known", [True, False])
def test_an_account_that_vanished_is_created_again(
    http: Http, backend: Backend, known: bool
) -> None:
    missing(http)
    http.on("PUT", USER, user(), 201)
    assert backend.ensure_account(ours(known=known)).made


@pytest.mark.parametrize("flag", ["deactivated", "locked"])
def test_an_account_of_theirs_that_cannot_be_used_now_says_why(
    http: Http, backend: Backend, flag: str
) -> None:
    http.on("GET", USER, user(**{flag: True}))
    facts = backend.ensure_account(ours())
    assert (facts.usable, getattr(facts, flag), facts.origin) == (False, True, "")
    assert facts.reason == f"The account {ANNA} is {flag} on the homeserver."


def test_where_a_service_creates_the_accounts_people_are_told(http: Http, backend: Backend) -> None:
    missing(http)
    http.refuse("PUT", USER, 403, "M_FORBIDDEN")
    facts = backend.ensure_account(account())
    assert facts.reason == f"The homeserver does not let the site create {ANNA}."


@pytest.mark.parametrize("federate", [True, False])
def test_an_account_of_another_server_is_left_alone(stored: Stored, federate: bool) -> None:
    backend = MatrixProvider().backend(stored.context(federate=federate))
    facts = backend.ensure_account(EnsureAccount("1", "@anna:other.example", "Anna"))
    backend.close()
    assert facts.usable is federate


@pytest.mark.parametrize(
    "body", [{"creation_ts": 10**400}, {"creation_ts": "x"}, {"external_ids": [1, {"a": 2}]}]
)
def test_absurd_answers_prove_nothing(http: Http, backend: Backend, body: dict[str, Any]) -> None:
    http.on("GET", USER, user(**body))
    assert not backend.ensure_account(account(intended_at_seconds=time.time())).usable


def test_an_answer_about_the_path_creates_no_account(http: Http, backend: Backend) -> None:
    http.refuse("GET", USER, 404, "M_UNRECOGNIZED")
    with pytest.raises(ProviderError):
        backend.ensure_account(account())
    assert written(http) == []
