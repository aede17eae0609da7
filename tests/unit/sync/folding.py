"""A site whose reports are folded step by step."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import select, update

from commweb import Course
from commweb.models import (
    FoldRow,
    RoomRow,
)
from commweb.sync.worker import Worker
from tests.sites import Site, student, teacher

SIM = "simulated"


def report(school: Site, kind: str, *ids: str) -> None:
    with school.app.app_context():
        for one in ids:
            getattr(school.comm, kind)(one)
        school.db.session.commit()


def create(school: Site, *course_ids: str) -> None:
    for course_id in course_ids:
        school.campus.add(course_id, teacher("ada"), student("bob"))
    report(school, "course_created", *course_ids)


def work(school: Site) -> None:
    worker = Worker(school.state)
    worker.work()
    worker.close()


def rows(school: Site, *columns: Any) -> list[Any]:
    with school.state.database.read() as connection:
        return list(connection.execute(select(*columns).order_by(columns[0])).all())


def write(school: Site, statement: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(statement)


def rests_are_over(school: Site) -> None:
    write(school, update(FoldRow).values(retry_at=None))
    write(school, update(RoomRow).values(next_attempt_at=None))


def counted(school: Site, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The courses that the host is asked for, from now on."""
    asked: list[str] = []
    original = school.campus.course

    def course(id: str) -> Course | None:
        asked.append(id)
        return original(id)

    monkeypatch.setattr(school.campus, "course", course)
    return asked
