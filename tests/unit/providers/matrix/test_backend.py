"""What each of the homeserver's answers means for the work on a room."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from commweb.errors import ProviderError, Refused, RoomUnsettled, Unreachable
from commweb.providers.base import Backend
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.rooms import (
    Join,
    Picture,
    Remove,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from tests.stored_session import BASE_URL, Stored
from tests.unit.providers.matrix.conftest import (
    ADMIN,
    ANNA,
    BOT,
    CLIENT,
    KEY,
    ROOM,
    STATE,
    Http,
    R,
    limit,
)

NOT_IN_ROOM = {"errcode": "M_FORBIDDEN", "error": f"User {BOT} not in room !room"}


def join() -> Join:
    return Join("1", ANNA, "Anna")


def test_whose_session_it_is_is_asked_once_and_stored(http: Http, stored: Stored) -> None:
    stored.save("typed", "typed-too")
    http.on("GET", f"{CLIENT}/account/whoami", {"user_id": "@typed:name.example"})
    for _time in range(2):
        backend = MatrixProvider().backend(stored.context())
        assert backend.identify("anna", frozenset()) == "@anna:name.example"
        backend.close()
    assert len(http.asked) == 1


def test_nothing_is_sent_while_a_database_connection_is_checked_out(
    http: Http, stored: Stored
) -> None:
    def before_send() -> None:
        assert stored.checked_out() == 0

    http.refuse("GET", f"{ADMIN}/v1/rooms/{R}/state", 404, "M_NOT_FOUND")
    backend = MatrixProvider().backend(stored.context(before_send=before_send))
    backend.observe(ROOM)
    with stored.database.read(), pytest.raises(AssertionError):
        backend.observe(ROOM)
    backend.close()


# Observing


def test_a_room_that_is_not_there_is_none(http: Http, backend: Backend) -> None:
    http.refuse("GET", f"{ADMIN}/v1/rooms/{R}/state", 404, "M_NOT_FOUND")
    assert backend.observe(ROOM) is None


def test_a_room_nobody_is_in_any_more_is_none(http: Http, backend: Backend) -> None:
    events = [
        {"type": "m.room.create", "state_key": "", "sender": BOT, "content": {}},
        {"type": "m.room.member", "state_key": BOT, "content": {"membership": "leave"}},
    ]
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": events})
    http.on("GET", MEMBERS, {"members": [], "total": 0})
    assert backend.observe(ROOM) is None


MEMBERS = f"{ADMIN}/v1/rooms/{R}/members"
CREATE = {"type": "m.room.create", "state_key": "", "sender": BOT, "content": {}}
IN = {"type": "m.room.member", "state_key": BOT, "sender": BOT, "content": {"membership": "join"}}


@pytest.mark.parametrize("state", [[], [CREATE], [{"type": "m.room.name"}]])
@pytest.mark.parametrize(
    "members",
    [
        {"members": [BOT], "total": 1},
        {"members": [], "total": 3},
        {"members": [], "total": False},
        {"members": []},
        {"state": []},
        {},
    ],
)
def test_a_room_without_people_is_gone_only_if_the_list_of_members_says_so_too(
    http: Http, backend: Backend, state: list[Any], members: Any
) -> None:
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": state})
    http.on("GET", MEMBERS, members)
    with pytest.raises(Unreachable):
        backend.observe(ROOM)


def test_an_abandoned_room_has_neither_state_nor_members(http: Http, backend: Backend) -> None:
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": []})
    http.on("GET", MEMBERS, {"members": [], "total": 0})
    assert backend.observe(ROOM) is None


@pytest.mark.parametrize(
    "answer", [{}, {"state": {}}, {"state": None}, {"state": [IN]}, {"state": [CREATE, IN, 5]}]
)
def test_a_piece_of_a_rooms_state_is_no_room(http: Http, backend: Backend, answer: Any) -> None:
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", answer)
    with pytest.raises(Unreachable):
        backend.observe(ROOM)


def test_a_removal_with_another_answer_is_believed_if_the_person_is_out(
    http: Http, backend: Backend
) -> None:
    kick = f"{CLIENT}/rooms/{R}/kick"
    theirs = f"{STATE}/m.room.member/{quote(ANNA, safe='')}"
    http.on("POST", kick, {"status": "ok"})
    http.on("GET", theirs, {"membership": "join"})
    with pytest.raises(Unreachable):
        backend.remove(ROOM, Remove("anna", ANNA, "Anna"))
    http.on("POST", kick, {"status": "ok"})
    http.mock.replace("GET", BASE_URL + theirs, json={"membership": "leave"})
    backend.remove(ROOM, Remove("anna", ANNA, "Anna"))


@pytest.mark.parametrize("answer", [{}, {"membership": None}, {"status": "ok"}])
def test_a_membership_in_another_shape_is_not_read_as_being_out(
    http: Http, backend: Backend, answer: Any
) -> None:
    http.refuse("POST", f"{CLIENT}/rooms/{R}/kick", 403, "M_FORBIDDEN")
    http.on("GET", f"{STATE}/m.room.member/{quote(BOT, safe='')}", {"membership": "join"})
    http.on("GET", f"{STATE}/m.room.member/{quote(ANNA, safe='')}", answer)
    with pytest.raises(Unreachable):
        backend.remove(ROOM, Remove("anna", ANNA, "Anna"))


@pytest.mark.parametrize("answer", [{}, {"status": "ok"}, {"state": []}])
def test_levels_are_not_written_over_what_are_none(
    http: Http, backend: Backend, answer: Any
) -> None:
    http.on("GET", f"{STATE}/m.room.power_levels/", answer)
    with pytest.raises(Unreachable):
        backend.set_levels(ROOM, SetLevels({ANNA: 50}))
    assert len(http.asked) == 1


def test_a_fault_while_observing_is_not_read_as_gone(http: Http, backend: Backend) -> None:
    http.refuse("GET", f"{ADMIN}/v1/rooms/{R}/state", 502)
    with pytest.raises(Unreachable):
        backend.observe(ROOM)
    http.on("GET", f"{ADMIN}/v1/rooms/!other/state".replace("!", "%21"), {})
    with pytest.raises(Unreachable):
        backend.observe(RoomRef("42", "", KEY, "!other"))


# Members

JOIN = f"{ADMIN}/v1/join/{R}"


def standing(http: Http, *, own: str | None = "join", anna: str | None = None) -> None:
    """The memberships in the room; None: that account has none."""
    for name, membership in ((BOT, own), (ANNA, anna)):
        path = f"{STATE}/m.room.member/{quote(name, safe='')}"
        if membership is not None:
            http.mock.add("GET", BASE_URL + path, json={"membership": membership})
        elif name == BOT:
            http.refuse("GET", path, 403, "M_FORBIDDEN", NOT_IN_ROOM["error"])
        else:
            http.refuse("GET", path, 404, "M_NOT_FOUND")
    http.mock.assert_all_requests_are_fired = False


def test_somebody_already_in_the_room_is_done(http: Http, backend: Backend) -> None:
    http.refuse("POST", JOIN, 403, "M_FORBIDDEN", "in whatever words")
    standing(http, anna="join")
    backend.join(ROOM, join())
    assert len(http.asked) == 3


def test_somebody_invited_already_is_invited(http: Http, backend: Backend) -> None:
    http.refuse("POST", f"{CLIENT}/rooms/{R}/invite", 403, "M_FORBIDDEN", "in whatever words")
    standing(http, anna="invite")
    backend.join(ROOM, Join("1", ANNA, "Anna", by_invitation=True))


@pytest.mark.parametrize(
    ("status", "errcode", "error", "kind", "word"),
    [
        (404, "M_NOT_FOUND", "User not found", Refused, "no account"),
        (404, "M_UNKNOWN", "Can't join remote room because", RoomUnsettled, "not find the room"),
        (404, "M_UNRECOGNIZED", "Unrecognized request", Unreachable, "administration API"),
        (410, "M_NOT_FOUND", "Gone", Unreachable, "unexpected"),
    ],
)
def test_each_refusal_of_a_join_has_its_meaning(
    http: Http,
    backend: Backend,
    status: int,
    errcode: str,
    error: str,
    kind: type[ProviderError],
    word: str,
) -> None:
    http.refuse("POST", JOIN, status, errcode, error)
    with pytest.raises(kind, match=word) as caught:
        backend.join(ROOM, join())
    assert kind is Unreachable or caught.value.errcode == errcode


@pytest.mark.parametrize(
    ("own", "anna", "kind", "word"),
    [
        ("join", "ban", Refused, "banned"),
        ("join", "leave", Refused, "M_FORBIDDEN"),
        ("join", "invite", Refused, "M_FORBIDDEN"),
        ("join", None, Refused, "M_FORBIDDEN"),
        ("leave", "join", RoomUnsettled, "site's account"),
        ("ban", None, RoomUnsettled, "site's account"),
        (None, None, RoomUnsettled, "site's account"),
    ],
)
@pytest.mark.parametrize("status", [400, 403])
def test_the_memberships_tell_why_a_join_was_refused(
    http: Http,
    backend: Backend,
    status: int,
    own: str | None,
    anna: str | None,
    kind: type[ProviderError],
    word: str,
) -> None:
    http.refuse("POST", JOIN, status, "M_FORBIDDEN", f"{BOT} is banned and already in the room.")
    standing(http, own=own, anna=anna)
    with pytest.raises(kind, match=word) as caught:
        backend.join(ROOM, join())
    assert kind is RoomUnsettled or caught.value.errcode == "M_FORBIDDEN"


def test_somebody_of_another_server_is_invited(http: Http, backend: Backend) -> None:
    http.on("POST", f"{CLIENT}/rooms/{R}/invite", {})
    backend.join(ROOM, Join("1", "@anna:other.example", "Anna"))
    assert http.sent() == {"user_id": "@anna:other.example"}


KICK = f"{CLIENT}/rooms/{R}/kick"


def test_removing_is_a_kick(http: Http, backend: Backend) -> None:
    http.on("POST", KICK, {})
    backend.remove(ROOM, Remove("1", ANNA, "Anna"))
    assert http.sent()["user_id"] == ANNA


@pytest.mark.parametrize("anna", ["leave", "ban", None])
@pytest.mark.parametrize("errcode", ["M_FORBIDDEN", "M_BAD_STATE"])
def test_somebody_who_is_not_in_the_room_is_out_already(
    http: Http, backend: Backend, errcode: str, anna: str | None
) -> None:
    http.refuse("POST", KICK, 403, errcode, "in whatever words")
    standing(http, anna=anna)
    backend.remove(ROOM, Remove("1", ANNA, "Anna"))


@pytest.mark.parametrize("anna", ["join", "invite", "knock"])
@pytest.mark.parametrize("own", ["join", "leave", None])
def test_somebody_who_cannot_be_removed_says_why(
    http: Http, backend: Backend, anna: str, own: str | None
) -> None:
    http.refuse("POST", KICK, 403, "M_FORBIDDEN", "not in the room, in whatever words")
    standing(http, own=own, anna=anna)
    with pytest.raises(Refused if own == "join" else RoomUnsettled, match=r"power|site's"):
        backend.remove(ROOM, Remove("1", ANNA, "Anna"))


@pytest.mark.parametrize(
    ("action", "event"),
    [
        (SetName("New"), "m.room.name"),
        (SetTopic("New"), "m.room.topic"),
        (SetPicture(None), "m.room.avatar"),
    ],
)
def test_an_account_that_is_out_of_the_room_asks_for_another_look(
    http: Http, backend: Backend, action: Any, event: str
) -> None:
    http.on("PUT", f"{STATE}/{event}/", NOT_IN_ROOM, 403)
    standing(http, own=None)
    do = {SetName: backend.set_name, SetTopic: backend.set_topic, SetPicture: backend.set_picture}
    with pytest.raises(RoomUnsettled):
        do[type(action)](ROOM, action)


def test_a_refused_change_of_a_room_it_is_in_is_a_no(http: Http, backend: Backend) -> None:
    http.on("PUT", f"{STATE}/m.room.name/", NOT_IN_ROOM, 403)
    standing(http)
    with pytest.raises(Refused):
        backend.set_name(ROOM, SetName("New"))


# Details


def test_a_picture_is_uploaded_unless_it_was_before(http: Http, backend: Backend) -> None:
    picture = Picture("digest", "image/png", lambda: b"bytes")
    limit(http)
    http.on("POST", "/_matrix/media/v3/upload", {"content_uri": "mxc://hs/1"})
    http.on("PUT", f"{STATE}/m.room.avatar/", {"event_id": "$e"})
    assert backend.set_picture(ROOM, SetPicture(picture)) == "mxc://hs/1"
    assert http.sent() == {"url": "mxc://hs/1"}
    assert http.mock.calls[1].request.headers["Content-Type"] == "image/png"
    assert backend.set_picture(ROOM, SetPicture(picture, "mxc://hs/0")) == "mxc://hs/0"
    assert backend.set_picture(ROOM, SetPicture(None)) is None
    assert http.sent() == {}
    assert len(http.asked) == 5


@pytest.mark.parametrize("size", [100, 0])
def test_a_picture_that_is_too_large_is_told(http: Http, backend: Backend, size: int) -> None:
    limit(http, size)
    if size:
        http.refuse("POST", "/_matrix/media/v3/upload", 413, "M_TOO_LARGE")
    with pytest.raises(Refused, match="picture is larger"):
        backend.set_picture(ROOM, SetPicture(Picture("d", "image/png", lambda: b"x")))


def test_levels_are_read_changed_and_written_whole(http: Http, backend: Backend) -> None:
    content = {"users": {"@b:hs": 75}, "events": {"m.x": 100}}
    http.on("GET", f"{STATE}/m.room.power_levels/", content)
    http.on("PUT", f"{STATE}/m.room.power_levels/", {"event_id": "$e"})
    backend.set_levels(ROOM, SetLevels({ANNA: 50}))
    assert http.sent() == {"users": {"@b:hs": 75, ANNA: 50}, "events": {"m.x": 100}}


def test_a_list_of_levels_that_is_too_large_is_made_smaller(http: Http, backend: Backend) -> None:
    users = {f"@s{number}:hs.example": 10 for number in range(3)}
    http.on("GET", f"{STATE}/m.room.power_levels/", {"users": users})
    http.refuse("PUT", f"{STATE}/m.room.power_levels/", 413, "M_TOO_LARGE")
    http.on("PUT", f"{STATE}/m.room.power_levels/", {"event_id": "$e"})
    backend.set_levels(ROOM, SetLevels({ANNA: 50}))
    assert http.sent() == {"users": {ANNA: 50}, "users_default": 10}


@pytest.mark.parametrize("level", [10, 50])
def test_levels_that_never_fit_are_told(http: Http, backend: Backend, level: int) -> None:
    http.on("GET", f"{STATE}/m.room.power_levels/", {"users": {"@b:hs": level}})
    http.refuse("PUT", f"{STATE}/m.room.power_levels/", 413, "M_TOO_LARGE")
    with pytest.raises(Refused, match="over 64 KB") as caught:
        backend.set_levels(ROOM, SetLevels({ANNA: level}))
    assert (caught.value.status, caught.value.errcode) == (413, "M_TOO_LARGE")
    assert len(http.asked) == (3 if level == 10 else 2)


def test_levels_that_are_right_already_are_not_written(http: Http, backend: Backend) -> None:
    http.on("GET", f"{STATE}/m.room.power_levels/", {"users": {ANNA: 50}})
    backend.set_levels(ROOM, SetLevels({ANNA: 50}))
    assert len(http.asked) == 1
