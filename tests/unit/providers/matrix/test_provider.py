"""The provider's own answers: settings, addresses, checks in words, signing in."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import responses

from commweb.encryption import Secret
from commweb.errors import ProviderStopped, RateLimited, Refused, SignInNeeded, Unreachable
from commweb.models import now
from commweb.net import NetworkPolicy
from commweb.providers.matrix.provider import MatrixProvider
from tests.stored_session import BASE_URL, Stored

BOT = "@bot:hs.example"
ADMIN_PATH = f"/_synapse/admin/v1/users/{quote(BOT, safe='')}"
OWN_PATH = f"/_synapse/admin/v2/users/{quote(BOT, safe='')}"
CREATE = "/_matrix/client/v3/createRoom"
REJECTED = {"errcode": "M_BAD_JSON", "error": "'org.commweb.none' is not a valid preset"}
LOGIN = "/_matrix/client/v3/login"
VALUES = {"home_server_url": BASE_URL, "element_web_url": "https://app.element.io"}


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    stored.save("access", "refresh")
    yield stored
    stored.close()


def on(http: responses.RequestsMock, path: str, body: Any, status: int = 200) -> None:
    http.add("GET", BASE_URL + path, json=body, status=status)


def healthy(http: responses.RequestsMock, *, admin: bool = True, delegated: bool = False) -> None:
    on(http, "/_matrix/client/versions", {"versions": ["v1.1", "v1.15"]})
    on(http, "/_matrix/client/v3/account/whoami", {"user_id": BOT})
    missing = {"errcode": "M_UNRECOGNIZED", "error": "x"}
    on(http, "/_matrix/client/v1/auth_metadata", missing, 200 if delegated else 404)
    if admin:
        on(http, OWN_PATH, {"name": BOT, "admin": True})
        http.add("POST", BASE_URL + CREATE, json=REJECTED, status=400)
    else:
        on(http, OWN_PATH, {"errcode": "M_FORBIDDEN", "error": "x"}, 403)


def codes(stored: Stored) -> list[str]:
    return [one.code for one in MatrixProvider().check(stored.context(), 10)]


def last(stored: Stored) -> tuple[str, str]:
    """The code and the level of what a check found last."""
    found = MatrixProvider().check(stored.context(), 10)[-1]
    return found.code, found.level


def test_the_settings_and_their_defaults_are_these() -> None:
    assert {one.key: one.default for one in MatrixProvider.settings} == {
        "home_server_url": "",
        "element_web_url": "",
        "create_rooms_for_new_courses": True,
        "federate": False,
        "encrypt": False,
        "history_visibility": "shared",
        "closing_rule": "remove_members",
        "sso_provider_id": "",
        "respect_hand_changes": True,
        "remove_others": False,
        "who_may_invite": "moderators",
        "fast_fill": False,
        "account_mode": "create",
        "localpart_template": "{username}",
        "existing_accounts": "ask",
        "ask_consent": False,
        "link_without_proof": False,
        "allow_chat_password": False,
        "lock_suspended": False,
        "level_student": 0,
        "level_teacher": 50,
        "level_admin": 50,
    }


@pytest.mark.parametrize(
    ("values", "session", "configured"),
    [
        (VALUES, True, True),
        (VALUES, False, False),
        ({**VALUES, "element_web_url": ""}, True, False),
        ({**VALUES, "home_server_url": ""}, True, False),
    ],
)
def test_it_is_configured_with_both_addresses_and_a_session(
    values: dict[str, Any], session: bool, configured: bool
) -> None:
    assert MatrixProvider().configured(values, session) is configured


@pytest.mark.parametrize(
    ("remote_id", "url"),
    [
        ("!abc:hs.example", "https://app.element.io/#/room/!abc:hs.example"),
        ("!76HdUlYJ-_x", "https://app.element.io/#/room/!76HdUlYJ-_x"),
        ("!a b/c?d#e", "https://app.element.io/#/room/!a%20b%2Fc%3Fd%23e"),
    ],
)
def test_a_room_opens_in_element(remote_id: str, url: str) -> None:
    assert MatrixProvider().room_url(VALUES, remote_id) == url


def test_without_an_element_address_no_room_opens() -> None:
    assert MatrixProvider().room_url({}, "!a") is None


def test_a_good_connection_is_told_in_words(http: responses.RequestsMock, stored: Stored) -> None:
    healthy(http)
    on(http, f"{ADMIN_PATH}/override_ratelimit", {"messages_per_second": 0, "burst_count": 0})
    found = MatrixProvider().check(stored.context(), 10)
    assert [one.code for one in found] == ["reached", "account", "admin"]
    assert {one.level for one in found} == {"success"}
    said = " ".join(one.message for one in found)
    assert BOT in said
    assert "hs.example" in said
    session = stored.tokens().read()
    assert session is not None
    assert (session.user_id, session.server_name) == (BOT, "hs.example")


@pytest.mark.parametrize("limits", [{}, {"messages_per_second": 5, "burst_count": 5}])
def test_rate_limits_in_force_are_told(
    http: responses.RequestsMock, stored: Stored, limits: dict[str, int]
) -> None:
    healthy(http)
    on(http, f"{ADMIN_PATH}/override_ratelimit", limits)
    assert codes(stored) == ["reached", "account", "admin", "rate_limited"]


def test_an_account_that_is_no_administrator_is_told(
    http: responses.RequestsMock, stored: Stored
) -> None:
    healthy(http, admin=False)
    assert codes(stored) == ["reached", "account", "not_admin"]


def test_an_authentication_service_is_told(http: responses.RequestsMock, stored: Stored) -> None:
    healthy(http, admin=False, delegated=True)
    assert codes(stored) == ["reached", "account", "delegated_auth", "not_admin"]


@pytest.mark.parametrize(
    ("status", "body"), [(502, "bad gateway"), (200, "<html>"), (200, '{"versions": []}')]
)
def test_what_is_no_homeserver_is_told(
    http: responses.RequestsMock, stored: Stored, status: int, body: str
) -> None:
    http.add("GET", BASE_URL + "/_matrix/client/versions", body=body, status=status)
    assert last(stored) == ("unreachable", "danger")


def test_a_homeserver_that_asks_to_wait_is_no_fault(
    http: responses.RequestsMock, stored: Stored
) -> None:
    limited = {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 2000}
    on(http, "/_matrix/client/versions", limited, 429)
    assert last(stored) == ("rate_limited", "warning")


def test_a_redirect_says_what_to_enter(http: responses.RequestsMock, stored: Stored) -> None:
    path = "/_matrix/client/versions"
    target = {"Location": "https://real.example" + path}
    http.add("GET", BASE_URL + path, status=302, headers=target)
    found = MatrixProvider().check(stored.context(), 10)
    assert "enter https://real.example instead" in found[0].message


@pytest.mark.parametrize("status", [200, 403, 404, 405, 410])
def test_an_administration_api_that_is_not_passed_on_is_named(
    http: responses.RequestsMock, stored: Stored, status: int
) -> None:
    on(http, "/_matrix/client/versions", {"versions": ["v1.15"]})
    on(http, "/_matrix/client/v3/account/whoami", {"user_id": BOT})
    on(http, "/_matrix/client/v1/auth_metadata", {"errcode": "M_UNRECOGNIZED"}, 404)
    http.add("GET", BASE_URL + OWN_PATH, body="<h1>Not Found</h1>", status=status)
    found = MatrixProvider().check(stored.context(), 10)[-1]
    assert (found.code, found.level) == ("unreachable", "danger")
    assert "administration API (/_synapse/admin) is not reachable" in found.message


REFUSED = [
    (
        403,
        {"errcode": "M_CONSENT_NOT_GIVEN", "error": "Agree", "consent_uri": "https://hs/c?u=b"},
        "stopped",
        ["agree", "https://hs/c?u=b"],
    ),
    (
        403,
        {
            "errcode": "M_RESOURCE_LIMIT_EXCEEDED",
            "error": "Too many",
            "limit_type": "monthly_active_user",
            "admin_contact": "mailto:it@example.org",
        },
        "user_limit",
        ["limit of users", "Too many", "it@example.org"],
    ),
    (
        403,
        {
            "errcode": "M_RESOURCE_LIMIT_EXCEEDED",
            "error": "Not paid",
            "limit_type": "hs_disabled",
            "admin_contact": "https://host.example/help",
        },
        "stopped",
        ["Not paid", "https://host.example/help"],
    ),
    (507, {}, "stopped", ["no space"]),
]


@pytest.mark.parametrize(("status", "body", "code", "words"), REFUSED)
def test_a_server_that_answers_and_does_nothing_is_told(
    http: responses.RequestsMock,
    stored: Stored,
    status: int,
    body: dict[str, Any],
    code: str,
    words: list[str],
) -> None:
    healthy(http)
    http.replace("POST", BASE_URL + CREATE, json=body, status=status)
    on(http, f"{ADMIN_PATH}/override_ratelimit", {"messages_per_second": 0, "burst_count": 0})
    found = MatrixProvider().check(stored.context(), 10)[-1]
    assert (found.code, found.level) == (code, "danger")
    assert all(word in found.message for word in words), found.message


def test_a_suspended_account_is_told(http: responses.RequestsMock, stored: Stored) -> None:
    healthy(http)
    http.replace("GET", BASE_URL + OWN_PATH, json={"name": BOT, "suspended": True})
    on(http, f"{ADMIN_PATH}/override_ratelimit", {"messages_per_second": 0, "burst_count": 0})
    assert last(stored) == ("stopped", "danger")


def test_a_room_that_a_server_creates_in_spite_of_all_is_deleted(
    http: responses.RequestsMock, stored: Stored
) -> None:
    healthy(http)
    http.replace("POST", BASE_URL + CREATE, json={"room_id": "!odd"})
    http.add("DELETE", f"{BASE_URL}/_synapse/admin/v2/rooms/%21odd", json={"delete_id": "d"})
    on(http, f"{ADMIN_PATH}/override_ratelimit", {"messages_per_second": 0, "burst_count": 0})
    assert codes(stored) == ["reached", "account", "admin"]


# The domain that names its homeserver

WELL_KNOWN = "/.well-known/matrix/client"
REAL = "https://matrix.hs.example"


def named(http: responses.RequestsMock, body: Any, status: int = 200) -> None:
    """The domain itself is a web site, which names a homeserver."""
    http.assert_all_requests_are_fired = False
    for path in ("/_matrix/client/versions", LOGIN):
        http.add("GET", BASE_URL + path, body="<h1>School</h1>", status=404)
        http.add("POST", BASE_URL + path, body="<h1>School</h1>", status=404)
    http.add("GET", BASE_URL + WELL_KNOWN, json=body, status=status)
    http.add("GET", REAL + "/_matrix/client/versions", json={"versions": ["v1.15"]})


@pytest.mark.parametrize("written", [REAL, REAL + "/", REAL + "/_matrix/client"])
def test_the_homeserver_that_a_domain_names_is_offered(
    http: responses.RequestsMock, stored: Stored, written: str
) -> None:
    named(http, {"m.homeserver": {"base_url": written}})
    problem, offer = MatrixProvider().check(stored.context(), 10)
    assert (problem.code, offer.code) == ("unreachable", "found_address")
    assert (f"Use {REAL} instead" in offer.message, offer.use_address) == (True, REAL)
    with pytest.raises(Unreachable, match=f"Use {REAL} instead") as caught:
        sign_in()
    assert caught.value.use_address == REAL
    asked = [call.request for call in http.calls if call.request.url.startswith(REAL)]
    assert all("Authorization" not in request.headers for request in asked)


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        "x",
        {"m.homeserver": None},
        {"m.homeserver": {"base_url": 5}},
        {"m.homeserver": {"base_url": BASE_URL}},
        {"m.homeserver": {"base_url": "http://10.0.0.1"}},
        {"m.homeserver": {"base_url": "http://169.254.169.254"}},
        {"m.homeserver": {"base_url": "javascript:alert(1)"}},
        {"m.homeserver": {"base_url": "https://user:word@matrix.hs.example"}},
        {"m.homeserver": {"base_url": "https://nobody.hs.example"}},
    ],
)
def test_a_name_that_leads_nowhere_is_not_offered(
    http: responses.RequestsMock, stored: Stored, body: Any
) -> None:
    named(http, body)
    assert codes(stored) == ["unreachable"]


@pytest.mark.parametrize(
    "typed",
    [
        "https://hs.example/_matrix",
        "https://hs.example/_matrix/client/v3/login?x=1#y",
        "https://hs.example/_synapse/admin/",
        "https://HS.example/.well-known/matrix/client",
    ],
)
def test_the_path_of_a_request_is_taken_off_an_address(
    http: responses.RequestsMock, stored: Stored, typed: str
) -> None:
    assert MatrixProvider().server_url({"home_server_url": typed}) == BASE_URL
    on(http, "/_matrix/client/versions", {"versions": ["v1.15"]})
    http.assert_all_requests_are_fired = False
    assert MatrixProvider().check(stored.context(typed), 10)[0].code == "reached"


def test_a_dead_session_is_told(http: responses.RequestsMock, stored: Stored) -> None:
    stored.save("access", None, base_url="https://new.example")
    stored.save("access", None)
    on(http, "/_matrix/client/versions", {"versions": ["v1.15"]})
    unknown = {"errcode": "M_UNKNOWN_TOKEN", "error": "x"}
    on(http, "/_matrix/client/v3/account/whoami", unknown, 401)
    assert last(stored) == ("sign_in_needed", "danger")


def test_tokens_for_another_server_are_not_sent(stored: Stored) -> None:
    found = MatrixProvider().check(stored.context("https://other.example"), 10)
    assert [one.code for one in found] == ["sign_in_needed"]
    with pytest.raises(SignInNeeded):
        MatrixProvider().backend(stored.context("https://other.example"))


def test_a_private_address_is_told(stored: Stored) -> None:
    stored.save("access", "refresh", base_url="http://10.0.0.1")
    found = MatrixProvider().check(stored.context("http://10.0.0.1"), 10)
    assert [one.code for one in found] == ["address_refused"]


@pytest.mark.local_server
def test_a_server_that_accepts_and_says_nothing_is_told_within_the_deadline(
    stored: Stored,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        stored.save("access", "refresh", base_url=url)
        found = MatrixProvider().check(stored.context(url), 0.3)
    assert [one.code for one in found] == ["unreachable"]
    assert "did not answer within" in found[0].message


def test_waiting_for_somebody_elses_refresh_ends_with_the_deadline(
    http: responses.RequestsMock, stored: Stored
) -> None:
    stored.save("a", "r", expires_at=now() - timedelta(seconds=5), lifetime_seconds=300)
    session = stored.tokens().read()
    assert session is not None
    assert stored.tokens().take_lease("other", session.generation, 60)
    on(http, "/_matrix/client/versions", {"versions": ["v1.15"]})
    found = MatrixProvider().check(stored.context(), 0.5)
    assert [one.code for one in found] == ["reached", "unreachable"]
    assert "in time" in found[1].message


def test_limits_are_lifted_for_the_acting_account(
    http: responses.RequestsMock, stored: Stored
) -> None:
    stored.save("access", "refresh", base_url=BASE_URL, user_id=BOT)
    http.add("POST", f"{BASE_URL}{ADMIN_PATH}/override_ratelimit", json={})
    MatrixProvider().lift_limits(stored.context())
    assert http.calls[0].request.body == b'{"messages_per_second": 0, "burst_count": 0}'


@pytest.mark.parametrize(
    ("status", "body", "answers"),
    [
        (200, {"user_id": BOT}, True),
        (401, {"errcode": "M_USER_LOCKED", "error": "x"}, True),
        (403, {"errcode": "M_FORBIDDEN", "error": "x"}, False),
        (429, {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 900}, True),
        (500, {"errcode": "M_UNKNOWN", "error": "x"}, False),
        (502, "not JSON of a homeserver", False),
    ],
)
def test_a_server_answers_if_it_says_anything_a_homeserver_says(
    http: responses.RequestsMock, stored: Stored, status: int, body: Any, answers: bool
) -> None:
    on(http, "/_matrix/client/v3/account/whoami", body, status)
    on(http, OWN_PATH, {"errcode": "M_FORBIDDEN", "error": "You are not a server admin"}, 403)
    http.assert_all_requests_are_fired = False
    assert MatrixProvider().answers(stored.context(), 5.0) is answers


@pytest.mark.parametrize("status", [403, 404, 502])
def test_a_server_whose_administration_api_is_away_does_not_answer(
    http: responses.RequestsMock, stored: Stored, status: int
) -> None:
    on(http, "/_matrix/client/v3/account/whoami", {"user_id": BOT})
    http.add("GET", BASE_URL + OWN_PATH, body="<html>", status=status)
    assert not MatrixProvider().answers(stored.context(), 5.0)


def test_a_server_that_cannot_be_connected_to_does_not_answer(
    http: responses.RequestsMock, stored: Stored
) -> None:
    http.add("GET", f"{BASE_URL}/_matrix/client/v3/account/whoami", body=ConnectionError("x"))
    assert not MatrixProvider().answers(stored.context(), 5.0)


def sign_in() -> Any:
    return MatrixProvider().sign_in(VALUES, NetworkPolicy(), "bot", Secret("word-of-pass"))


def test_signing_in_gives_a_pair(http: responses.RequestsMock) -> None:
    answer = {
        "user_id": BOT,
        "device_id": "D",
        "access_token": "a",
        "refresh_token": "r",
        "expires_in_ms": 300_000,
    }
    http.add("POST", BASE_URL + LOGIN, json=answer)
    done = sign_in()
    assert (done.user_id, done.device_id) == (BOT, "D")
    assert (done.pair.access, done.pair.refresh) == (Secret("a"), Secret("r"))
    assert done.pair.lifetime_seconds == 300
    assert b'"refresh_token": true' in http.calls[0].request.body
    assert "Authorization" not in http.calls[0].request.headers


@pytest.mark.parametrize(
    ("status", "errcode", "sentence"),
    [
        (403, "M_FORBIDDEN", "does not accept this user name and password"),
        (404, "M_UNRECOGNIZED", "no sign-in with a password"),
        (403, "M_USER_DEACTIVATED", "is deactivated"),
        (401, "M_USER_LOCKED", "has locked"),
    ],
)
def test_a_refused_sign_in_says_why_and_shows_no_password(
    http: responses.RequestsMock, status: int, errcode: str, sentence: str
) -> None:
    body = {"errcode": errcode, "error": "word-of-pass is wrong"}
    http.add("POST", BASE_URL + LOGIN, json=body, status=status)
    if status == 404:
        on(http, "/_matrix/client/versions", {"versions": ["v1.15"]})
    with pytest.raises((Refused, ProviderStopped), match=sentence) as caught:
        sign_in()
    assert "word-of-pass" not in repr(caught.value) + caught.value.message


def test_too_many_sign_ins_say_how_long_to_wait(http: responses.RequestsMock) -> None:
    body = {"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 322_000}
    http.add("POST", BASE_URL + LOGIN, json=body, status=429)
    with pytest.raises(RateLimited, match="322") as caught:
        sign_in()
    assert caught.value.retry_after_seconds == 322
