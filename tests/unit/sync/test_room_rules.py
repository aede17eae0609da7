"""Rules of a room that need more than one look, on a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb import CourseImage
from commweb.errors import Refused, Unreachable
from commweb.models import Account, RoomRow
from commweb.providers.rooms import ObservedMember
from commweb.sync.worker import Worker
from tests.simulated import JOINED, OWN, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        sync(made, new=True)
        yield made


def sync(school: Site, *, new: bool = False) -> None:
    """Report the course and work, whatever rest the room was given."""
    with school.app.app_context():
        (school.comm.course_created if new else school.comm.course_changed)("1")
        school.db.session.commit()
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(next_attempt_at=None))
    Worker(school.state).work()


def change_course(school: Site, **values: Any) -> None:
    table = school.campus.course_table
    table["1"] = replace(table["1"], **values)


def row(school: Site) -> Any:
    with school.state.database.read() as connection:
        return connection.execute(select(RoomRow.__table__)).one()


def room_of(school: Site, server: SimulatedServer) -> SimulatedRoom:
    return server.rooms[row(school).remote_id]


def inside(room: SimulatedRoom) -> set[str]:
    return {remote for remote in room.members if room.is_in(remote)}


def replacement(server: SimulatedServer, old: SimulatedRoom, creator: str) -> SimulatedRoom:
    new = SimulatedRoom("!newer", "", old.name, old.topic, creator=creator)
    new.members[creator] = JOINED
    new.levels = dict(old.levels)
    server.rooms[new.id] = new
    new.made_by, new.predecessor = creator, old.id
    old.replaced_by, old.replaced_by_sender = new.id, creator
    return new


IMAGE = CourseImage("d1", "image/png", lambda: b"picture")


def test_an_upgraded_room_of_ours_is_followed_with_everybody(
    school: Site, server: SimulatedServer
) -> None:
    newer = replacement(server, room_of(school, server), OWN)
    sync(school)
    assert row(school).remote_id == newer.id
    assert inside(newer) == {OWN, "@ada:sim", "@bob:sim"}
    assert newer.levels == {"@ada:sim": 50}


def test_a_room_upgraded_to_somebody_elses_is_held_until_we_have_power_there(
    school: Site, server: SimulatedServer
) -> None:
    old = room_of(school, server)
    newer = replacement(server, old, "@ada:sim")
    sync(school)
    assert (row(school).status, row(school).remote_id) == ("held", old.id)
    assert "upgraded" in row(school).reason
    newer.members[OWN] = JOINED
    newer.levels[OWN] = 100
    sync(school)
    assert (row(school).status, row(school).remote_id) == ("ready", newer.id)
    assert inside(newer) == {OWN, "@ada:sim", "@bob:sim"}


def test_a_picture_is_uploaded_once_whatever_happens_after(
    school: Site, server: SimulatedServer
) -> None:
    change_course(school, image=IMAGE)
    server.calls.clear()
    server.faults = [None, None, Unreachable("No answer.")]
    sync(school)
    assert server.calls == ["observe", "upload", "set_picture"]
    sync(school)
    sync(school)
    assert server.calls.count("upload") == 1
    assert room_of(school, server).picture_uri == row(school).picture_uri
    assert row(school).picture_digest == "d1"


def test_a_picture_that_is_refused_keeps_nobody_out(school: Site, server: SimulatedServer) -> None:
    change_course(school, image=IMAGE)
    school.campus.member_table["1"].append(student("cyd"))
    # The room, the account, the joining; then the picture.
    server.faults = [None, None, None, Refused("The picture is larger than the homeserver takes.")]
    sync(school)
    assert "@cyd:sim" in inside(room_of(school, server))
    assert row(school).status == "ready"
    assert row(school).reason == "The picture is larger than the homeserver takes."


def test_what_was_set_by_hand_is_said(school: Site, server: SimulatedServer) -> None:
    room_of(school, server).name = "Ada's room"
    sync(school)
    assert room_of(school, server).name == "Ada's room"
    assert (row(school).status, row(school).reason) == ("ready", "The name was set by hand.")


def test_a_rename_whose_reply_was_lost_is_no_hand_change(
    school: Site, server: SimulatedServer
) -> None:
    change_course(school, full_name="Geometry")
    room_of(school, server).name = "Geometry"  # the server did it
    server.faults = [None, Unreachable("No answer.")]
    change_course(school, full_name="Geometry")
    room_of(school, server).name = "Algebra"
    sync(school)
    room_of(school, server).name = "Geometry"
    change_course(school, full_name="Shapes")
    sync(school)
    assert room_of(school, server).name == "Shapes"


def test_a_course_hidden_from_the_start_gets_a_read_only_room_that_opens(
    school: Site, server: SimulatedServer
) -> None:
    server.rooms.clear()
    change_course(school, visible=False)
    sync(school)
    assert room_of(school, server).read_only
    assert row(school).status == "read_only"
    change_course(school, visible=True)
    sync(school)
    assert not room_of(school, server).read_only
    assert row(school).status == "ready"


def use_another_account(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(
            update(Account)
            .where(Account.person_id == "ada")
            .values(remote_user_id="@lovelace:sim", origin="external_id", checked_at=None)
        )


@pytest.mark.parametrize("before", range(1, 5))
def test_the_old_account_goes_even_if_the_worker_stops_in_the_middle(
    school: Site, server: SimulatedServer, before: int
) -> None:
    use_another_account(school)
    server.faults, server.answering = [*[None] * before, Unreachable("No answer.")], False
    sync(school)
    room = room_of(school, server)
    assert {"@ada:sim", "@lovelace:sim"} & inside(room), "never out with both"
    server.answering = True
    sync(school)
    assert inside(room) == {OWN, "@lovelace:sim", "@bob:sim"}
    assert room.levels == {"@lovelace:sim": 50}


def test_the_old_account_stays_while_the_new_one_cannot_come_in(
    school: Site, server: SimulatedServer
) -> None:
    use_another_account(school)
    server.unusable["@lovelace:sim"] = "The account is locked."
    sync(school)
    assert inside(room_of(school, server)) == {OWN, "@ada:sim", "@bob:sim"}
    server.unusable.clear()
    sync(school)
    assert inside(room_of(school, server)) == {OWN, "@lovelace:sim", "@bob:sim"}


def test_who_left_is_not_put_back_by_a_suspension_in_between(
    school: Site, server: SimulatedServer
) -> None:
    room = room_of(school, server)
    room.members["@bob:sim"] = ObservedMember("leave", by_self=True)
    sync(school)
    school.campus.add("1", teacher("ada"), student("bob", active=False))
    sync(school)
    school.campus.add("1", teacher("ada"), student("bob"))
    sync(school)
    assert inside(room) == {OWN, "@ada:sim"}
