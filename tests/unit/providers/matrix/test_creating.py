"""One room for one creation key, whatever the homeserver answers."""

from __future__ import annotations

import time
from typing import Any

import pytest

from commweb.errors import ProviderError, Refused, RoomUnsettled, Unreachable
from commweb.providers.base import Backend
from commweb.providers.rooms import (
    CreateRoom,
    DeleteRoom,
    FoundRoom,
    Picture,
)
from tests.stored_session import BASE_URL
from tests.unit.providers.matrix.conftest import (
    ADMIN,
    ALIAS,
    BOT,
    CLIENT,
    KEY,
    NEW,
    ROOM,
    ROOM_STATE,
    Http,
    R,
    capable,
    events,
    found_room,
    limit,
)

# Creating


DELETE = f"{ADMIN}/v2/rooms/{R}"


def create(picture: Picture | None = None) -> CreateRoom:
    origin = {"instance": "default", "course": "42", "group": ""}
    return CreateRoom("Algebra", "", "algebra", KEY, None, {}, picture, origin)


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
