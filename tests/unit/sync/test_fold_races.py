"""Two folds of one course at the same moment: the newest answer wins."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sqlalchemy import select, text

from commweb import Course, Group
from commweb.models import Change, RoomRow
from commweb.sync.changes import fold
from commweb.sync.choices import store_choice
from commweb.sync.reports import append
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on

SIM = "simulated"
COURSES = [str(number) for number in range(200)]
MOST_SECONDS = 0.06
"""How long the host takes to answer, at most."""


class Every(dict[str, Course]):
    """Every course there could be."""

    def get(self, key: str, default: Any = None) -> Any:
        return Course(key, f"Course {key}", f"c{key}", "http://lms.example")


class Slow(dict[str, list[Group]]):
    """The groups as the host's database had them a moment ago: what was read is handed on late,
    and meanwhile the course changes and that is reported, as long as ``changes`` are left."""

    def __init__(self, school: Site) -> None:
        self.school = school
        self.random = random.Random()  # of each process its own

    def get(self, key: str, default: Any = None) -> Any:
        query = text("SELECT groups FROM campus WHERE course = :course")
        count = self.school.db.session.execute(query, {"course": key}).scalar_one()
        self.school.db.session.rollback()
        if self.random.random() < 0.7:
            self._change(key, self.random.randrange(4))
        time.sleep(self.random.uniform(0, MOST_SECONDS))
        return [Group(str(number), "G") for number in range(count)]

    def _change(self, key: str, count: int) -> None:
        change = text(
            "UPDATE campus SET groups = :count, changes = changes - 1"
            " WHERE course = :course AND changes > 0"
        )
        with self.school.state.database.write() as connection:
            if connection.execute(change, {"count": count, "course": key}).rowcount:
                append(connection, [key])


@contextmanager
def campus(folder: Path, url: str) -> Iterator[Site]:
    provider = SimulatedProvider(SimulatedServer())
    with switched_on(folder, provider, SQLALCHEMY_DATABASE_URI=url) as school:
        school.campus.course_table = Every()
        school.campus.group_table = Slow(school)
        yield school


def fold_all(folder: str, url: str) -> None:
    """What each process does: fold until there is nothing left."""
    with campus(Path(folder), url) as school:
        fold_while_there_is(school)


def fold_while_there_is(school: Site) -> None:
    while True:
        folded = fold(school.state)
        with school.state.database.read() as connection:
            left = connection.execute(select(Change.id).limit(1)).first()
        if left is None:
            return
        if not folded:
            time.sleep(0.01)


def prepare(school: Site) -> None:
    columns = "course VARCHAR(9) PRIMARY KEY, groups INT, changes INT"
    with school.state.database.write() as connection:
        connection.execute(text(f"CREATE TABLE campus ({columns})"))
        for course_id in COURSES:
            connection.execute(text("INSERT INTO campus VALUES (:c, 0, 2)"), {"c": course_id})
            store_choice(connection, course_id, "", provider=SIM, room_mode="both")
        append(connection, COURSES)


def wrong(school: Site) -> list[str]:
    """The courses whose rooms are not what the host has now."""
    with school.state.database.read() as connection:
        groups = dict(connection.execute(text("SELECT course, groups FROM campus")).all())
        found: dict[str, set[str]] = {course_id: set() for course_id in COURSES}
        wanted = select(RoomRow.course_id, RoomRow.group_id).where(RoomRow.wanted)
        for course_id, group_id in connection.execute(wanted):
            found[course_id].add(group_id)
    return [
        course_id
        for course_id, ids in found.items()
        if ids != {"", *(str(number) for number in range(groups[course_id]))}
    ]


def test_two_processes_that_fold_the_same_courses_never_store_the_older_answer(
    tmp_path: Path,
) -> None:
    url = f"sqlite:///{tmp_path / 'campus.db'}"
    with campus(tmp_path, url) as school:
        prepare(school)
        start = get_context("spawn").Process
        processes = [start(target=fold_all, args=(str(tmp_path), url)) for _number in range(2)]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        assert wrong(school) == []


def test_threads_that_fold_the_same_courses_on_postgresql_never_store_the_older_answer(
    tmp_path: Path, postgres_url: str
) -> None:
    with campus(tmp_path, postgres_url) as school:
        prepare(school)
        folding = [
            threading.Thread(target=fold_while_there_is, args=(school,)) for _number in range(2)
        ]
        for thread in folding:
            thread.start()
        for thread in folding:
            thread.join(120)
        assert not any(thread.is_alive() for thread in folding)
        assert wrong(school) == []
