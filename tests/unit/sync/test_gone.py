"""Rooms the homeserver says are not there: a few are created anew, many are held."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from commweb.models import RoomRow, now
from commweb.sync.confirming import confirm_gone, gone_key, gone_rooms
from commweb.sync.gone import decide_gone, rooms_gone
from commweb.sync.guard import ROOM_GONE, Hold, too_many_gone
from tests.sites import Site, site

NOON = datetime.fromisoformat("2030-05-01T12:00:00+00:00")


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path) as made:
        yield made


def add_rooms(school: Site, count: int, provider: str = "sim", **values: Any) -> list[int]:
    with school.state.database.write() as connection:
        first = len(connection.execute(select(RoomRow.id)).all())
        rows = [
            {
                "course_id": str(number),
                "provider": provider,
                "remote_id": f"!{number}:hs",
                "status": "ready",
                **values,
            }
            for number in range(first, first + count)
        ]
        connection.execute(insert(RoomRow), rows)
        query = select(RoomRow.id).where(RoomRow.provider == provider).order_by(RoomRow.id)
        return list(connection.execute(query).scalars())


def find_missing(school: Site, room_id: int, at: datetime = NOON) -> Hold | None:
    """As the engine: decide, and record the hold in the same transaction."""
    with school.state.database.write() as connection:
        hold = decide_gone(connection, room_id, at)
        values: dict[str, Any] = {"status": "ready", "held_kind": "", "held_people": []}
        if hold:
            values = {"status": "held", "held_kind": hold.kind, "held_people": list(hold.people)}
        connection.execute(update(RoomRow).where(RoomRow.id == room_id).values(**values))
    return hold


def gone(school: Site, at: datetime = NOON) -> tuple[int, int]:
    with school.state.database.read() as connection:
        return rooms_gone(connection, "sim", at)


def test_many_are_more_than_three_rooms_and_more_than_a_tenth() -> None:
    assert [too_many_gone(*counted) for counted in ((3, 3), (4, 4), (4, 39), (4, 40))] == [
        False,
        True,
        True,
        False,
    ]


def test_three_rooms_are_created_anew_and_the_fourth_within_the_hour_is_held(school: Site) -> None:
    rooms = add_rooms(school, 12)
    assert [find_missing(school, room) for room in rooms[:3]] == [None, None, None]
    hold = find_missing(school, rooms[3], NOON + timedelta(minutes=59))
    assert hold is not None
    assert (hold.kind, hold.people) == ("room_gone", (ROOM_GONE,))
    assert "this room and 3 others do not exist" in hold.reason
    assert gone(school) == (4, 12)


def test_rooms_that_were_missing_more_than_an_hour_ago_do_not_count(school: Site) -> None:
    rooms = add_rooms(school, 12)
    for room in rooms[:3]:
        find_missing(school, room)
    assert find_missing(school, rooms[3], NOON + timedelta(minutes=61)) is None


def test_four_of_forty_rooms_are_created_anew(school: Site) -> None:
    rooms = add_rooms(school, 40)
    assert not any(find_missing(school, room) for room in rooms[:4])
    assert find_missing(school, rooms[4]) is not None


def test_rooms_of_another_provider_and_rooms_nobody_wants_do_not_count(school: Site) -> None:
    rooms = add_rooms(school, 4)
    add_rooms(school, 4, wanted=False, gone_at=NOON)
    add_rooms(school, 60, provider="other", gone_at=NOON)
    assert gone(school) == (0, 4)
    assert find_missing(school, rooms[0]) is None


def test_a_held_room_stays_held_however_long_it_is_missing(school: Site) -> None:
    rooms = add_rooms(school, 4)
    for room in rooms:
        find_missing(school, room)
    later = find_missing(school, rooms[3], NOON + timedelta(days=3))
    assert later is not None
    assert "this room does not exist" in later.reason


def test_rooms_that_somebody_confirmed_are_created_anew_and_those_only(school: Site) -> None:
    rooms = add_rooms(school, 5)
    for room in rooms:
        find_missing(school, room)
    with school.state.database.write() as connection:
        waiting = gone_rooms(connection)
        assert waiting == rooms[3:]
        assert confirm_gone(connection, gone_key(waiting[:1])) is None, "others were shown"
        assert confirm_gone(connection, gone_key(waiting)) == 2
    assert find_missing(school, rooms[3]) is None
    assert find_missing(school, rooms[0], NOON + timedelta(minutes=1)) is not None


def test_now_is_meant_where_no_time_is_given(school: Site) -> None:
    (room,) = add_rooms(school, 1)
    with school.state.database.write() as connection:
        assert decide_gone(connection, room) is None
        assert decide_gone(connection, room + 1) is None, "there is no such room"
        assert rooms_gone(connection, "sim") == (1, 1)
        found = connection.execute(select(RoomRow.gone_at)).scalar_one()
    assert abs((now() - found).total_seconds()) < 60
