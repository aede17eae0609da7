"""Statuses and error codes become errors; tokens are replaced once; nothing leaks."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import responses

from commweb.encryption import Secret
from commweb.errors import (
    AddressRefused,
    ProviderStopped,
    RateLimited,
    SignInNeeded,
    Unreachable,
)
from commweb.models import now
from commweb.net import MAX_REPLY_BYTES, Door, NetworkPolicy, Reply
from commweb.providers.matrix import calls, public
from commweb.providers.matrix.calls import CREATE_ROOM, PUT_STATE
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.matrix.session import HomeserverSession
from commweb.providers.matrix.transport import MatrixRefused, Transport
from tests.stored_session import BASE_URL, Stored

PATH = "/_matrix/client/v3/account/whoami"
WHOAMI = {"user_id": "@bot:hs.example", "device_id": "D"}
UNKNOWN = {"errcode": "M_UNKNOWN_TOKEN", "error": "Token expired", "soft_logout": True}


@pytest.fixture
def http() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock() as mock:
        yield mock


@pytest.fixture
def transport() -> Iterator[Transport]:
    with Door(NetworkPolicy()) as door:
        yield Transport(door, BASE_URL)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    yield stored
    stored.close()


@pytest.fixture
def session(stored: Stored) -> Iterator[HomeserverSession]:
    stored.save("access-one", "refresh-one")
    session = HomeserverSession.open(stored.context())
    yield session
    session.close()


def answer(http: responses.RequestsMock, **kwargs: Any) -> None:
    http.add(responses.GET, BASE_URL + PATH, **kwargs)


@pytest.mark.parametrize("status", [200, 400, 403, 404, 405, 410])
@pytest.mark.parametrize("body", ["<html>Welcome</html>", "", "[]", '"x"', "{", "[" * 100_000])
def test_what_is_not_a_homeservers_answer_is_unreachable(
    http: responses.RequestsMock, transport: Transport, status: int, body: str
) -> None:
    answer(http, body=body, status=status)
    with pytest.raises(Unreachable, match="not a Matrix homeserver") as caught:
        transport.call("GET", PATH)
    assert caught.value.status == status


@pytest.mark.parametrize(
    ("body", "headers", "seconds"),
    [
        ({"retry_after_ms": 4651}, {}, 4.651),
        ({"retry_after_ms": 4651}, {"Retry-After": "5"}, 4.651),
        ({}, {"Retry-After": "322"}, 322.0),
        ({}, {"Retry-After": "tomorrow"}, 5.0),
        ({"retry_after_ms": "soon"}, {}, 5.0),
        ({"retry_after_ms": -5}, {}, 5.0),
        ({"retry_after_ms": 10**15}, {}, 86400.0),
        ({"retry_after_ms": 10**400}, {}, 86400.0),
        ({"retry_after_ms": True}, {}, 5.0),
        ({"retry_after_ms": -(10**400)}, {}, 5.0),
        ({"retry_after_ms": float("nan")}, {}, 5.0),
        ({"retry_after_ms": float("inf")}, {}, 5.0),
        ({"retry_after_ms": None}, {"Retry-After": "9" * 30}, 5.0),
    ],
)
def test_the_pause_asked_for_is_taken_exactly(
    http: responses.RequestsMock,
    transport: Transport,
    body: dict[str, Any],
    headers: dict[str, str],
    seconds: float,
) -> None:
    answer(http, json=body, headers=headers, status=429)
    with pytest.raises(RateLimited) as caught:
        transport.call("GET", PATH)
    assert caught.value.retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        ("https://new.example" + PATH, "to https://new.example: enter https://new.example instead"),
        ("https://new.example/hs" + PATH, "enter https://new.example/hs instead"),
        ("https://new.example/?secret=1", "enter https://new.example instead"),
        ("/relative", "answers with a redirect"),
        ("javascript:alert(1)", "answers with a redirect"),
        ("https://user:word@new.example/", "answers with a redirect"),
    ],
)
def test_a_redirect_says_what_to_enter(
    http: responses.RequestsMock, transport: Transport, location: str, sentence: str
) -> None:
    answer(http, status=301, headers={"Location": location})
    with pytest.raises(Unreachable) as caught:
        transport.call("GET", PATH, token=Secret("t"))
    assert sentence in caught.value.message
    assert "word" not in caught.value.message
    assert "secret" not in caught.value.message


def test_the_servers_own_sentence_is_kept_aside_and_never_shown(
    http: responses.RequestsMock, transport: Transport
) -> None:
    token = "-".join(("access", "one"))  # not as such in a line that a traceback shows
    path = CREATE_ROOM.path
    body = {"errcode": "M_FORBIDDEN", "error": f"{token} is bad"}
    http.add(responses.POST, BASE_URL + path, json=body, status=403)
    with pytest.raises(MatrixRefused) as caught:
        transport.call("POST", path, body={}, token=Secret(token))
    assert caught.value.server_text == f"{token} is bad"
    shown = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert token not in shown


def test_ids_in_a_path_are_encoded_whole() -> None:
    path = PUT_STATE.path_with("!a/b:hs", "m.room.member", "@x/y:hs")
    assert path.endswith("/rooms/%21a%2Fb%3Ahs/state/m.room.member/%40x%2Fy%3Ahs")


def test_a_transport_with_its_time_over_sends_nothing() -> None:
    with Door(NetworkPolicy()) as door:
        transport = Transport(door, BASE_URL, seconds=0)
        with pytest.raises(Unreachable, match="in time"):
            transport.call("GET", PATH)


def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    with Door(NetworkPolicy()) as door, pytest.raises(AddressRefused):
        Transport(door, "http://10.0.0.1").call("GET", PATH, token=Secret("t"))


def test_a_rejected_token_is_refreshed_and_the_request_repeated_once(
    http: responses.RequestsMock, session: HomeserverSession
) -> None:
    answer(http, json=UNKNOWN, status=401)
    pair = {"access_token": "access-two", "refresh_token": "refresh-two", "expires_in_ms": 300000}
    http.add(responses.POST, BASE_URL + "/_matrix/client/v3/refresh", json=pair)
    answer(http, json=WHOAMI)
    assert session.client.whoami().server_name == "hs.example"
    headers = [call.request.headers.get("Authorization") for call in http.calls]
    assert headers == ["Bearer access-one", None, "Bearer access-two"]


@pytest.mark.parametrize("soft_logout", [True, False, None])
def test_a_refresh_is_tried_whatever_the_server_says_of_soft_logout(
    http: responses.RequestsMock, session: HomeserverSession, soft_logout: bool | None
) -> None:
    answer(http, json={**UNKNOWN, "soft_logout": soft_logout}, status=401)
    http.add(
        responses.POST,
        BASE_URL + "/_matrix/client/v3/refresh",
        json={"access_token": "access-two", "refresh_token": "refresh-two"},
    )
    answer(http, json=WHOAMI)
    assert session.client.whoami().user_id == "@bot:hs.example"


def test_a_token_rejected_right_after_a_refresh_is_not_tried_for_ever(
    http: responses.RequestsMock, session: HomeserverSession
) -> None:
    answer(http, json=UNKNOWN, status=401)
    http.add(
        responses.POST,
        BASE_URL + "/_matrix/client/v3/refresh",
        json={"access_token": "access-two", "refresh_token": "refresh-two"},
    )
    answer(http, json=UNKNOWN, status=401)
    with pytest.raises(Unreachable):
        session.client.whoami()
    assert len(http.calls) == 3


def test_a_dead_session_is_marked_and_shows_no_token(
    http: responses.RequestsMock, session: HomeserverSession, stored: Stored
) -> None:
    answer(http, json=UNKNOWN, status=401)
    http.add(responses.POST, BASE_URL + "/_matrix/client/v3/refresh", json=UNKNOWN, status=401)
    with pytest.raises(SignInNeeded) as caught:
        session.client.whoami()
    shown = "".join(traceback.format_exception(caught.value))
    assert "access-one" not in shown
    assert "refresh-one" not in shown
    kept = stored.tokens().read()
    assert kept is not None
    assert kept.state == "sign_in_needed"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"errcode": "M_NOT_FOUND", "error": "x"}),
        (404, {"errcode": "M_UNRECOGNIZED", "error": "x"}),
        (401, {}),
        (403, {}),
        (403, {"errcode": "M_SOMETHING_NEW", "error": "x"}),
        (400, {"errcode": "M_FORBIDDEN_NOT", "error": "x"}),
        (410, {"errcode": "M_FORBIDDEN", "error": "x"}),
        (502, {"errcode": "M_UNKNOWN_TOKEN", "error": "x"}),
    ],
)
def test_an_odd_answer_to_a_refresh_ends_nothing_and_is_no_answer_to_what_was_asked(
    http: responses.RequestsMock, stored: Stored, status: int, body: dict[str, str]
) -> None:
    stored.save("access-one", "refresh-one")
    session = HomeserverSession.open(stored.context(), seconds=0.3)
    state = calls.ROOM_STATE.path_with("!room")
    http.add(responses.GET, BASE_URL + state, json=UNKNOWN, status=401)
    http.add(responses.POST, BASE_URL + calls.REFRESH.path, json=body, status=status)
    with pytest.raises(Unreachable):
        session.client.room_state("!room")
    session.close()
    kept = stored.tokens().read()
    assert kept is not None
    assert (kept.state, kept.pair.refresh) == ("ok", Secret("refresh-one"))


def test_a_locked_account_does_not_end_the_session(
    http: responses.RequestsMock, stored: Stored
) -> None:
    stored.save("access-one", "refresh-one")
    session = HomeserverSession.open(stored.context(), seconds=0.3)
    answer(http, json=UNKNOWN, status=401)
    locked = {"errcode": "M_USER_LOCKED", "error": "Locked"}
    http.add(responses.POST, BASE_URL + calls.REFRESH.path, json=locked, status=401)
    with pytest.raises(ProviderStopped):
        session.client.whoami()
    session.close()
    kept = stored.tokens().read()
    assert kept is not None
    assert kept.state == "ok"


def test_a_limit_that_was_met_is_stored_for_everybody(
    http: responses.RequestsMock, session: HomeserverSession, stored: Stored
) -> None:
    answer(http, json={"errcode": "M_LIMIT_EXCEEDED", "retry_after_ms": 60_000}, status=429)
    with pytest.raises(RateLimited):
        session.client.whoami()
    kept = stored.tokens().read()
    assert kept is not None
    assert kept.blocked_until is not None
    assert now() < kept.blocked_until <= now() + timedelta(seconds=60)


def test_a_login_without_an_expiry_gives_a_token_without_an_expiry(
    http: responses.RequestsMock, transport: Transport
) -> None:
    http.add(
        responses.POST,
        BASE_URL + "/_matrix/client/v3/login",
        json={"user_id": "@bot:hs.example", "device_id": "D", "access_token": "a"},
    )
    done = public.login(transport, "bot", Secret("word"))
    assert (done.pair.refresh, done.pair.expires_at) == (None, None)
    assert (done.user_id, done.device_id) == ("@bot:hs.example", "D")


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (300_000, 300),
        (10**400, 10 * 365 * 86400),
        (-1, None),
        (-(10**400), None),
        (True, None),
        (float("nan"), None),
        (float("inf"), None),
        ("soon", None),
        ([], None),
    ],
)
def test_an_absurd_lifetime_is_no_fault(
    http: responses.RequestsMock, transport: Transport, written: Any, seconds: int | None
) -> None:
    pair = {"access_token": "a", "refresh_token": "r", "expires_in_ms": written}
    http.add(responses.POST, BASE_URL + "/_matrix/client/v3/refresh", json=pair)
    assert public.refresh(transport, Secret("r"), 5).lifetime_seconds == seconds


@pytest.mark.parametrize("body", [{}, {"access_token": ""}, {"access_token": 5}])
def test_an_incomplete_refresh_is_unreachable(
    http: responses.RequestsMock, transport: Transport, body: dict[str, Any]
) -> None:
    http.add(responses.POST, BASE_URL + "/_matrix/client/v3/refresh", json=body)
    with pytest.raises(Unreachable):
        public.refresh(transport, Secret("r"), 5)


def test_an_idle_session_of_unknown_life_is_refreshed_once_its_token_is_over(
    http: responses.RequestsMock, stored: Stored
) -> None:
    stored.save("access-one", "refresh-one")
    answer(http, json=WHOAMI)
    MatrixProvider().keep_alive(stored.context(), 5.0)
    assert [call.request.url for call in http.calls] == [BASE_URL + PATH]
    http.replace(responses.GET, BASE_URL + PATH, json=UNKNOWN, status=401)
    pair = {"access_token": "access-two", "refresh_token": "refresh-two", "expires_in_ms": 300000}
    http.add(responses.POST, BASE_URL + "/_matrix/client/v3/refresh", json=pair)
    with pytest.raises(Unreachable):  # this double goes on refusing
        MatrixProvider().keep_alive(stored.context(), 5.0)
    kept = stored.tokens().read()
    assert kept is not None
    assert kept.pair.access == Secret("access-two")
    assert kept.pair.expires_at is not None


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/_synapse/admin/v1/rooms/%21a/state", 512 * 1024 * 1024),
        ("/_synapse/admin/v1/rooms/%21a", MAX_REPLY_BYTES),
        (PATH, MAX_REPLY_BYTES),
    ],
)
def test_the_state_of_a_room_may_be_larger_than_any_other_answer(path: str, most: int) -> None:
    """Tens of thousands of former members are some hundred bytes each."""
    asked: list[int] = []

    class Large(Door):
        def send(self, *_what: Any, max_bytes: int = 0, **_how: Any) -> Reply:
            asked.append(max_bytes)
            return Reply(200, {}, b"{}")

    with Large(NetworkPolicy()) as door:
        Transport(door, BASE_URL).call("GET", path)
    assert asked == [most]
