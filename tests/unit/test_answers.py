"""Texts of a host that no database and no homeserver could keep."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from commweb import Course, Group, Member, Person, Role
from commweb.answers import CheckedHost
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
