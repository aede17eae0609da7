"""What a fold makes of the reports of one course, and what it says when it cannot."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.exc import OperationalError, StatementError

from commweb import Group
from commweb.models import Change, CourseChoice, FoldRow, RoomRow, now
from commweb.sync.changes import fold
from commweb.sync.choices import store_choice
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, switched_on, teacher
from tests.unit.sync.folding import SIM, create, report, rows, work, write


class Link(SimulatedProvider):
    """A provider that has no rooms."""

    has_rooms = False


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, Link(server, "link")) as made:
        yield made


def choose(school: Site, provider: str, **values: Any) -> None:
    with school.state.database.write() as connection:
        store_choice(connection, "1", "", provider=provider, **values)


def test_a_new_course_without_a_provider_chose_none(school: Site) -> None:
    school.campus.add("1", teacher("ada"))
    with school.app.app_context():
        school.comm.course_created("1", provider=None)
        school.db.session.commit()
    assert fold(school.state) == 1
    assert rows(school, CourseChoice.provider) == [("",)]
    assert rows(school, RoomRow.id) == []


def test_what_a_course_chose_is_not_overruled_by_a_second_report_of_its_creation(
    school: Site,
) -> None:
    create(school, "1")
    fold(school.state)
    choose(school, "")
    report(school, "course_created", "1")
    fold(school.state)
    assert rows(school, CourseChoice.provider) == [("",)]
    assert rows(school, RoomRow.wanted) == [(False,)]


def test_a_course_with_a_provider_without_rooms_has_none(school: Site) -> None:
    create(school, "1")
    choose(school, "link")
    assert fold(school.state) == 1
    assert rows(school, RoomRow.id) == []
    choose(school, SIM)
    report(school, "course_changed", "1")
    fold(school.state)
    assert rows(school, RoomRow.provider, RoomRow.wanted) == [(SIM, True)]


@pytest.mark.parametrize("reported", [True, False])
def test_a_groups_room_is_closed_unasked_only_if_the_group_was_reported(
    school: Site, reported: bool
) -> None:
    create(school, "1")
    school.campus.group_table["1"] = [Group("red", "Red"), Group("blue", "Blue")]
    choose(school, SIM, room_mode="groups")
    fold(school.state)
    assert rows(school, RoomRow.group_id) == [("blue",), ("red",)]
    school.campus.group_table["1"] = [Group("red", "Red")]
    if reported:
        with school.app.app_context():
            school.comm.group_deleted("1", "blue")
            school.comm.group_deleted("1", "red")  # which the host took back
            school.db.session.commit()
    else:
        report(school, "course_changed", "1")
    fold(school.state)
    found = rows(school, RoomRow.group_id, RoomRow.wanted, RoomRow.confirmed_people)
    assert found == [("blue", False, ["*"] if reported else []), ("red", True, [])]


def failed(school: Site) -> tuple[int, str | None]:
    ((failures, reason),) = rows(school, FoldRow.failures, FoldRow.reason)
    return failures, reason


def test_what_the_host_says_of_itself_is_the_reason_and_no_traceback(
    school: Site, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1")
    school.campus.course_table["1"] = replace(
        school.campus.course_table["1"],
        full_name=7,  # type: ignore[arg-type]
    )
    assert fold(school.state) == 0
    words = "Campus.course() gave a Course whose full_name is an int; commweb needs a str."
    assert failed(school) == (1, words)
    (record,) = caplog.records
    assert record.getMessage() == f"Course 1 could not be folded: {words}"
    assert record.exc_info is None


def test_a_host_that_raises_is_said_without_its_words_and_logged_with_its_traceback(
    school: Site, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1")

    def course(_id: str) -> None:
        raise KeyError("ada@example.org")

    school.campus.course = course  # type: ignore[method-assign, assignment]
    fold(school.state)
    assert failed(school) == (1, "The site could not say what the course looks like (KeyError).")
    write(school, update(FoldRow).values(retry_at=None))
    fold(school.state)
    first, second = [one for one in caplog.records if "could not be folded" in one.getMessage()]
    assert first.exc_info
    assert second.exc_info is None, "said once"


def test_a_fault_that_cannot_be_written_down_keeps_no_other_course(
    school: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1", "2")
    school.campus.course_table["1"] = replace(
        school.campus.course_table["1"],
        full_name=7,  # type: ignore[arg-type]
    )
    monkeypatch.setattr("commweb.sync.changes.reports.store_failure", raising(ArithmeticError()))
    assert fold(school.state) == 1
    assert rows(school, RoomRow.course_id) == [("2",)]
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.getMessage() == "The fault of course 1 could not be written down."


def raising(error: Exception) -> Callable[..., None]:
    def act(*_given: Any, **_named: Any) -> None:
        raise error

    return act


def test_a_bug_is_said_as_unexpected(school: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    create(school, "1")
    monkeypatch.setattr("commweb.sync.changes.store_course", raising(ArithmeticError("private")))
    fold(school.state)
    assert failed(school) == (1, "Unexpected error. See the worker log.")


def test_what_a_database_cannot_hold_is_logged_in_one_line(
    school: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1")
    error = StatementError("too long", "INSERT", {"name": "Ada Lovelace"}, ValueError("too long"))
    monkeypatch.setattr("commweb.sync.changes.store_course", raising(error))
    fold(school.state)
    (record,) = [one for one in caplog.records if "could not be folded" in one.getMessage()]
    assert record.exc_info is None
    assert "Ada" not in caplog.text


def test_a_fold_counts_the_reports_of_courses_and_people(school: Site) -> None:
    create(school, "1", "2")
    report(school, "course_changed", "1")
    report(school, "person_changed", "ada", "bob", "nobody")
    assert fold(school.state) == 6
    assert fold(school.state) == 0
    assert rows(school, Change.id) == []


def test_a_report_about_a_person_that_cannot_be_folded_keeps_no_other(
    school: Site, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    create(school, "1")
    work(school)
    report(school, "person_changed", "ada")
    report(school, "person_deleted", "bob")
    monkeypatch.setattr("commweb.sync.changes.accounts.retire", raising(ArithmeticError("bug")))
    assert fold(school.state) == 1
    ((waits, who),) = rows(school, Change.id, Change.person_id)
    assert who == "bob"
    ((due,),) = rows(school, RoomRow.synced_revision < RoomRow.revision)
    assert due
    (record,) = [one for one in caplog.records if one.levelno == logging.ERROR]
    assert record.getMessage() == f"The report {waits} about a person could not be folded."
    monkeypatch.undo()
    assert fold(school.state) == 1


def test_a_database_that_is_away_is_no_courses_fault(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    create(school, "1")
    away = OperationalError("SELECT", {}, Exception("away"))
    monkeypatch.setattr("commweb.sync.changes.store_course", raising(away))
    with pytest.raises(OperationalError):
        fold(school.state)
    assert rows(school, FoldRow.failures) == [(0,)]
    monkeypatch.setattr("commweb.sync.changes.mark_people", raising(away))
    report(school, "person_changed", "ada")
    with pytest.raises(OperationalError):
        fold(school.state)


def test_a_stop_is_heeded_before_anything_and_between_courses(school: Site) -> None:
    create(school, "1", "2")
    assert fold(school.state, lambda: True) == 0
    said = iter([False, False, True, True])
    assert fold(school.state, lambda: next(said)) == 1
    assert len(rows(school, RoomRow.id)) == 1
    assert fold(school.state) == 1


def test_a_failing_course_of_which_something_new_is_reported_does_not_rest_for_long(
    school: Site,
) -> None:
    create(school, "1")
    school.campus.broken = True
    fold(school.state)
    write(school, update(FoldRow).values(retry_at=now() + timedelta(minutes=50)))
    assert fold(school.state) == 0
    ((rests,),) = rows(school, FoldRow.retry_at)
    assert rests > now() + timedelta(minutes=40), "nothing new"
    report(school, "course_changed", "1")
    assert fold(school.state) == 0
    ((rests,),) = rows(school, FoldRow.retry_at)
    assert rests <= now() + timedelta(seconds=5), "soon, and not at once"
    assert rows(school, FoldRow.failures) == [(1,)]
