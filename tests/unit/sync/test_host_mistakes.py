"""Mistakes of a host about all people at once: nobody is taken out before a person was asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update

from commweb import Member, Role
from commweb.models import MemberRow, now
from commweb.settings import Setting
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, person, student, switched_on, teacher
from tests.unit.sync.engine import Course

NAMES = [f"s{number:02}" for number in range(20)]


class Deleting(SimulatedProvider):
    settings = (Setting("closing_rule", "delete_room"),)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, Deleting(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"), *map(student, NAMES))
    assert made.inside == {"ada", *NAMES}
    return made


def named(address: Callable[[str], str]) -> list[Member]:
    return [
        Member(person(name, accounts={"simulated": address(name)}), Role.PARTICIPANT)
        for name in NAMES
    ]


@pytest.mark.parametrize(
    "address",
    [
        lambda name: name,
        lambda name: f"{name}@school.example",
        lambda _name: "@everybody:sim",
        lambda name: f"@not-{name}:sim",
        lambda _name: " ",
        lambda name: f"@{name}\0:sim",
        lambda _name: "@ada:sim",
    ],
    ids=["no id", "mail", "one for all", "of nobody", "a space", "with a NUL", "the teacher's"],
)
def test_addresses_that_are_none_take_nobody_out(
    course: Course, address: Callable[[str], str]
) -> None:
    course.enrol(teacher("ada"), *named(address))
    assert course.inside == {"ada", *NAMES}
    course.enrol(teacher("ada"), *map(student, NAMES))
    assert course.inside == {"ada", *NAMES}
    assert course.row.status == "ready"


def test_a_host_that_has_no_course_for_a_moment_loses_no_message(
    course: Course, server: SimulatedServer
) -> None:
    table = dict(course.site.campus.course_table)
    course.site.campus.course_table.clear()
    course.report()
    course.work()
    assert (course.row.status, course.row.held_kind) == ("held", "course_gone")
    assert course.inside == {"ada", *NAMES}
    assert server.deleted == []
    course.site.campus.course_table.update(table)
    course.report()
    course.work()
    assert course.row.status == "ready"


def test_people_who_are_unenrolled_a_few_at_a_time_count_for_a_day(course: Course) -> None:
    course.enrol(teacher("ada"), *map(student, NAMES[4:]))
    course.enrol(teacher("ada"), *map(student, NAMES[8:]))
    assert course.inside == {"ada", *NAMES[8:]}
    course.enrol(teacher("ada"), *map(student, NAMES[12:]), student("new"))
    assert course.row.held_kind == "removals"
    assert course.row.held_people == NAMES[8:12]
    assert course.inside == {"ada", "new", *NAMES[8:]}
    with course.site.state.database.write() as connection:
        yesterday = now() - timedelta(hours=25)
        connection.execute(
            update(MemberRow).where(MemberRow.removed_at.is_not(None)).values(removed_at=yesterday)
        )
    course.sync()
    assert course.inside == {"ada", "new", *NAMES[12:]}
