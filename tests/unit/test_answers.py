"""Texts of a host that no database and no homeserver could keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from commweb import Course, CourseImage, Group, Member, Person, Role
from commweb.answers import CheckedHost
from commweb.errors import WrongAnswer
from tests.sites import Campus


class Odd(Campus):
    """Everything it names has the same name."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def person(self, id: str) -> Person | None:
        return Person("1", self.name, self.name)

    def course(self, id: str) -> Course | None:
        return Course("1", self.name, self.name, "http://lms.example/1", self.name)

    def groups(self, course_id: str) -> Iterable[Group]:
        return [Group("g", self.name)]

    def members(self, course_id: str) -> Iterable[Member]:
        return [Member(Person("1", "ada", self.name), Role.PARTICIPANT, frozenset({"g"}))]


@pytest.mark.parametrize(
    ("given", "kept"), [("Al\0gebra", "Algebra"), ("Al\ud800gebra", "Al?gebra"), ("π 𝄞", "π 𝄞")]
)
def test_texts_for_people_are_handed_on_as_they_can_be_stored(given: str, kept: str) -> None:
    host = CheckedHost(Odd(given))
    person, course = host.person("1"), host.course("1")
    assert course == Course("1", kept, kept, "http://lms.example/1", kept)
    # The user name is an id: whoever has it elsewhere has it unchanged.
    assert person == Person("1", given, kept)
    assert list(host.groups("1")) == [Group("g", kept)]
    assert list(host.members("1")) == [
        Member(Person("1", "ada", kept), Role.PARTICIPANT, frozenset({"g"}))
    ]


LONG = "x" * 256
UNUSABLE = [LONG, "a\0b", "half \ud83d"]


class Mixed(Campus):
    """A course with one good and one bad of everything; ``bad`` is the id."""

    def __init__(self, bad: str) -> None:
        super().__init__()
        self.bad = bad

    def groups(self, course_id: str) -> Iterable[Group]:
        return [Group("g", "Good"), Group(self.bad, "Bad")]

    def members(self, course_id: str) -> Iterable[Member]:
        in_both = frozenset({"g", self.bad})
        return [
            Member(Person("1", "ada", "Ada"), Role.PARTICIPANT, in_both),
            Member(Person(self.bad, "bob", "Bob"), Role.PARTICIPANT),
            Member(Person("3", "cyd", "Cyd", external_id=self.bad), Role.PARTICIPANT),
        ]


@pytest.mark.parametrize("bad", UNUSABLE)
def test_an_id_that_cannot_be_kept_costs_the_one_who_has_it(bad: str) -> None:
    host = Mixed(bad)
    host.add("1")
    answer = CheckedHost(host).answer("1")
    assert answer.groups == (Group("g", "Good"),)
    assert answer.members == (
        Member(Person("1", "ada", "Ada"), Role.PARTICIPANT, frozenset({"g"})),
    )
    assert answer.problems == (
        "1 group has an ID that cannot be used.",
        "2 people have an ID that cannot be used.",
    )


@pytest.mark.parametrize("bad", UNUSABLE)
def test_a_course_whose_own_id_cannot_be_kept_is_refused(bad: str) -> None:
    host = Campus()
    host.add(bad)
    host.add("2")
    checked = CheckedHost(host)
    with pytest.raises(WrongAnswer, match="longer than 255 characters"):
        checked.course(bad)
    assert [course.id for course in checked.courses()] == ["2"]


def test_a_picture_whose_digest_cannot_be_kept_is_left_out() -> None:
    host = Campus()
    host.add("1")
    image = CourseImage("d" * 129, "image/png", bytes)
    host.course_table["1"] = replace(host.course_table["1"], image=image)
    answer = CheckedHost(host).answer("1")
    assert answer.course is not None
    assert answer.course.image is None
    assert answer.problems == ("The course's picture has a digest that cannot be used.",)


EAST, WEST = timezone(timedelta(hours=5)), timezone(timedelta(hours=-5))


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (datetime(9999, 12, 31, 23, 59, 59, tzinfo=WEST), datetime.max.replace(tzinfo=UTC)),
        (datetime(1, 1, 1, tzinfo=EAST), datetime.min.replace(tzinfo=UTC)),
        (datetime(2030, 1, 1, tzinfo=WEST), datetime(2030, 1, 1, 5, tzinfo=UTC)),
    ],
)
def test_a_time_outside_of_the_calendar_is_its_first_or_last(
    given: datetime, kept: datetime
) -> None:
    host = Campus()
    host.add("1")
    host.course_table["1"] = replace(host.course_table["1"], closes_at=given)
    course = CheckedHost(host).course("1")
    assert course is not None
    assert course.closes_at is not None
    assert course.closes_at.astimezone(UTC) == kept


@pytest.mark.parametrize("bad", UNUSABLE)
def test_an_account_that_cannot_be_kept_is_read_as_none_and_not_as_another(bad: str) -> None:
    class Naming(Campus):
        def person(self, id: str) -> Person | None:
            return Person(id, id, id, accounts={"matrix": bad, "other": "7"})

    person = CheckedHost(Naming()).person("ada")
    assert person is not None
    assert person.accounts == {"matrix": "\ufffd", "other": "7"}


def test_a_persons_matrix_account_is_given_and_read_in_two_ways() -> None:
    one = Person("1", "ada", "Ada", True, "@ada:sim", "x")
    two = Person("1", "ada", "Ada", external_id="x", accounts={"matrix": "@ada:sim"})
    assert one == two
    assert hash(one) == hash(two)
    assert two.matrix_user_id == "@ada:sim"
    assert Person("1", "ada", "Ada").matrix_user_id is None
    assert replace(two, matrix_user_id="@eva:sim").accounts == {"matrix": "@eva:sim"}
    assert replace(one, accounts={"matrix": "@eva:sim"}).matrix_user_id == "@eva:sim"
    assert two.accounts == {"matrix": "@ada:sim"}  # what was handed in is nobody else's to change


@pytest.mark.parametrize("accounts", [None, "@ada:sim", {"matrix": None}, {7: "@ada:sim"}])
def test_accounts_of_another_type_are_refused(accounts: object) -> None:
    class Odd(Campus):
        def person(self, id: str) -> Person | None:
            return Person(id, id, id, accounts=accounts)  # type: ignore[arg-type]

    with pytest.raises(WrongAnswer, match=r"accounts|matrix_user_id"):
        CheckedHost(Odd()).person("ada")


def test_a_site_without_passwords_says_so_and_others_answer_yes_or_no() -> None:
    class Asking(Campus):
        answer: object = True

        def check_password(self, person: Person, password: str) -> bool | None:
            return self.answer  # type: ignore[return-value]

    ada, host = Person("1", "ada", "Ada"), Asking()
    assert CheckedHost(Campus()).check_password(ada, "x") is None
    assert CheckedHost(host).check_password(ada, "x") is True
    host.answer = "yes"
    with pytest.raises(WrongAnswer, match="True, False or None"):
        CheckedHost(host).check_password(ada, "x")
