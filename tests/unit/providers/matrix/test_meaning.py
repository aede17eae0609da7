"""What an answer means depends on the call, the status and the code, and on nothing else."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

from commweb.encryption import Secret
from commweb.errors import (
    ProviderError,
    ProviderStopped,
    RateLimited,
    RoomUnsettled,
    Unreachable,
    UserLimitReached,
)
from commweb.net import Reply
from commweb.providers.matrix import calls
from commweb.providers.matrix.calls import Call, every_call
from commweb.providers.matrix.meaning import Absent, MatrixRefused, error_of

GONE = [
    calls.USER,
    calls.ALIAS,
    calls.DELETE_ALIAS,
    calls.ROOM_STATE,
    calls.ROOM_MEMBERS,
    calls.ROOM_DETAILS,
    calls.STATE,
    calls.ADMIN_JOIN,
    calls.DELETE_ROOM,
    calls.DELETION,
    calls.DELETIONS,
    calls.DEVICES,
    calls.USER_OF_EXTERNAL_ID,
]
LIMIT = {"errcode": "M_RESOURCE_LIMIT_EXCEEDED", "limit_type": "monthly_active_user"}


def meant(call: Call, status: int, errcode: str | None, error: str = "x", **more: Any) -> Any:
    content = None if errcode is None else {"errcode": errcode, "error": error, **more}
    return error_of(call, Reply(status, {}, b""), content)


def named(call: Call) -> str:
    return f"{call.method} {call.path}"


@pytest.mark.parametrize("call", every_call(), ids=named)
def test_not_found_is_said_of_the_thing_by_the_calls_that_ask_for_one(call: Call) -> None:
    found = meant(call, 404, "M_NOT_FOUND")
    if call in (*GONE, calls.AUTH_METADATA):
        assert type(found) is Absent
    else:
        assert type(found) is Unreachable


@pytest.mark.parametrize("call", every_call(), ids=named)
@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 410, 418, 451])
@pytest.mark.parametrize("errcode", [None, "", "M_SOMETHING_NEW", "M_NOT_YET_UPLOADED"])
def test_an_answer_that_nobody_documents_is_about_the_path(
    call: Call, status: int, errcode: str | None
) -> None:
    assert type(meant(call, status, errcode)) is Unreachable


@pytest.mark.parametrize("call", every_call(), ids=named)
@pytest.mark.parametrize("status", [404, 405, 410])
@pytest.mark.parametrize("errcode", ["M_FORBIDDEN", "M_UNKNOWN", "M_BAD_STATE"])
def test_a_refusal_with_the_wrong_status_is_about_the_path(
    call: Call, status: int, errcode: str
) -> None:
    assert type(meant(call, status, errcode)) is Unreachable


@pytest.mark.parametrize(
    ("call", "status", "errcode", "error", "kind"),
    [
        (calls.ADMIN_JOIN, 403, "M_FORBIDDEN", "@a:hs is already in the room.", MatrixRefused),
        (calls.ADMIN_JOIN, 403, "M_BAD_STATE", "banned", MatrixRefused),
        (calls.ADMIN_JOIN, 400, "M_UNKNOWN", "only local users", MatrixRefused),
        (calls.ADMIN_JOIN, 404, "M_UNKNOWN", "Can't join remote room because", RoomUnsettled),
        (calls.ADMIN_JOIN, 404, "M_UNKNOWN", "something else", Unreachable),
        (calls.ADMIN_JOIN, 403, "M_FORBIDDEN", "You are not a server admin", ProviderStopped),
        (calls.JOIN, 404, "M_UNKNOWN", "Can't join remote room because", RoomUnsettled),
        (calls.KICK, 404, "M_UNKNOWN", "Not a known room", RoomUnsettled),
        (calls.LEAVE, 404, "M_UNKNOWN", "Not a known room", RoomUnsettled),
        (calls.INVITE, 403, "M_FORBIDDEN", "Unknown room", RoomUnsettled),
        (calls.INVITE, 403, "M_INVITE_BLOCKED", "x", MatrixRefused),
        (calls.PUT_USER, 403, "M_FORBIDDEN", "Accounts are made elsewhere", MatrixRefused),
        (calls.PUT_USER, 403, "M_FORBIDDEN", "You are not a server admin", ProviderStopped),
        (calls.PUT_USER, 400, "M_INVALID_USERNAME", "x", MatrixRefused),
        (calls.PUT_USER, 409, "M_UNKNOWN", "External id is already in use.", MatrixRefused),
        (calls.PUT_STATE, 413, "M_TOO_LARGE", "x", MatrixRefused),
        (calls.PUT_STATE, 413, None, "", Unreachable),
        (calls.UPLOAD, 413, None, "", MatrixRefused),
        (calls.ROOM_STATE, 403, "M_FORBIDDEN", "x", ProviderStopped),
        (calls.STATE, 403, "M_FORBIDDEN", "not in room", MatrixRefused),
        (calls.WHOAMI, 403, "M_FORBIDDEN", "x", Unreachable),
        (calls.WHOAMI, 401, "M_UNKNOWN_TOKEN", "x", MatrixRefused),
        (calls.WHOAMI, 401, "M_MISSING_TOKEN", "x", Unreachable),
        (calls.REFRESH, 401, "M_UNKNOWN_TOKEN", "x", MatrixRefused),
        (calls.REFRESH, 403, "M_FORBIDDEN", "x", MatrixRefused),
        (calls.REFRESH, 404, "M_UNRECOGNIZED", "x", Unreachable),
        (calls.REFRESH, 403, None, "", Unreachable),
        (calls.REFRESH, 401, None, "", Unreachable),
        (calls.AUTH_METADATA, 404, "M_UNRECOGNIZED", "x", Absent),
        (calls.CREATE_ROOM, 400, "M_ROOM_IN_USE", "x", MatrixRefused),
        (calls.CREATE_ROOM, 429, None, "", RateLimited),
        (calls.CREATE_ROOM, 403, "M_LIMIT_EXCEEDED", "x", RateLimited),
        (calls.DELETE_ROOM, 400, "M_UNKNOWN", "is running", MatrixRefused),
    ],
)
def test_each_answer_that_a_homeserver_gives_has_its_meaning(
    call: Call, status: int, errcode: str | None, error: str, kind: type[ProviderError]
) -> None:
    assert type(meant(call, status, errcode, error)) is kind


@pytest.mark.parametrize(
    ("path", "status", "errcode", "words"),
    [
        (calls.USER, 404, None, "administration API (/_synapse/admin) is not reachable"),
        (calls.USER, 200, None, "administration API (/_synapse/admin) is not reachable"),
        (calls.USER, 404, "M_UNRECOGNIZED", "administration API (/_synapse/admin)"),
        (calls.KICK, 404, "M_UNRECOGNIZED", "does not offer /_matrix/client at this address"),
        (calls.UPLOAD, 404, "M_UNRECOGNIZED", "does not offer /_matrix/media at this address"),
        (calls.KICK, 400, None, "it is not a Matrix homeserver (HTTP 400)"),
        (calls.KICK, 403, "M_NEW", "unexpected answer (HTTP 403, M_NEW)"),
        (calls.KICK, 403, "<b>x</b>", "unexpected answer (HTTP 403, M_UNKNOWN)"),
        (calls.KICK, 403, "syt_Ym90_aToken", "unexpected answer (HTTP 403, M_UNKNOWN)"),
        (calls.USER, 502, None, "fault (HTTP 502)"),
    ],
)
def test_the_likely_cause_is_named(
    path: Call, status: int, errcode: str | None, words: str
) -> None:
    assert words in meant(path, status, errcode).message


# The acting account and the whole server


@pytest.mark.parametrize("call", every_call(), ids=named)
@pytest.mark.parametrize(
    ("status", "errcode"),
    [
        (403, "M_USER_SUSPENDED"),
        (401, "M_USER_LOCKED"),
        (403, "M_USER_LOCKED"),
        (403, "M_USER_DEACTIVATED"),
        (403, "M_CONSENT_NOT_GIVEN"),
        (403, "ORG_MATRIX_EXPIRED_ACCOUNT"),
        (403, "M_RESOURCE_LIMIT_EXCEEDED"),
        (500, "M_RESOURCE_LIMIT_EXCEEDED"),
        (507, "M_UNKNOWN"),
        (507, None),
    ],
)
def test_what_concerns_everybody_stops_the_provider_whatever_was_asked(
    call: Call, status: int, errcode: str | None
) -> None:
    found = meant(call, status, errcode, "It is so.")
    assert type(found) is ProviderStopped
    assert found.status == status
    assert errcode is None or "It is so." in found.message


@pytest.mark.parametrize("call", every_call(), ids=named)
def test_the_limit_of_users_stops_only_new_people(call: Call) -> None:
    joins = (
        calls.PUT_USER,
        calls.CREATE_ROOM,
        calls.ADMIN_JOIN,
        calls.INVITE,
        calls.JOIN,
    )
    found = error_of(call, Reply(403, {}, b""), {**LIMIT, "admin_contact": "mailto:it@hs.example"})
    assert type(found) is (UserLimitReached if call in joins else ProviderStopped)
    assert "it@hs.example" in found.message


@pytest.mark.parametrize("limit_type", [None, 5, "hs_disabled"])
def test_another_limit_is_the_whole_servers(limit_type: object) -> None:
    content = {"errcode": "M_RESOURCE_LIMIT_EXCEEDED", "limit_type": limit_type}
    assert type(error_of(calls.ADMIN_JOIN, Reply(403, {}, b""), content)) is ProviderStopped


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("Agree at https://hs/c", "Agree at https://hs/c"),
        ("a\n\n b\tc", "“a b c”"),
        ("left\u202eright\u200b\x00\x1b[0m", "“leftright[0m”"),
        ("x" * 5000, "x" * 299 + "…"),
        ("\ud800lone", "“lone”"),
        ("use syt_Ym90_QWERTYuiop_1xYz now", "“use … now”"),
        (["a"], None),
        (None, None),
        ("", None),
    ],
)
def test_the_servers_sentence_is_plain_text_of_a_bounded_length(
    said: object, shown: str | None
) -> None:
    content = {"errcode": "M_USER_SUSPENDED", "error": said}
    message = error_of(calls.KICK, Reply(403, {}, b""), content).message
    assert len(message) < 500
    assert (shown or "The homeserver says") in message if shown else "says" not in message


@pytest.mark.parametrize(
    ("link", "shown"),
    [
        ("https://hs.example/_matrix/consent?u=bot&h=abc", True),
        ("http://hs.example/c", True),
        ("javascript:alert(1)", False),
        ("data:text/html,x", False),
        ("https://user:word@hs.example/", False),
        ("https://hs.example/ <b>", False),
        ('https://hs.example/"x', False),
        ("https:///x", False),
        ("https://[", False),
        ("//hs.example/c", False),
        ("https://hs.example/" + "x" * 600, False),
        (5, False),
        ({}, False),
    ],
)
def test_only_a_web_address_is_a_link(link: object, shown: bool) -> None:
    content = {"errcode": "M_CONSENT_NOT_GIVEN", "error": "Agree", "consent_uri": link}
    message = error_of(calls.KICK, Reply(403, {}, b""), content).message
    assert (f"Open {link}" in message) is shown


@pytest.mark.parametrize(
    ("contact", "shown"),
    [
        ("mailto:it@hs.example", "it@hs.example"),
        ("it@hs.example", "it@hs.example"),
        ("mailto:it@hs.example?subject=x", "it@hs.example"),
        ("https://hs.example/help", "https://hs.example/help"),
        ("javascript:it@hs.example", None),
        ("call me", None),
        ("<b>@hs.example", None),
        (7, None),
    ],
)
def test_a_contact_is_a_web_or_a_mail_address(contact: object, shown: str | None) -> None:
    content = {"errcode": "M_RESOURCE_LIMIT_EXCEEDED", "admin_contact": contact}
    message = error_of(calls.KICK, Reply(403, {}, b""), content).message
    if shown:
        assert message.endswith(f"Contact: {shown}")
    else:
        assert "Contact" not in message


@pytest.mark.parametrize("key", ["error", "consent_uri", "admin_contact"])
@pytest.mark.parametrize("form", ["https://hs.example/?{}", "https://hs.example/{}@x.y"])
def test_a_secret_that_was_sent_is_never_repeated(key: str, form: str) -> None:
    secret = Secret("my word/+")
    for written in ("my word/+", "my%20word%2F%2B"):
        content = {"errcode": "M_CONSENT_NOT_GIVEN", key: form.format(written)}
        found = error_of(calls.LOGIN, Reply(403, {}, b""), content, [secret])
        assert written not in found.message


def test_the_servers_sentence_of_a_refusal_is_neither_shown_nor_kept() -> None:
    found = meant(calls.KICK, 403, "M_FORBIDDEN", "in its own words")
    assert isinstance(found, MatrixRefused)
    assert found.server_text == "in its own words"
    assert "own words" not in found.message
    assert pickle.loads(pickle.dumps(found)).server_text == ""
