"""A homeserver that stands still with something on its way: it is done late, and put right."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from commweb.models import Connection, RoomRow, now
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, site, student, teacher
from tests.synapse_eyes import SynapseEyes

OWN = "@admin:localhost"


@dataclass
class Frozen:
    """A site whose homeserver is stopped just before its ``at``-th request; 0: never."""

    site: Site
    server: Homeserver
    eyes: SynapseEyes
    name: str
    at: int = 0
    sent: int = field(default=0)

    def before_send(self) -> None:
        self.sent += 1
        if self.sent == self.at:
            self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        assert self.server.pid is not None
        os.kill(self.server.pid, number)

    def report(self, kind: str = "course_changed") -> None:
        with self.site.app.app_context():
            getattr(self.site.comm, kind)(self.name)
            self.site.db.session.commit()

    def work(self) -> None:
        worker = Worker(self.site.state)
        worker.work()
        worker.close()

    def freeze_at(self, number: int) -> None:
        """Work while the server stops answering, and lets what was sent lie."""
        self.sent, self.at = 0, number
        self.work()
        assert self.sent >= number, "it was not asked so often"
        self.at = 0

    def thaw(self) -> None:
        """It goes on, and after a while nothing is left to do."""
        self._signal(signal.SIGCONT)
        for _round in range(12):
            past = now() - timedelta(seconds=1)
            with self.site.state.database.write() as connection:
                connection.execute(update(Connection).values(blocked_until=None))
                connection.execute(update(RoomRow).values(next_attempt_at=past))
                late = RoomRow.unsure_until.is_not(None)
                connection.execute(update(RoomRow).where(late).values(unsure_until=past))
                begun = RoomRow.creation_started_at.is_not(None)
                minutes = now() - timedelta(minutes=2)
                connection.execute(update(RoomRow).where(begun).values(creation_started_at=minutes))
            self.work()
            time.sleep(0.5)
            if self._rests():
                return
        raise AssertionError("The room does not come to rest.")

    def _rests(self) -> bool:
        with self.site.state.database.read() as connection:
            dirty = select(RoomRow.id).where(RoomRow.synced_revision < RoomRow.revision)
            return connection.execute(dirty).first() is None

    def inside(self) -> set[str]:
        with self.site.state.database.read() as connection:
            room_id = connection.execute(select(RoomRow.remote_id)).scalar_one()
        return {one.partition(":")[0][1:] for one in self.eyes.room(room_id).joined if one != OWN}

    def rooms(self) -> int:
        """How many rooms the homeserver has."""
        answer = self.server.admin("GET", "/_synapse/admin/v1/rooms")
        return int(answer["total_rooms"])


@pytest.fixture
def frozen(
    tmp_path: Path,
    make_homeserver: Callable[..., Homeserver],
    sign_in: Callable[[Homeserver], AdminSession],
    lift_limits: Callable[[Homeserver], None],
    unique: str,
) -> Iterator[Frozen]:
    server = make_homeserver()
    lift_limits(server)
    session = sign_in(server)
    with site(tmp_path, COMMWEB_ALLOWED_PRIVATE_HOSTS="127.0.0.0/8") as made:
        found = Frozen(made, server, SynapseEyes(server), unique)
        made.state.network = replace(
            made.state.network, before_send=found.before_send, call_seconds=2.0
        )
        with made.app.app_context():
            made.comm.set_enabled(True)
            made.comm.configure(
                "matrix",
                {"home_server_url": session.base_url, "element_web_url": "https://app.element.io"},
                access_token=session.access_token,
                refresh_token=session.refresh_token,
                user_id=session.user_id,
            )
        try:
            yield found
        finally:
            if server.pid is not None:
                os.kill(server.pid, signal.SIGCONT)


def with_a_course(frozen: Frozen) -> None:
    frozen.site.campus.add(frozen.name, teacher("ada"), student("ben"))
    frozen.report("course_created")
    frozen.work()
    assert frozen.inside() == {"ada", "ben"}


def test_somebody_unenrolled_while_their_joining_was_on_its_way_is_taken_out(
    frozen: Frozen,
) -> None:
    with_a_course(frozen)
    frozen.site.campus.add(frozen.name, teacher("ada"), student("ben"), student("cyd"))
    frozen.report()
    frozen.freeze_at(4)  # the room, the look for the account, the account; then the joining
    frozen.site.campus.add(frozen.name, teacher("ada"), student("ben"))
    frozen.report()
    frozen.thaw()
    assert frozen.inside() == {"ada", "ben"}


def test_somebody_enrolled_again_while_their_removal_was_on_its_way_is_inside(
    frozen: Frozen,
) -> None:
    with_a_course(frozen)
    frozen.site.campus.add(frozen.name, teacher("ada"))
    frozen.report()
    frozen.freeze_at(2)  # the room; then the removal
    frozen.site.campus.add(frozen.name, teacher("ada"), student("ben"))
    frozen.report()
    frozen.thaw()
    assert frozen.inside() == {"ada", "ben"}


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6])
def test_a_course_deleted_while_its_room_was_on_its_way_leaves_no_room(
    frozen: Frozen, at: int
) -> None:
    frozen.site.campus.add(frozen.name, teacher("ada"))
    frozen.report("course_created")
    frozen.freeze_at(at)
    del frozen.site.campus.course_table[frozen.name]
    frozen.report("course_deleted")
    frozen.thaw()
    rooms = frozen.rooms()
    with frozen.site.state.database.read() as connection:
        kept = connection.execute(select(RoomRow.remote_id)).scalar_one_or_none()
    assert rooms == (1 if kept else 0)
    if kept:
        assert frozen.eyes.room(kept).joined <= {OWN}


@pytest.mark.parametrize("at", [3, 4, 5, 6])
def test_a_course_gets_one_room_whatever_was_on_its_way(frozen: Frozen, at: int) -> None:
    frozen.site.campus.add(frozen.name, teacher("ada"), student("ben"))
    frozen.report("course_created")
    frozen.freeze_at(at)
    frozen.thaw()
    assert (frozen.rooms(), frozen.inside()) == (1, {"ada", "ben"})


def test_a_room_whose_deletion_was_on_its_way_is_gone(frozen: Frozen) -> None:
    with frozen.site.app.app_context():
        frozen.site.comm.configure("matrix", {"closing_rule": "delete_room"})
    with_a_course(frozen)
    del frozen.site.campus.course_table[frozen.name]
    frozen.report("course_deleted")
    frozen.freeze_at(3)  # the room, whose it is; then the deletion
    frozen.thaw()
    assert frozen.rooms() == 0
