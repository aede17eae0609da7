"""What is folded and synced first."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from commweb import Course
from commweb.models import (
    RoomRow,
    now,
)
from commweb.priority import Priority
from commweb.sync.changes import fold
from commweb.sync.choices import store_choice
from commweb.sync.reports import append
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on, teacher
from tests.unit.sync.folding import SIM, counted, create, report, rows, write


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer, database_url: str) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        yield made


def test_new_courses_are_folded_before_what_can_wait(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with school.state.database.write() as connection:
        append(connection, [f"drift{number}" for number in range(150)], "drift")
    school.campus.after_members = None
    asked = counted(school, monkeypatch)
    school.campus.add("new", teacher("ada"))
    report(school, "course_created", "new")
    fold(school.state)
    assert asked[0] == "new"
    assert len(asked) == 151


def test_a_course_created_while_others_are_folded_does_not_wait_for_all_of_them(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    with school.state.database.write() as connection:
        append(connection, [f"drift{number}" for number in range(250)], "drift")
    asked: list[str] = []

    def course(id: str) -> Course | None:
        asked.append(id)
        if len(asked) == 1:
            report(school, "course_created", "new")
        return None

    monkeypatch.setattr(school.campus, "course", course)
    fold(school.state)
    assert asked.index("new") == 100


def test_a_room_is_as_urgent_as_what_asks_for_it(school: Site) -> None:
    with school.state.database.write() as connection:
        for course_id in ("old", "drifted"):
            store_choice(connection, course_id, "", provider=SIM)
        append(connection, ["old"], "backfill")
        append(connection, ["drifted"], "drift")
    school.campus.add("old", teacher("ada"))
    school.campus.add("drifted", teacher("ada"))
    create(school, "new")
    fold(school.state)
    assert rows(school, RoomRow.course_id, RoomRow.priority) == [
        ("drifted", Priority.DRIFT),
        ("new", Priority.NEW),
        ("old", Priority.BACKFILL),
    ]
    report(school, "course_changed", "old")
    write(school, update(RoomRow).where(RoomRow.course_id == "drifted").values(attempts=3))
    report(school, "course_changed", "drifted")
    fold(school.state)
    assert rows(school, RoomRow.course_id, RoomRow.priority) == [
        ("drifted", Priority.FAILING),  # what failed is not in front of what did not
        ("new", Priority.NEW),
        ("old", Priority.REPORTED),
    ]


def test_who_waits_keeps_the_place_and_a_report_ends_a_rest(school: Site) -> None:
    create(school, "1", "2", "3")
    fold(school.state)
    long_ago, later = now() - timedelta(hours=1), now() + timedelta(hours=1)
    for course_id, at in (("1", long_ago), ("2", later), ("3", later)):
        write(
            school,
            update(RoomRow).where(RoomRow.course_id == course_id).values(next_attempt_at=at),
        )
    report(school, "course_changed", "1", "2")
    with school.state.database.write() as connection:
        append(connection, ["3"], "drift")
    fold(school.state)
    found = dict(rows(school, RoomRow.course_id, RoomRow.next_attempt_at))
    assert found["1"] == long_ago
    assert abs(found["2"] - datetime.now(UTC)) < timedelta(minutes=1)
    assert found["3"] == later


def test_a_fold_stops_when_the_worker_is_to_end(school: Site) -> None:
    create(school, "1", "2", "3")
    stops = iter([False, False, True, True])
    fold(school.state, lambda: next(stops))
    assert len(rows(school, RoomRow.id)) == 1


def test_reports_that_came_while_the_host_was_read_stay(school: Site) -> None:
    create(school, "1")
    original = school.campus.groups
    asked = []

    def groups(course_id: str) -> Any:
        asked.append(course_id)
        if len(asked) == 1:
            report(school, "course_changed", "1")
        return original(course_id)

    school.campus.groups = groups  # type: ignore[method-assign]
    assert fold(school.state) == 2
    assert asked == ["1", "1"]
