"""What is done to a room as a whole, and to its details, and what is on record of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from commweb.errors import Unreachable
from commweb.models import now
from commweb.providers.rooms import (
    CloseDoor,
    DeleteRoom,
    FoundRoom,
    Picture,
    Remove,
    RepairPower,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from tests.simulated import INVITED, JOINED, OWN, SimulatedRoom
from tests.unit.sync.bench import REF, Bench, creation
from tests.unit.sync.given import record
from tests.unit.sync.ledger import Book


@pytest.mark.parametrize("started", [None, 12.5], ids=["created now", "created in an earlier try"])
def test_a_new_room_is_on_record_with_what_it_certainly_has(started: float | None) -> None:
    bench = Bench(ref=replace(REF, remote_id=None, creation_key="new"))
    before = {"creation_started_at": "set", "chain": ["!old"], "picture_digest": "d0"}
    bench.book.room.update({**before, "picture_uri": "mxc://0"})
    if started is not None:
        bench.server.rooms["!there"] = SimulatedRoom("!there", "new", "", "")
    bench.do(creation(creation_key="new", creation_started_at_seconds=started))
    made = bench.hands.room.remote_id
    assert bench.book.room == {
        "remote_id": made,
        "made_by_us": True,
        "chain": [],
        "creation_started_at": None,
        "name": None if started else "Algebra",
        "topic": None if started else "Numbers",
        "picture_digest": None,
        "picture_uri": None,
    }
    if started is None:
        ((room, _action),) = bench.backend.named("create")
        assert room == replace(REF, remote_id=None, creation_key="new")
    else:
        assert made == "!there"
        assert bench.backend.named("create") == []
        ((_room, *found),) = bench.backend.named("find")
        assert found == ["algebra", 12.5]


def test_a_half_made_room_is_deleted_with_its_address_before_another_is_created() -> None:
    bench = Bench(ref=replace(REF, remote_id=None, creation_key="new"))
    bench.server.half_made["new"] = "!half"
    bench.server.deleting = 1
    bench.do(creation(creation_key="new", creation_started_at_seconds=12.5))
    assert [name for name, *_given in bench.backend.given] == ["find", "delete", "create"]
    ((room, action),) = bench.backend.named("delete")
    assert (room.remote_id, action.slug) == ("!half", "algebra")
    assert bench.book.room["pending_delete"] == "!half 1"


@pytest.mark.parametrize(
    ("found", "record"),
    [
        (FoundRoom("!late", True), {"remote_id": "!late", "creation_started_at": None}),
        (None, {"creation_key": None, "creation_started_at": None}),
        (
            FoundRoom("!half", False),
            {"creation_key": None, "creation_started_at": None, "pending_delete": None},
        ),
    ],
    ids=["whole", "nothing", "half"],
)
def test_what_an_interrupted_creation_left_is_kept_or_forgotten(
    found: FoundRoom | None, record: dict[str, Any]
) -> None:
    bench = Bench()
    bench.hands.take_over(found, "algebra")
    bench.ledger.flush()
    assert bench.book.room == record
    asked = [(room.remote_id, action.slug) for room, action in bench.backend.named("delete")]
    assert asked == ([("!half", "algebra")] if found and not found.complete else [])


def test_somebody_in_a_room_that_was_replaced_is_removed_there_and_on_no_record_here() -> None:
    bench = Bench()
    bench.book.members["ada"] = record()
    older = SimulatedRoom("!older", "key", "Algebra", "")
    older.members |= {OWN: JOINED, "@ada:sim": JOINED}
    bench.server.rooms["!older"] = older
    bench.room.members["@ada:sim"] = JOINED
    bench.do(Remove("", "@ada:sim", "Ada", room_id="!older"))
    assert not older.is_in("@ada:sim")
    assert bench.room.is_in("@ada:sim")
    ((room, _action),) = bench.backend.named("remove")
    assert room == replace(REF, remote_id="!older")
    assert bench.state("ada") == ("in", None)


@pytest.mark.parametrize(
    ("action", "known", "asked"),
    [
        (SetLevels({}, read_only=True), None, True),
        (SetLevels({}, read_only=True), 30, False),
        (SetLevels({}, read_only=True, open_level=20), None, False),
        (SetLevels({}, read_only=False), None, False),
        (SetLevels({}), None, False),
    ],
)
def test_what_to_go_back_to_is_asked_when_a_room_is_closed_and_nobody_knows(
    action: SetLevels, known: int | None, asked: bool
) -> None:
    bench = Bench(book=Book({"open_level": known}))
    bench.room.message_level = bench.room.default_level = 10
    bench.do(action)
    assert ("observe" in bench.server.calls) is asked
    assert bench.book.room["open_level"] == (10 if asked else known)
    assert bench.book.room.get("read_only") is action.read_only


def test_a_level_of_a_room_that_is_closed_already_is_not_one_to_go_back_to() -> None:
    bench = Bench()
    bench.room.message_level = 50
    bench.do(SetLevels({}, read_only=True))
    assert "open_level" not in bench.book.room


def test_each_detail_is_on_record_once_it_is_done() -> None:
    bench = Bench()
    bench.do(SetName("Geometry"), SetTopic("Shapes"))
    assert (bench.room.name, bench.room.topic) == ("Geometry", "Shapes")
    assert bench.book.room == {"name": "Geometry", "topic": "Shapes"}


def test_a_picture_is_uploaded_once_and_on_record_before_it_is_shown() -> None:
    reads: list[int] = []

    def read() -> bytes:
        reads.append(1)
        return b"bytes"

    bench = Bench()
    bench.do(SetPicture(Picture("d1", "image/png", read)))
    uri = bench.room.picture_uri
    assert (bench.server.uploads, reads) == ([b"bytes"], [1])
    assert uri is not None
    assert bench.book.room == {
        "intended": {"picture_digest": "d1", "picture_uri": uri},
        "picture_digest": "d1",
        "picture_uri": uri,
    }
    bench.do(SetPicture(Picture("d2", "image/png", read), uri="mxc://sim/before"))
    assert len(bench.server.uploads) == 1, "it was uploaded before"
    assert bench.book.room["picture_uri"] == bench.room.picture_uri == "mxc://sim/before"
    bench.do(SetPicture(None))
    assert bench.room.picture_uri is None
    assert (bench.book.room["picture_digest"], bench.book.room["picture_uri"]) == (None, None)


def test_a_room_that_is_to_go_is_forgotten_at_once_and_asked_for_at_the_end() -> None:
    bench = Bench()
    bench.book.room.update({"remote_id": "!room", "creation_key": "key", "creation_started_at": 1})
    bench.do(DeleteRoom())
    assert bench.book.room == {
        "remote_id": None,
        "creation_key": None,
        "creation_started_at": None,
        "pending_delete": "!room",
    }
    assert bench.server.deleted == []
    bench.hands.clean_up()
    bench.ledger.flush()
    assert bench.server.deleted == ["!room"]
    assert bench.book.room["pending_delete"] is None


def test_deletions_that_are_due_are_asked_about_each() -> None:
    bench = Bench(pending="!a 7\n!b")
    bench.server.deleting = 5
    bench.hands.clean_up()
    bench.ledger.flush()
    assert [action.delete_id for _room, action in bench.backend.named("delete")] == ["7", None]
    assert bench.book.room["pending_delete"] == "!b 1"
    assert bench.server.deleted == ["!a"]


def test_a_second_try_to_create_a_room_is_on_record_with_its_own_start() -> None:
    bench = Bench(ref=replace(REF, remote_id=None, creation_key="new"))
    bench.backend.faults["create"] = [Unreachable("No answer.")]
    with pytest.raises(Unreachable):
        bench.do(creation(creation_key="new", creation_started_at_seconds=12.5))
    started = bench.book.room["creation_started_at"]
    assert abs((now() - started).total_seconds()) < 60


def test_power_is_taken_back_and_an_open_door_closed() -> None:
    bench = Bench()
    bench.room.members[OWN] = INVITED
    bench.room.open_door = True
    bench.do(RepairPower(), CloseDoor())
    assert bench.room.is_in(OWN)
    assert bench.room.open_door is False
    assert bench.book.room == {}
