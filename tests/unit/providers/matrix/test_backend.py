"""What each of the homeserver's answers means for the work on a room."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest

from commweb.errors import ProviderError, Refused, RoomGone, RoomUnsettled, Unreachable
from commweb.providers.base import Backend
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.rooms import (
    CreateRoom,
    DeleteRoom,
    FoundRoom,
    Join,
    OwnRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from tests.stored_session import BASE_URL, Stored
from tests.unit.providers.matrix.conftest import BOT, Http

ANNA = "@anna:hs.example"
KEY = "00112233445566778899aabbccddeeff"
ROOM = RoomRef("42", "", KEY, "!room")
NEW = RoomRef("42", "", KEY, None)
R = quote("!room", safe="")
ALIAS = "/_matrix/client/v3/directory/room/" + quote("#algebra-aaisem2e:hs.example", safe="")
ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
STATE = f"{CLIENT}/rooms/{R}/state"
USER = f"{ADMIN}/v2/users/{quote(ANNA, safe='')}"
NOT_IN_ROOM = {"errcode": "M_FORBIDDEN", "error": f"User {BOT} not in room !room"}


@pytest.fixture
def backend(stored: Stored) -> Iterator[Backend]:
    backend = MatrixProvider().backend(stored.context())
    yield backend
    backend.close()


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

    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": []})
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
    assert backend.observe(ROOM) is None


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
        ("leave", "join", RoomUnsettled, "acting account"),
        ("ban", None, RoomUnsettled, "acting account"),
        (None, None, RoomUnsettled, "acting account"),
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
    with pytest.raises(Refused if own == "join" else RoomUnsettled, match=r"power|acting"):
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


def limit(http: Http, size: int = 100) -> None:
    http.on("GET", "/_matrix/client/v1/media/config", {"m.upload.size": size})


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


# The acting account

ROOM_STATE = f"{ADMIN}/v1/rooms/{R}/state"
TAKE = f"{ADMIN}/v1/rooms/{R}/make_room_admin"
ENTER = f"{CLIENT}/rooms/{R}/join"


def old_room(
    http: Http, own: str | None, *, by: str = BOT, creator: str = BOT, level: int = 50
) -> None:
    """A room of version 10 in which the acting account is so, and somebody else is in."""
    seen = [
        ("m.room.create", "", creator, {"room_version": "10"}),
        ("m.room.power_levels", "", creator, {"users": {BOT: level, "@prof:hs.example": 100}}),
        ("m.room.member", "@prof:hs.example", "@prof:hs.example", {"membership": "join"}),
    ]
    if own is not None:
        seen.append(("m.room.member", BOT, by, {"membership": own}))
    keys = ("type", "state_key", "sender", "content")
    http.on("GET", ROOM_STATE, {"state": [dict(zip(keys, one, strict=True)) for one in seen]})


@pytest.mark.parametrize("creator", [BOT, "@prof:hs.example"])
def test_a_banned_account_is_told_and_nothing_is_done(
    http: Http, backend: Backend, creator: str
) -> None:
    old_room(http, "ban", by="@prof:hs.example", creator=creator)
    with pytest.raises(Refused, match=r"@prof:hs\.example banned") as caught:
        backend.repair_power(ROOM, RepairPower())
    assert caught.value.errcode == "COMMWEB_BANNED"
    assert http.asked == [f"GET {ROOM_STATE}"]


@pytest.mark.parametrize("own", ["leave", "knock", None, "join"])
def test_a_room_that_somebody_else_created_is_not_taken(
    http: Http, backend: Backend, own: str | None
) -> None:
    old_room(http, own, creator="@prof:hs.example", level=0)
    with pytest.raises(Refused, match="raise it" if own == "join" else f"invite {BOT} again"):
        backend.repair_power(ROOM, RepairPower())
    assert http.asked == [f"GET {ROOM_STATE}"]


@pytest.mark.parametrize("own", ["leave", "invite", None, "join"])
def test_power_in_its_own_room_is_taken_back(http: Http, backend: Backend, own: str | None) -> None:
    old_room(http, own, level=0)
    http.on("POST", TAKE, {})
    http.on("POST", ENTER, {"room_id": "!room"})
    backend.repair_power(ROOM, RepairPower())
    assert http.asked == [f"GET {ROOM_STATE}", f"POST {TAKE}", f"POST {ENTER}"]


def test_power_that_is_there_is_left_alone(http: Http, backend: Backend) -> None:
    old_room(http, "join", level=100)
    backend.repair_power(ROOM, RepairPower())
    assert len(http.asked) == 1


def test_an_invitation_into_a_room_of_somebody_else_is_accepted_without_taking_power(
    http: Http, backend: Backend
) -> None:
    old_room(http, "invite", creator="@prof:hs.example")
    http.on("POST", ENTER, {"room_id": "!room"})
    backend.repair_power(ROOM, RepairPower())
    assert f"POST {TAKE}" not in http.asked


def test_lost_power_that_nobody_can_give_back_is_told(http: Http, backend: Backend) -> None:
    old_room(http, "leave")
    http.refuse("POST", TAKE, 400)
    http.refuse("POST", ENTER, 403, "M_FORBIDDEN")
    with pytest.raises(Refused, match=f"invite {BOT} again"):
        backend.repair_power(ROOM, RepairPower())


def test_power_in_a_room_that_is_gone_is_not_asked_for(http: Http, backend: Backend) -> None:
    http.refuse("GET", ROOM_STATE, 404, "M_NOT_FOUND")
    with pytest.raises(RoomGone):
        backend.repair_power(ROOM, RepairPower())
    with pytest.raises(RoomGone):
        backend.accept_invitation(ROOM)


@pytest.mark.parametrize(
    ("own", "joins"), [("invite", True), ("leave", False), ("ban", False), (None, False)]
)
def test_only_an_invitation_is_accepted(
    http: Http, backend: Backend, own: str | None, joins: bool
) -> None:
    old_room(http, own)
    if joins:
        http.on("POST", ENTER, {"room_id": "!room"})
        backend.accept_invitation(ROOM)
    else:
        with pytest.raises(Refused, match="not invited"):
            backend.accept_invitation(ROOM)
    assert (f"POST {ENTER}" in http.asked) is joins


@pytest.mark.parametrize("own", ["leave", "ban", None, "join"])
def test_leaving_is_done_when_it_is_out(http: Http, backend: Backend, own: str | None) -> None:
    http.refuse("POST", f"{CLIENT}/rooms/{R}/leave", 403, "M_FORBIDDEN")
    old_room(http, own)
    if own == "join":
        with pytest.raises(Refused):
            backend.leave(ROOM)
    else:
        backend.leave(ROOM)


# The list of rooms

LIST = f"{ADMIN}/v1/rooms?from={{}}&limit=500"


def page(http: Http, start: int, ids: list[str], next_batch: Any, creator: str = BOT) -> None:
    rooms = [{"room_id": one, "name": one, "creator": creator, "joined_members": 3} for one in ids]
    http.on("GET", LIST.format(start), {"rooms": rooms, "next_batch": next_batch})


def first_event(http: Http, room_id: str, content: dict[str, Any], sender: str = BOT) -> None:
    path = f"{ADMIN}/v1/rooms/{quote(room_id, safe='')}/state?type=m.room.create"
    event = {"type": "m.room.create", "state_key": "", "sender": sender, "content": content}
    http.on("GET", path, {"state": [event]})
    own = f"{CLIENT}/rooms/{quote(room_id, safe='')}/state/m.room.member/{quote(BOT, safe='')}"
    http.on("GET", own, {"membership": "join"})
    http.mock.assert_all_requests_are_fired = False


def test_its_own_rooms_are_read_page_by_page(http: Http, backend: Backend) -> None:
    page(http, 0, ["!a", "!known", "!dm"], 3)
    page(http, 3, ["!theirs"], 4, creator="@eve:hs.example")
    page(http, 4, ["!b"], None)
    content = {"org.commweb.creation_key": KEY, "org.commweb.origin": {"course": "42"}}
    first_event(http, "!a", content)
    first_event(http, "!b", content, sender="@eve:hs.example")
    first_event(http, "!dm", {})
    found = list(backend.own_rooms(frozenset({"!known"})))
    assert found == [OwnRoom("!a", "!a", KEY, {"course": "42"}, 2)]
    assert not any("known" in asked or "theirs" in asked for asked in http.asked)


def test_each_of_its_own_rooms_is_asked_for_as_it_is_read(http: Http, backend: Backend) -> None:
    page(http, 0, ["!a", "!b"], None)
    for room_id in ("!a", "!b"):
        first_event(http, room_id, {"org.commweb.creation_key": KEY})
    rooms = iter(backend.own_rooms())
    assert next(rooms).remote_id == "!a"
    assert len(http.asked) == 3


@pytest.mark.parametrize("next_batch", [0, -5, True, "1", None, {}, 1.5])
def test_a_list_that_goes_in_circles_ends(http: Http, backend: Backend, next_batch: Any) -> None:
    page(http, 0, ["!a"], next_batch)
    first_event(http, "!a", {"org.commweb.creation_key": KEY})
    assert [one.remote_id for one in backend.own_rooms()] == ["!a"]


def test_a_list_that_repeats_itself_for_ever_ends(http: Http, backend: Backend) -> None:
    for start in range(4):
        page(http, start, ["!a"], start + 1)
    first_event(http, "!a", {"org.commweb.creation_key": KEY})
    assert [one.remote_id for one in backend.own_rooms()] == ["!a"]
    assert sum("limit=500" in asked for asked in http.asked) == 2


@pytest.mark.parametrize("rooms", [None, {}, "x", [5, None, {}, {"room_id": 5, "creator": BOT}]])
def test_a_list_of_nothing_is_empty(http: Http, backend: Backend, rooms: Any) -> None:
    http.on("GET", LIST.format(0), {"rooms": rooms, "next_batch": 500})
    assert list(backend.own_rooms()) == []


# Deleting

DELETE = f"{ADMIN}/v2/rooms/{R}"
ORIGIN = {"course": "42", "group": ""}


def made_for(
    http: Http, *, sender: str = BOT, key: Any = KEY, origin: Any = None, complete: bool = True
) -> None:
    """What the room's first event says."""
    state = events(sender=sender, key=key, complete=complete, age=10**6)
    state[0]["content"]["org.commweb.origin"] = ORIGIN if origin is None else origin
    http.on("GET", ROOM_STATE, {"state": state})


@pytest.mark.parametrize(
    "strange",
    [
        {"sender": "@eve:hs.example"},
        {"key": None},
        {"key": 5},
        {"key": "another key", "origin": {"course": "43", "group": ""}},
        {"key": "another key", "origin": {"course": 42}},
    ],
    ids=str,
)
@pytest.mark.parametrize("slug", ["", "algebra"])
def test_a_room_that_is_not_ours_for_this_course_is_never_deleted(
    http: Http, backend: Backend, strange: dict[str, Any], slug: str
) -> None:
    made_for(http, **strange)
    with pytest.raises(Refused, match="did not create") as caught:
        backend.delete(ROOM, DeleteRoom(slug=slug))
    assert caught.value.errcode == "COMMWEB_NOT_OURS"
    assert all(asked.startswith("GET") for asked in http.asked)


@pytest.mark.parametrize("ours", [{"key": "a later one"}, {"origin": {"course": "43"}}], ids=str)
def test_a_room_of_ours_is_known_by_its_key_or_its_course(
    http: Http, backend: Backend, ours: dict[str, Any]
) -> None:
    made_for(http, **ours)
    http.on("DELETE", DELETE, {"delete_id": "d1"})
    assert backend.delete(ROOM, DeleteRoom()) == "d1"


def test_a_room_that_is_gone_is_not_deleted_again(http: Http, backend: Backend) -> None:
    http.refuse("GET", ROOM_STATE, 404, "M_NOT_FOUND")
    assert backend.delete(ROOM, DeleteRoom()) is None


def test_a_half_made_room_that_got_complete_stays(http: Http, backend: Backend) -> None:
    made_for(http)
    with pytest.raises(RoomUnsettled):
        backend.delete(ROOM, DeleteRoom(slug="algebra"))
    assert all(asked.startswith("GET") for asked in http.asked)


@pytest.mark.parametrize(("creator", "goes"), [(BOT, True), ("@eve:hs.example", False)])
def test_of_a_room_without_events_the_list_of_rooms_knows_the_creator(
    http: Http, backend: Backend, creator: str, goes: bool
) -> None:
    http.on("GET", ROOM_STATE, {"state": []})
    http.on("GET", f"{ADMIN}/v1/rooms/{R}", {"room_id": "!room", "creator": creator})
    if goes:
        http.refuse("GET", ALIAS, 404, "M_NOT_FOUND")
        http.on("DELETE", DELETE, {"delete_id": "d1"})
        assert backend.delete(ROOM, DeleteRoom(slug="algebra")) == "d1"
    else:
        with pytest.raises(Refused):
            backend.delete(ROOM, DeleteRoom(slug="algebra"))


def status_of(delete_id: str) -> str:
    return f"{ADMIN}/v2/rooms/delete_status/{delete_id}"


def test_a_deletion_is_asked_for_and_then_looked_at(http: Http, backend: Backend) -> None:
    made_for(http)
    http.on("DELETE", DELETE, {"delete_id": "d1"})
    assert backend.delete(ROOM, DeleteRoom()) == "d1"
    assert http.sent() == {"purge": True, "block": False}
    for status, expected in (("scheduled", "d1"), ("active", "d1"), ("complete", None)):
        http.on("GET", status_of("d1"), {"status": status})
        assert backend.delete(ROOM, DeleteRoom("d1")) == expected


def test_a_deletion_that_failed_or_was_forgotten_is_asked_for_again(
    http: Http, backend: Backend
) -> None:
    http.on("GET", status_of("d1"), {"status": "failed"})
    http.refuse("GET", status_of("d2"), 404, "M_NOT_FOUND")
    made_for(http)
    http.on("DELETE", DELETE, {"delete_id": "d3"})
    assert backend.delete(ROOM, DeleteRoom("d1")) == "d3"
    assert backend.delete(ROOM, DeleteRoom("d2")) == "d3"


def test_a_deletion_that_runs_already_is_found(http: Http, backend: Backend) -> None:
    made_for(http)
    http.refuse("DELETE", DELETE, 400, "M_UNKNOWN", "Purge already in progress")
    results = [{"delete_id": "d0", "status": "failed"}, {"delete_id": "d1", "status": "active"}]
    http.on("GET", f"{ADMIN}/v2/rooms/{R}/delete_status", {"results": results})
    assert backend.delete(ROOM, DeleteRoom()) == "d1"


# Creating


def create(picture: Picture | None = None) -> CreateRoom:
    origin = {"instance": "default", "course": "42", "group": ""}
    return CreateRoom("Algebra", "", "algebra", KEY, None, {}, picture, origin)


def events(*, sender: str = BOT, key: str = KEY, complete: bool, age: int) -> list[dict[str, Any]]:
    found = [
        {
            "type": "m.room.create",
            "state_key": "",
            "sender": sender,
            "unsigned": {"age": age},
            "content": {"room_version": "12", "org.commweb.creation_key": key},
        }
    ]
    for kind, name, content in (
        ("m.room.member", BOT, {"membership": "join"}),
        ("m.room.power_levels", "", {}),
        ("m.room.join_rules", "", {"join_rule": "invite"}),
    ):
        if complete:
            found.append({"type": kind, "state_key": name, "sender": sender, "content": content})
    return found


def capable(http: Http) -> None:
    http.on(
        "GET", f"{CLIENT}/capabilities", {"capabilities": {"m.room_versions": {"default": "12"}}}
    )


def found_room(http: Http, state: list[dict[str, Any]]) -> None:
    http.on("GET", ALIAS, {"room_id": "!room"})
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": state})


def test_a_first_try_creates_at_once(http: Http, backend: Backend) -> None:
    capable(http)
    http.on("POST", f"{CLIENT}/createRoom", {"room_id": "!room"})
    assert backend.create(NEW, create()) == "!room"
    assert http.sent()["room_alias_name"] == "algebra-aaisem2e"
    assert len(http.asked) == 2


def find(backend: Backend, started: float | None = None) -> FoundRoom | None:
    return backend.find(NEW, "algebra", time.time() if started is None else started)


def test_a_room_that_an_interrupted_try_made_is_found(http: Http, backend: Backend) -> None:
    found_room(http, events(complete=True, age=10))
    assert find(backend) == FoundRoom("!room", complete=True)


def test_nothing_is_found_where_nothing_was_made(http: Http, backend: Backend) -> None:
    http.refuse("GET", ALIAS, 404, "M_NOT_FOUND")
    assert find(backend) is None


@pytest.mark.parametrize(("status", "errcode"), [(400, "M_ROOM_IN_USE"), (409, "M_UNKNOWN")])
def test_a_room_that_was_made_meanwhile_is_adopted(
    http: Http, backend: Backend, status: int, errcode: str
) -> None:
    capable(http)
    http.refuse("POST", f"{CLIENT}/createRoom", status, errcode)
    found_room(http, events(complete=True, age=10))
    assert backend.create(NEW, create()) == "!room"


@pytest.mark.parametrize(
    ("sender", "key"),
    [("@eve:hs.example", KEY), (BOT, "another key"), ("@eve:hs.example", "another key")],
)
def test_somebody_elses_room_is_never_touched(
    http: Http, backend: Backend, sender: str, key: str
) -> None:
    found_room(http, events(sender=sender, key=key, complete=True, age=10**9))
    with pytest.raises(Refused) as caught:
        find(backend, 1.0)
    assert caught.value.errcode == "COMMWEB_ALIAS_TAKEN"
    assert all(asked.startswith("GET") for asked in http.asked)


def test_a_young_half_made_room_is_waited_for(http: Http, backend: Backend) -> None:
    found_room(http, events(complete=False, age=20_000))
    with pytest.raises(RoomUnsettled) as caught:
        find(backend)
    assert caught.value.retry_after_seconds == pytest.approx(41)


def test_an_old_half_made_room_is_found_as_it_is(http: Http, backend: Backend) -> None:
    found_room(http, events(complete=False, age=61_000))
    assert find(backend) == FoundRoom("!room", complete=False)
    assert all(asked.startswith("GET") for asked in http.asked)


def test_the_alias_of_a_half_made_room_goes_before_the_room(http: Http, backend: Backend) -> None:
    found_room(http, events(complete=False, age=61_000))
    http.on("DELETE", ALIAS, {})
    http.on("DELETE", DELETE, {"delete_id": "d"})
    assert backend.delete(ROOM, DeleteRoom(slug="algebra")) == "d"
    assert [asked for asked in http.asked if asked.startswith("DELETE")] == [
        f"DELETE {ALIAS}",
        f"DELETE {DELETE}",
    ]


def test_an_alias_that_names_another_room_by_now_is_left_alone(
    http: Http, backend: Backend
) -> None:
    http.on("GET", ROOM_STATE, {"state": events(complete=False, age=61_000)})
    http.on("GET", ALIAS, {"room_id": "!another"})
    http.on("DELETE", DELETE, {"delete_id": "d"})
    assert backend.delete(ROOM, DeleteRoom(slug="algebra")) == "d"
    assert f"DELETE {ALIAS}" not in http.asked


def test_a_complete_room_stays_complete_without_us(http: Http, backend: Backend) -> None:
    state = events(complete=True, age=10**9)
    for event in state:
        if event["type"] == "m.room.member":
            event["content"] = {"membership": "leave"}
    found_room(http, state)
    assert find(backend, 1.0) == FoundRoom("!room", complete=True)


def test_an_alias_of_no_room_is_in_our_way(http: Http, backend: Backend) -> None:
    http.on("GET", ALIAS, {"room_id": "!room"})
    http.refuse("GET", ROOM_STATE, 404, "M_NOT_FOUND")
    http.refuse("GET", f"{ADMIN}/v1/rooms/{R}", 404, "M_NOT_FOUND")
    with pytest.raises(RoomUnsettled):
        find(backend)
    assert find(backend, 1.0) == FoundRoom("!room", complete=False)
    http.on("DELETE", ALIAS, {})
    assert backend.delete(ROOM, DeleteRoom(slug="algebra")) is None
    assert http.asked[-1] == f"DELETE {ALIAS}"


@pytest.mark.parametrize("creator", [None, 5, ""])
def test_a_list_that_does_not_say_the_creator_decides_nothing(
    http: Http, backend: Backend, creator: Any
) -> None:
    found_room(http, [])
    http.on("GET", f"{ADMIN}/v1/rooms/{R}", {"room_id": "!room", "creator": creator})
    with pytest.raises(Unreachable):
        find(backend, 1.0)


@pytest.mark.parametrize("status", [400, 403, 404, 410, 500, 502])
@pytest.mark.parametrize("errcode", ["", "M_UNKNOWN", "M_UNRECOGNIZED"])
def test_an_odd_answer_about_the_alias_makes_no_second_room(
    http: Http, backend: Backend, status: int, errcode: str
) -> None:
    capable(http)
    http.refuse("POST", f"{CLIENT}/createRoom", 400, "M_ROOM_IN_USE")
    http.on("GET", ALIAS, {"errcode": errcode} if errcode else {}, status)
    with pytest.raises(Unreachable):
        backend.create(NEW, create())
    with pytest.raises(Unreachable):
        find(backend, 1.0)


def test_a_half_made_room_in_the_way_is_left_to_the_next_try(http: Http, backend: Backend) -> None:
    capable(http)
    http.refuse("POST", f"{CLIENT}/createRoom", 400, "M_ROOM_IN_USE")
    found_room(http, events(complete=False, age=61_000))
    with pytest.raises(RoomUnsettled):
        backend.create(NEW, create())


@pytest.mark.parametrize(
    ("creator", "errcode"), [(BOT, None), ("@eve:hs.example", "COMMWEB_ALIAS_TAKEN")]
)
def test_a_room_without_any_state_is_ours_only_if_we_began_it(
    http: Http, backend: Backend, creator: str, errcode: str | None
) -> None:
    found_room(http, [])
    http.on("GET", f"{ADMIN}/v1/rooms/{R}", {"room_id": "!room", "creator": creator})
    with pytest.raises(ProviderError) as caught:
        find(backend)
    assert caught.value.errcode == errcode
    assert isinstance(caught.value, RoomUnsettled) is (errcode is None)


def test_a_picture_the_server_refuses_does_not_stop_the_room(http: Http, backend: Backend) -> None:
    limit(http, 0)
    capable(http)
    http.on("POST", f"{CLIENT}/createRoom", {"room_id": "!room"})
    picture = Picture("d", "image/png", lambda: b"x")
    assert backend.create(NEW, create(picture=picture)) == "!room"


def test_a_lost_reply_is_unreachable_and_left_to_the_next_try(http: Http, backend: Backend) -> None:
    capable(http)
    http.mock.add("POST", f"{BASE_URL}{CLIENT}/createRoom", body=ConnectionError("lost"))
    with pytest.raises(Unreachable):
        backend.create(NEW, create())
