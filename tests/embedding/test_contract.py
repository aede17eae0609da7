"""`HostContract`: a good host keeps every promise, and each broken one is named."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import request
from sqlalchemy.exc import SQLAlchemyError

from commweb import Course, CourseImage, Group, Member, Permission, Person
from commweb.errors import MisuseError, WrongAnswer
from commweb.testing import HostContract
from tests.embedding.college import db
from tests.embedding.college.host import College
from tests.embedding.college.models import Scholar
from tests.embedding.visiting import Open, open_college


class TestCollege(HostContract):
    """The college keeps every promise."""

    course_id = "1"

    @pytest.fixture(autouse=True)
    def _college(self, college: Open) -> None:
        college.write("Astronomy", "cuthbert")
        college.write("Botany")
        self.app = college.app
        self.person_id = cuthbert(college)


def cuthbert(college: Open) -> str:
    with college.app.app_context():
        found = db.session.scalars(db.select(Scholar.id).filter_by(handle="cuthbert")).one()
        return str(found)


class Silent(College):
    """Says "nobody" when its database is away."""

    def members(self, course_id: str) -> Iterable[Member]:
        try:
            return super().members(course_id)
        except SQLAlchemyError:
            return []


class Forgetful(College):
    """Says "gone" when its database is away."""

    def person(self, id: str) -> Person | None:
        try:
            return super().person(id)
        except SQLAlchemyError:
            return None


class Bound(College):
    """Needs a request to name a course's address."""

    def course(self, id: str) -> Course | None:
        course = super().course(id)
        return course and replace(course, url=request.url_root)


class Raising(College):
    """Raises for what is gone."""

    def person(self, id: str) -> Person | None:
        person = super().person(id)
        if person is None:
            raise LookupError(id)
        return person


class Inventive(College):
    """Gives a stranger's data for an id nobody has."""

    def course(self, id: str) -> Course | None:
        return super().course(id) or Course(id, "Untitled", "U", "https://college.example")


class Numbering(College):
    def person(self, id: str) -> Person | None:
        person = super().person(id)
        return person and replace(person, id=7)  # type: ignore[arg-type]


class Grouping(College):
    """Members are in groups that the course does not have."""

    def groups(self, course_id: str) -> Iterable[Group]:
        return []

    def members(self, course_id: str) -> Iterable[Member]:
        return [
            replace(member, group_ids=frozenset({"Z"})) for member in super().members(course_id)
        ]


class Ticking(College):
    """Makes up a value at each read."""

    ticks: ClassVar[Any] = count()

    def course(self, id: str) -> Course | None:
        course = super().course(id)
        return course and replace(course, summary=f"read {next(self.ticks)} times")


class Trusting(College):
    def can(self, person: Person, permission: Permission, course_id: str | None = None) -> bool:
        return True


class Shrugging(College):
    def can(self, *_given: Any) -> bool:
        return None  # type: ignore[return-value]


class Open_(College):  # noqa: N801
    """Somebody is always logged in."""

    def current_person(self) -> Person | None:
        return Person("ada", "ada", "Ada")


class Twice(College):
    def courses(self) -> Iterable[Course]:
        return [*super().courses(), *super().courses()]


class Pictured(College):
    """Its picture needs the context that was there when the course was read."""

    def courses(self) -> Iterable[Course]:
        def read() -> bytes:
            return str(db.session.scalar(db.select(Scholar.id))).encode()

        image = CourseImage("1", "image/png", read)
        return [replace(course, image=image) for course in super().courses()]


A_COURSE = "test_a_course_is_found_by_its_id_in_a_worker_without_a_request"
FAILED = "test_a_failed_read_raises_and_never_reads_as_empty"
GONE = "test_what_is_gone_is_none"
ALLOWED = "test_permissions_are_yes_or_no_and_strangers_have_none"
BROKEN: list[tuple[type[College], str, type[Exception], str]] = [
    (Silent, FAILED, AssertionError, r"members\('1'\) gave \[\] although its read failed"),
    (Forgetful, FAILED, AssertionError, r"person\(.*\) gave None although its read failed"),
    (Bound, A_COURSE, RuntimeError, "outside of request context"),
    (Raising, GONE, LookupError, "no-such-id"),
    (Inventive, GONE, AssertionError, r"course\('no-such-id'\) must give None"),
    (Numbering, "test_a_person_is_found_by_the_id", WrongAnswer, "whose id is an int"),
    (
        Grouping,
        "test_members_are_in_groups_of_their_course_only",
        AssertionError,
        r"groups \['Z'\], which groups\('1'\) does not list",
    ),
    (
        Ticking,
        "test_the_same_question_gets_the_same_answer",
        AssertionError,
        r"course\('1'\) gave two answers to one question",
    ),
    (Trusting, ALLOWED, AssertionError, "allows CONFIGURE_SITE to somebody who does not exist"),
    (Shrugging, ALLOWED, WrongAnswer, r"Shrugging.can\(\) gave None"),
    (
        Open_,
        "test_nobody_is_logged_in_without_a_session",
        AssertionError,
        "gave somebody in a request without a session",
    ),
    (
        Twice,
        "test_every_course_is_listed_once_and_found_by_its_id",
        AssertionError,
        "lists a course twice",
    ),
    (
        Pictured,
        "test_a_picture_is_read_later_in_another_thread",
        RuntimeError,
        "application context",
    ),
]


@pytest.mark.parametrize("case", BROKEN, ids=[case[0].__name__ for case in BROKEN])
def test_a_broken_promise_fails_the_test_that_names_it(
    tmp_path: Path, case: tuple[type[College], str, type[Exception], str]
) -> None:
    host, test, error, sentence = case
    with open_college(tmp_path / "college") as college:
        college.write("Astronomy", "cuthbert")
        contract = HostContract()
        contract.app, contract.host = college.app, host()
        contract.course_id, contract.person_id = "1", cuthbert(college)
        with pytest.raises(error, match=sentence):
            getattr(contract, test)()


def test_a_contract_without_its_course_says_what_it_needs(college: Open) -> None:
    contract = HostContract()
    contract.app = college.app
    with pytest.raises(MisuseError, match="HostContract needs course_id: set it in the class"):
        contract.test_what_is_gone_is_none()
