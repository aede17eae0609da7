"""A course in a site with a simulated homeserver, driven step by step."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import insert, select, update

from commweb import Member
from commweb.models import Connection, MemberRow, RoomRow, now
from commweb.sync.worker import Worker
from tests.simulated import SimulatedRoom, SimulatedServer
from tests.sites import Site


@dataclass
class Course:
    """Course 1 of ``site``, whose rooms are on ``server``."""

    site: Site
    server: SimulatedServer

    def enrol(self, *members: Member) -> None:
        """These, and nobody else, are in the course; it is reported and synced."""
        self.site.campus.add("1", *members)
        self.report()
        self.work()

    def create(self, *members: Member) -> None:
        """The course is new."""
        self.site.campus.add("1", *members)
        self.report("course_created")
        self.work()

    def report(self, kind: str = "course_changed") -> None:
        with self.site.app.app_context():
            getattr(self.site.comm, kind)("1")
            self.site.db.session.commit()

    def work(self) -> None:
        Worker(self.site.state).work()

    def sync(self) -> None:
        """Whatever rests is over, and the room is synced."""
        self.set(next_attempt_at=None, revision=RoomRow.revision + 1)
        self.work()

    def time_passes(self, seconds: float) -> None:
        """The rests and leases of the room are over so much sooner."""
        row = self.row
        moved = {
            name: getattr(row, name) - timedelta(seconds=seconds)
            for name in ("next_attempt_at", "lease_until", "unsure_until", "creation_started_at")
            if getattr(row, name) is not None
        }
        if moved:
            self.set(**moved)

    def set(self, **values: Any) -> None:
        with self.site.state.database.write() as connection:
            connection.execute(update(RoomRow).values(**values))

    def connect(self) -> None:
        """A session is stored, which the simulator does not need."""
        with self.site.state.database.write() as connection:
            connection.execute(
                insert(Connection).values(
                    provider="simulated", access=None, generation=1, state="ok", set_at=now()
                )
            )

    @property
    def row(self) -> RoomRow:
        with self.site.app.app_context():
            row = self.site.db.session.execute(select(RoomRow)).scalar_one()
            self.site.db.session.expunge(row)
            return row

    @property
    def room(self) -> SimulatedRoom:
        remote_id = self.row.remote_id
        assert remote_id is not None
        return self.server.rooms[remote_id]

    @property
    def inside(self) -> set[str]:
        """The local names of the people who joined."""
        return {
            remote.partition(":")[0].removeprefix("@")
            for remote in self.room.members
            if self.room.is_in(remote) and remote != "@bot:sim"
        }

    @property
    def states(self) -> dict[str, str]:
        with self.site.state.database.read() as connection:
            rows = connection.execute(select(MemberRow.person_id, MemberRow.state))
            return {row[0]: row[1] for row in rows}

    def reason(self, person_id: str) -> str | None:
        with self.site.state.database.read() as connection:
            query = select(MemberRow.reason).where(MemberRow.person_id == person_id)
            return connection.execute(query).scalar()
