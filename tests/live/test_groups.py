"""Rooms of groups, switching providers and hidden courses on a real Synapse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from sqlalchemy import select

from commweb import Group, Member
from commweb.models import RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.changes import append
from commweb.sync.choices import store_choice
from commweb.sync.confirming import confirm_courses
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, site, student, teacher
from tests.synapse_eyes import SeenRoom, SynapseEyes

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}


@dataclass
class School:
    """A course named ``unique`` with the groups Red and Blue, and eyes for its rooms."""

    site: Site
    eyes: SynapseEyes
    unique: str

    def who(self, *letters: str) -> set[str]:
        return {f"@{self.unique}-{letter}:localhost" for letter in letters}

    def student(self, letter: str, *groups: str) -> Member:
        return student(f"{self.unique}-{letter}", group_ids=frozenset(groups))

    def teacher(self, letter: str) -> Member:
        return teacher(f"{self.unique}-{letter}")

    def enrol(self, *members: Member) -> None:
        self.site.campus.member_table[self.unique] = list(members)

    def choose(self, provider: str, mode: str = "groups") -> None:
        """What the Communication page stores, and the work it asks for."""
        options = {"customlink": {"url": "https://chat.example"}}
        with self.site.state.database.write() as connection:
            store_choice(
                connection,
                self.unique,
                "Algebra",
                provider=provider,
                room_mode=mode,
                group_template="{course}: {group}",
                options=options,
            )
        self.work()

    def work(self) -> None:
        with self.site.state.database.write() as connection:
            append(connection, [self.unique])
        worker = Worker(self.site.state)
        worker.work()
        worker.close()

    def confirm(self) -> None:
        """What rooms are held for is confirmed, and done."""
        with self.site.state.database.write() as connection:
            assert confirm_courses(connection, [self.unique])
        self.work()

    def ids(self) -> dict[str, str]:
        """The rooms that were made, wanted or not: the homeserver's id by the group's."""
        query = select(RoomRow.group_id, RoomRow.remote_id).where(RoomRow.course_id == self.unique)
        with self.site.state.database.read() as connection:
            return {row[0]: row[1] for row in connection.execute(query)}

    def room(self, group_id: str) -> SeenRoom:
        return self.eyes.room(self.ids()[group_id])


@pytest.fixture
def school(
    tmp_path: Path,
    admin_session: AdminSession,
    homeserver: Homeserver,
    lift_limits: Callable[[Homeserver], None],
    unique: str,
) -> Iterator[School]:
    lift_limits(homeserver)
    with site(tmp_path, **ALLOW) as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
            made.comm.configure(
                "matrix",
                {
                    "home_server_url": admin_session.base_url,
                    "element_web_url": "https://app.element.io",
                },
                access_token=admin_session.access_token,
                refresh_token=admin_session.refresh_token,
            )
        made.campus.add(unique, name="Algebra")
        made.campus.group_table[unique] = [Group("r", "Red"), Group("b", "Blue")]
        found = School(made, SynapseEyes(homeserver), unique)
        found.enrol(
            found.teacher("t"),
            found.student("a", "r"),
            found.student("b", "r", "b"),
            found.student("c"),
        )
        yield found


OWN = {"@admin:localhost"}


def test_each_group_has_its_room_and_both_means_the_courses_too(school: School) -> None:
    school.choose("matrix", "both")
    red, blue, all_of_it = (school.room(group) for group in ("r", "b", ""))
    assert [room.name for room in (red, blue, all_of_it)] == [
        "Algebra: Red", "Algebra: Blue", "Algebra",
    ]  # fmt: skip
    assert red.joined == school.who("t", "a", "b") | OWN
    assert blue.joined == school.who("t", "b") | OWN
    assert all_of_it.joined == school.who("t", "a", "b", "c") | OWN
    (moderator,) = school.who("t")
    assert [room.levels.get(moderator) for room in (red, blue, all_of_it)] == [50, 50, 50]


def test_members_follow_their_group_and_a_deleted_group_is_emptied(school: School) -> None:
    school.choose("matrix")
    school.enrol(school.teacher("t"), school.student("a", "b"), school.student("b", "r"))
    school.work()
    assert school.room("r").joined == school.who("t", "b") | OWN
    assert school.room("b").joined == school.who("t", "a") | OWN
    school.site.campus.group_table[school.unique] = [Group("r", "Red")]
    school.work()
    assert school.room("b").joined == school.who("t", "a") | OWN, "nobody said it was deleted"
    school.confirm()
    assert school.room("b").joined == OWN
    assert school.room("r").joined == school.who("t", "b") | OWN


def test_switching_away_and_back_finds_the_same_rooms(school: School) -> None:
    school.choose("matrix")
    before = school.ids()
    school.choose("customlink")
    school.confirm()
    assert school.room("r").joined == OWN
    school.choose("matrix")
    assert school.ids() == before
    assert school.room("r").joined == school.who("t", "a", "b") | OWN


def test_a_hidden_course_is_read_only_for_students_and_opens_again(school: School) -> None:
    school.choose("matrix")
    people = school.room("r").joined
    table = school.site.campus.course_table
    table[school.unique] = replace(table[school.unique], visible=False)
    school.work()
    assert needed_to_write(school) == 50
    assert school.room("r").joined == people, "nobody is taken out"
    table[school.unique] = replace(table[school.unique], visible=True)
    school.work()
    assert needed_to_write(school) == 0


def needed_to_write(school: School) -> int:
    """The power level that a message to the room of Red needs."""
    for event in school.eyes.state(school.ids()["r"]):
        if event["type"] == "m.room.power_levels":
            return int(event["content"].get("events_default", 0))
    raise AssertionError("The room has no power levels.")
