"""The acting account gets back in and deletes only where that cannot make it worse."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from commweb.errors import Refused, RoomGone, RoomUnsettled, Unreachable
from commweb.providers.base import Backend
from commweb.providers.rooms import (
    DeleteRoom,
    OwnRoom,
    RepairPower,
)
from tests.unit.providers.matrix.conftest import (
    ADMIN,
    ALIAS,
    BOT,
    CLIENT,
    KEY,
    ROOM,
    ROOM_STATE,
    Http,
    R,
    events,
)

# The acting account

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


def test_a_room_that_the_server_cannot_show_does_not_hide_the_others(
    http: Http, backend: Backend
) -> None:
    page(http, 0, ["!broken", "!a"], None)
    http.refuse("GET", f"{ADMIN}/v1/rooms/%21broken/state?type=m.room.create", 500)
    first_event(http, "!a", {"org.commweb.creation_key": KEY})
    assert [one.remote_id for one in backend.own_rooms()] == ["!a"]


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


@pytest.mark.parametrize("rooms", [[], [{}, {"room_id": 5, "creator": BOT}]])
def test_a_list_of_nothing_is_empty(http: Http, backend: Backend, rooms: Any) -> None:
    http.on("GET", LIST.format(0), {"rooms": rooms, "next_batch": 500})
    assert list(backend.own_rooms()) == []


@pytest.mark.parametrize("answer", [{}, {"rooms": None}, {"rooms": {}}, {"rooms": [5]}])
def test_what_is_no_list_does_not_say_that_there_are_none(
    http: Http, backend: Backend, answer: Any
) -> None:
    http.on("GET", LIST.format(0), answer)
    with pytest.raises(Unreachable):
        list(backend.own_rooms())


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
