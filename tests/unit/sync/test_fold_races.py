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
    """The groups as the host's database had them a moment ago: what was read is handed on late."""

    def __init__(self, school: Site) -> None:
        self.school = school
        self.random = random.Random()  # of each process its own

    def get(self, key: str, default: Any = None) -> Any:
        query = text("SELECT groups FROM campus WHERE course = :course")
        count = self.school.db.session.execute(query, {"course": key}).scalar_one()
        time.sleep(self.random.uniform(0, MOST_SECONDS))
        return [Group(str(number), "G") for number in range(count)]


@contextmanager
def campus(folder: Path, url: str) -> Iterator[Site]:
    provider = SimulatedProvider(SimulatedServer())
    with switched_on(folder, provider, SQLALCHEMY_DATABASE_URI=url) as school:
        school.campus.course_table = Every()
        school.campus.group_table = Slow(school)
        yield school


def fold_until_done(folder: str, url: str, done: str) -> None:
    """What each process does: fold until there is nothing left and no more comes."""
    with campus(Path(folder), url) as school:
        fold_while(school, lambda: Path(done).exists())


def fold_while(school: Site, over: Any) -> None:
    while True:
        ended = over()
        folded = fold(school.state)
        with school.state.database.read() as connection:
            left = connection.execute(select(Change.id).limit(1)).first()
        if ended and left is None:
            return
        if not folded:
            time.sleep(0.01)


def prepare(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(text("CREATE TABLE campus (course VARCHAR(9) PRIMARY KEY, groups INT)"))
        for course_id in COURSES:
            connection.execute(text("INSERT INTO campus VALUES (:c, 0)"), {"c": course_id})
            store_choice(connection, course_id, "", provider=SIM, room_mode="both")


def change_everything(school: Site, times: int) -> None:
    """The host changes every course again and again, and reports it with each change."""
    for _round in range(times):
        for course_id in random.sample(COURSES, len(COURSES)):
            count = random.randrange(4)
            with school.app.app_context():
                school.db.session.execute(
                    text("UPDATE campus SET groups = :n WHERE course = :c"),
                    {"n": count, "c": course_id},
                )
                school.comm.course_changed(course_id)
                school.db.session.commit()


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
    url, done = f"sqlite:///{tmp_path / 'campus.db'}", tmp_path / "done"
    with campus(tmp_path, url) as school:
        prepare(school)
        work = (str(tmp_path), url, str(done))
        processes = [
            get_context("spawn").Process(target=fold_until_done, args=work) for _number in range(2)
        ]
        for process in processes:
            process.start()
        change_everything(school, times=2)
        done.touch()
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0, 0]
        assert wrong(school) == []


def test_threads_that_fold_the_same_courses_on_postgresql_never_store_the_older_answer(
    tmp_path: Path, postgres_url: str
) -> None:
    done = threading.Event()
    with campus(tmp_path, postgres_url) as school:
        prepare(school)
        folding = [
            threading.Thread(target=fold_while, args=(school, done.is_set)) for _number in range(2)
        ]
        for thread in folding:
            thread.start()
        change_everything(school, times=2)
        done.set()
        for thread in folding:
            thread.join(120)
        assert not any(thread.is_alive() for thread in folding)
        assert wrong(school) == []
