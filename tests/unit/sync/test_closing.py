"""Rooms that have to go, and rooms whose creation was interrupted and is not wanted any more."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.errors import Unreachable
from commweb.models import RoomRow, now
from commweb.settings import Setting
from commweb.sync.closing import Deletions
from commweb.sync.worker import Worker
from tests.simulated import JOINED, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

KEY = "k" * 32


class Closing(SimulatedProvider):
    """A provider whose rooms are deleted with their courses."""

    settings = (Setting("closing_rule", "delete_room"),)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, Closing(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        yield made


def report(school: Site, kind: str = "course_changed") -> None:
    with school.app.app_context():
        getattr(school.comm, kind)("1")
        school.db.session.commit()


def set_row(school: Site, **values: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(**values))


def work(school: Site) -> RoomRow:
    set_row(school, next_attempt_at=None)
    Worker(school.state).work()
    return the_row(school)


def the_row(school: Site) -> RoomRow:
    with school.app.app_context():
        newest = select(RoomRow).order_by(RoomRow.id.desc()).limit(1)
        row = school.db.session.execute(newest).scalar_one()
        school.db.session.expunge(row)
        return row


def made(school: Site) -> str:
    report(school, "course_created")
    return work(school).remote_id or ""


def gone(school: Site) -> None:
    del school.campus.course_table["1"]
    report(school, "course_deleted")


def interrupted(school: Site, server: SimulatedServer, *, seconds: float) -> None:
    """The creation failed after the request was sent; nobody knows what the server did."""
    server.faults, server.answering = [Unreachable("No answer.")], False
    report(school, "course_created")
    work(school)
    server.answering = True
    row = the_row(school)
    assert row.creation_started_at is not None
    started = now() - timedelta(seconds=seconds)
    # What else may be processed late is not asked here.
    set_row(school, creation_key=KEY, creation_started_at=started, unsure=0)


def test_a_deletion_is_asked_about_until_the_room_is_gone(
    school: Site, server: SimulatedServer
) -> None:
    room = made(school)
    server.deleting = 2
    gone(school)
    row = work(school)
    assert (row.status, row.pending_delete) == ("off", f"{room} 1")
    assert row.next_attempt_at is not None
    assert work(school).pending_delete == f"{room} 2"
    row = work(school)
    assert (row.pending_delete, row.next_attempt_at) == (None, None)
    assert row.synced_revision == row.revision
    assert server.deleted == [room]


def test_a_lost_answer_to_a_deletion_does_not_lose_the_room(
    school: Site, server: SimulatedServer
) -> None:
    room = made(school)
    gone(school)
    server.faults = [None, Unreachable("No answer.")]
    assert work(school).pending_delete == room
    assert work(school).pending_delete is None
    assert server.deleted == [room]


def test_a_course_that_comes_back_gets_a_new_room_while_the_old_one_is_deleted(
    school: Site, server: SimulatedServer
) -> None:
    old = made(school)
    server.deleting = 1
    gone(school)
    work(school)
    school.campus.add("1", teacher("ada"))
    report(school, "course_created")
    row = work(school)
    work(school)  # how far the deletion is
    assert row.status == "ready"
    assert row.remote_id != old
    assert server.deleted == [old]
    assert list(server.rooms) == [row.remote_id]


def test_a_room_made_for_a_course_that_is_gone_is_found_and_closed(
    school: Site, server: SimulatedServer
) -> None:
    interrupted(school, server, seconds=5)
    server.rooms["!made"] = SimulatedRoom("!made", KEY, "Algebra", "")
    server.rooms["!made"].members["@bot:sim"] = JOINED
    gone(school)
    row = work(school)
    assert server.deleted == ["!made"]
    assert (row.status, row.remote_id, row.creation_started_at) == ("off", None, None)
    assert row.synced_revision == row.revision


def test_a_half_made_room_of_a_course_that_is_gone_is_removed(
    school: Site, server: SimulatedServer
) -> None:
    interrupted(school, server, seconds=120)
    server.half_made[KEY] = "!half"
    gone(school)
    row = work(school)
    assert (server.deleted, server.half_made) == (["!half"], {})
    assert (row.status, row.creation_key, row.pending_delete) == ("off", None, None)


def test_a_room_the_server_may_still_make_is_waited_for(
    school: Site, server: SimulatedServer
) -> None:
    interrupted(school, server, seconds=10)
    gone(school)
    row = work(school)
    assert row.creation_started_at is not None
    assert row.next_attempt_at is not None
    assert 40 < (row.next_attempt_at - now()).total_seconds() <= 50
    set_row(school, creation_started_at=now() - timedelta(seconds=61))
    row = work(school)
    assert (row.status, row.creation_started_at) == ("off", None)
    assert row.synced_revision == row.revision


def test_a_half_made_room_is_removed_and_made_again(school: Site, server: SimulatedServer) -> None:
    interrupted(school, server, seconds=120)
    server.half_made[KEY] = "!half"
    server.deleting = 2
    row = work(school)
    assert row.status == "ready"
    assert row.pending_delete == "!half 2"
    assert len(server.rooms) == 1
    row = work(school)
    assert row.pending_delete is None
    assert server.deleted == ["!half"]


def test_a_new_try_counts_its_age_from_its_own_start(school: Site, server: SimulatedServer) -> None:
    interrupted(school, server, seconds=3600)
    server.faults = [None, Unreachable("No answer.")]  # found nothing; made, and no answer
    started = work(school).creation_started_at
    assert started is not None
    assert now() - started < timedelta(seconds=60)


def test_the_list_of_deletions_survives_being_stored() -> None:
    deletions = Deletions("!a:hs 17\n!b")
    assert deletions
    deletions.add("!b")
    deletions.add("!c")
    assert deletions.text == "!a:hs 17\n!b\n!c"
    assert Deletions(None).text is None
    assert not Deletions("")
