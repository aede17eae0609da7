"""What the fault tests share: a school behind a fault proxy, workers at work, and a comparison.

The comparison asks Synapse and the school; it knows the engine's tables only as far as which room
belongs to which course.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from sqlalchemy import select, update

from commweb import Member, Role
from commweb.models import Connection, RoomRow, now
from commweb.sync.sweep import Sweep
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.live.fault_proxy import FaultProxy
from tests.sites import Site
from tests.synapse_eyes import SynapseEyes
from tests.waiting import is_busy, waiting

__all__ = ["A_MINUTE", "Scene", "connect", "wait_until"]

LONGEST = 120.0
A_MINUTE = 61.0


def wait_until(what: str, check: Callable[[], bool], seconds: float = LONGEST) -> None:
    """Return as soon as ``check()`` is true. Fails with ``what`` when it never is."""
    ends = time.monotonic() + seconds
    while not check():
        if time.monotonic() > ends:
            raise AssertionError(f"It never happened that {what}.")
        time.sleep(0.05)


def connect(school: Site, session: AdminSession, url: str, **values: str | bool) -> None:
    """Give the school the session's tokens, for the homeserver at ``url``."""
    with school.app.app_context():
        school.comm.set_enabled(True)
        school.comm.configure(
            "matrix",
            {"home_server_url": url, "element_web_url": "https://app.element.io", **values},
            access_token=session.access_token,
            refresh_token=session.refresh_token,
        )


@dataclass
class Scene:
    """A school, the homeserver its rooms are on, and the proxy between them."""

    school: Site
    proxy: FaultProxy
    eyes: SynapseEyes
    before: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.before = self.eyes.room_ids()

    def report(self, kind: str, *course_ids: str, **more: Any) -> None:
        """``kind``: the name of the `CommWeb` method a site would call."""
        with self.school.app.app_context():
            for course_id in course_ids:
                getattr(self.school.comm, kind)(course_id, **more)
            self.school.db.session.commit()

    def row(self, course_id: str) -> RoomRow:
        with self.school.app.app_context():
            row = self.school.db.session.execute(
                select(RoomRow).where(RoomRow.course_id == course_id)
            ).scalar_one()
            self.school.db.session.expunge(row)
            return row

    def is_ready(self, course_id: str) -> bool:
        """Whether the course's room is there and nothing is left to do about it."""
        with self.school.app.app_context():
            found = self.school.db.session.execute(
                select(is_busy()).where(RoomRow.course_id == course_id)
            ).scalar_one_or_none()
            return found is not None and not found

    def waiting(self) -> int:
        """How many reports and rooms are waiting."""
        with self.school.app.app_context():
            return waiting(self.school.db.session())

    def session_state(self) -> str | None:
        with self.school.app.app_context():
            return self.school.comm.connection_state("matrix")

    def settle(self, seconds: float = LONGEST) -> None:
        """Until nothing waits."""
        wait_until("nothing waits any more", lambda: self.waiting() == 0, seconds)

    def work(self) -> None:
        """What is due now is done, by a new worker."""
        worker = Worker(self.school.state)
        worker.work()
        worker.close()

    def time_passes(self, seconds: float) -> None:
        """The rests, waits and leases that there are end so much sooner."""
        past = timedelta(seconds=seconds)
        rests = ("next_attempt_at", "lease_until", "unsure_until", "creation_started_at")
        with self.school.state.database.write() as connection:
            for row in connection.execute(select(RoomRow.__table__)).mappings():
                moved = {name: row[name] - past for name in rests if row[name] is not None}
                if moved:
                    this = update(RoomRow).where(RoomRow.id == row["id"])
                    connection.execute(this.values(**moved))
            connection.execute(update(Connection).values(blocked_until=None))
            connection.execute(
                update(Connection)
                .where(Connection.orphans_sought_at.is_not(None))
                .values(orphans_sought_at=now() - past)
            )

    def come_to_rest(self) -> None:
        """All waits that there are pass, one after the other, until nothing is left to do."""
        for _round in range(8):
            self.time_passes(A_MINUTE)
            self.work()
            with self.school.state.database.read() as connection:
                left = select(RoomRow.id).where(RoomRow.synced_revision < RoomRow.revision)
                if connection.execute(left).first() is None:
                    return
        raise AssertionError("The rooms do not come to rest.")

    @contextmanager
    def workers(self, threads: int = 4) -> Iterator[Worker]:
        """A worker with its sweep and ``threads`` more threads, until the end of the block."""
        ending = threading.Event()
        worker = Worker(self.school.state, stop=ending.is_set)

        def work() -> None:
            while not ending.wait(0.1):
                worker.try_work()
            worker.close()

        def sweep() -> None:
            Sweep(self.school.state, worker, lambda _threads: None).run(
                lambda seconds: ending.wait(min(seconds, 0.5))
            )

        team = [threading.Thread(target=work) for _number in range(threads)]
        team.append(threading.Thread(target=sweep))
        for thread in team:
            thread.start()
        try:
            yield worker
        finally:
            ending.set()
            for thread in team:
                thread.join()

    def differences(self) -> list[str]:
        """Where rooms and courses differ, and rooms that belong to no course."""
        campus = self.school.campus
        with self.school.app.app_context():
            rows = self.school.db.session.execute(select(RoomRow.course_id, RoomRow.remote_id))
            known = {row.course_id: row.remote_id for row in rows}
        found = []
        for course_id, course in campus.course_table.items():
            room_id = known.get(course_id)
            if room_id is None:
                found.append(f"{course_id} has no room")
                continue
            found += self._compare(
                course_id, course.full_name, campus.member_table[course_id], room_id
            )
        strays = self.eyes.room_ids() - self.before - set(known.values())
        found += [f"{room} belongs to no course" for room in sorted(strays)]
        closed = {course_id: room for course_id, room in known.items() if room}
        for course_id in sorted(set(closed) - set(campus.course_table)):
            people = self.eyes.room(closed[course_id]).inside("@admin:localhost")
            found += [f"{course_id} is gone and {one} is still in its room" for one in people]
        return found

    def _compare(self, course_id: str, name: str, members: list[Member], room_id: str) -> list[str]:
        seen = self.eyes.room(room_id)
        active = [member for member in members if member.active and member.person.active]
        wanted = {f"@{member.person.username}:localhost" for member in active}
        teachers = {
            f"@{member.person.username}:localhost"
            for member in active
            if member.role is not Role.PARTICIPANT
        }
        pairs = {
            "name": (seen.name, name),
            "members": (seen.inside("@admin:localhost"), dict.fromkeys(wanted, "join")),
            "moderators": ({user for user, level in seen.levels.items() if level == 50}, teachers),
            "way in": (seen.join_rule, "invite"),
        }
        return [
            f"{course_id}: {what} {is_now!r}, not {should!r}"
            for what, (is_now, should) in pairs.items()
            if is_now != should
        ]
