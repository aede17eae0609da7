"""Plans, applied to a simulated and to a real room, leave nothing to do."""

from __future__ import annotations

import secrets
from dataclasses import replace
from typing import Any

import pytest

from commweb.providers.rooms import EnsureAccount, ObservedRoom, Picture
from commweb.sync.desired import DesiredRoom
from commweb.sync.known import Policy, Seat, Target
from tests.contract.worlds import World
from tests.unit.sync.ledger import Book, look, run

from .test_backends import PNG

POLICY = Policy()


class Course:
    """A course with people and, as the engine goes along, its room in a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.backend = world.backend
        self.book = Book({"creation_key": secrets.token_hex(16)})
        self.room = DesiredRoom("", "any", "Algebra", "Numbers", "algebra")
        self.roles: dict[str, int] = {}
        self.accounts: dict[str, str] = {}
        self.made: set[str] = set()

    def account(self, person: str) -> str:
        if person not in self.accounts:
            name = f"{person}-{secrets.token_hex(4)}"
            self.accounts[person] = self.backend.identify(name, frozenset())
        return self.accounts[person]

    def change(self, **values: Any) -> None:
        self.room = replace(self.room, **values)

    @property
    def target(self) -> Target:
        seats = [
            Seat(
                person,
                person.title(),
                self.account(person),
                level,
                account="known" if self.account(person) in self.made else "new",
            )
            for person, level in sorted(self.roles.items())
        ]
        return Target(self.room, tuple(seats))

    def sync(self, target: Target | None = None, policy: Policy = POLICY) -> list[str]:
        """Run until done; the sentences. Afterwards nothing may be left to do."""
        target = target or self.target
        seen = run(self.book, target, self.backend, policy)
        self.made |= {one.remote_user_id for one in seen.actions if isinstance(one, EnsureAccount)}
        known = replace(target, seats=tuple(replace(s, account="known") for s in target.seats))
        assert look(self.book, known, self.backend, policy).actions == ()
        return [action.sentence() for action in seen.actions]

    def close(self, policy: Policy) -> None:
        run(self.book, None, self.backend, policy)

    @property
    def seen(self) -> ObservedRoom:
        found = self.backend.observe(self.book.ref)
        assert found is not None
        return found

    @property
    def room_id(self) -> str:
        return self.seen.remote_id

    @property
    def inside(self) -> set[str]:
        names = {remote: person for person, remote in self.accounts.items()}
        names[self.world.own_id] = "bot"
        return {
            names[remote] for remote, one in self.seen.members.items() if one.membership == "join"
        }

    def level(self, person: str) -> int:
        return self.seen.levels.get(self.account(person), 0)


@pytest.fixture
def course(world: World) -> Course:
    made = Course(world)
    made.roles = {"ada": 50, "bob": 0}
    made.sync()
    return made


def test_a_course_becomes_a_room(course: Course) -> None:
    assert course.inside == {"bot", "ada", "bob"}
    assert (course.seen.name, course.seen.topic) == ("Algebra", "Numbers")
    assert (course.level("ada"), course.level("bob")) == (50, 0)


def test_everything_that_can_change_changes_at_once(course: Course) -> None:
    course.roles = {"bob": 50, "cyd": 0, "dan": 50}
    picture = Picture("d1", "image/png", lambda: PNG)
    course.change(name="Geometry", topic="", picture=picture, read_only=True)
    assert course.sync() == [
        "Remove Ada from Geometry",
        "Change the power level of Ada, Bob, Dan; Make the room read-only",
        "Make sure Cyd has an account",
        "Add Cyd to Geometry",
        "Make sure Dan has an account",
        "Add Dan to Geometry as moderator",
        "Rename the room to Geometry",
        "Clear the topic",
        "Change the picture",
    ]
    assert course.inside == {"bot", "bob", "cyd", "dan"}
    assert [course.level(name) for name in ("ada", "bob", "cyd", "dan")] == [0, 50, 0, 50]
    assert (course.seen.name, course.seen.topic, course.seen.read_only) == ("Geometry", "", True)
    first = course.seen.picture_uri
    assert first is not None
    course.change(picture=replace(picture, digest="d2"), read_only=False)
    course.sync()
    assert course.seen.picture_uri not in (None, first)
    course.change(picture=None)
    course.sync()
    assert course.seen.picture_uri is None


def test_hands_and_feet_are_respected(course: Course) -> None:
    room_id = course.room_id
    course.roles |= {"cyd": 0, "dan": 0}
    course.sync()
    course.world.leave(room_id, course.account("bob"))
    course.world.set_membership(room_id, course.account("cyd"), "ban")
    course.world.set_membership(room_id, course.account("dan"), "leave")
    course.world.set_level(room_id, course.account("ada"), 70)
    assert course.sync() == ["Add Dan to Algebra"]
    assert course.inside == {"bot", "ada", "dan"}
    states = {person: record.state for person, record in course.book.members.items()}
    assert states == {"ada": "in", "bob": "left", "cyd": "banned", "dan": "in"}
    assert course.level("ada") == 70
    del course.roles["bob"]
    course.sync()
    course.roles["bob"] = 0
    assert course.sync() == ["Add Bob to Algebra"]


def test_a_person_with_another_account_changes_places(course: Course) -> None:
    old = course.accounts.pop("ada")
    course.sync()
    assert course.level("ada") == 50
    assert course.seen.members[old].membership == "leave"
    assert old not in course.seen.levels


def test_a_closed_room_keeps_its_guests(course: Course) -> None:
    course.roles["gil"] = 0
    course.sync()
    # As if somebody in the chat had brought them.
    del course.book.members["gil"]
    del course.book.past[course.account("gil")]
    course.close(POLICY)
    assert course.inside == {"bot", "gil"}
    course.roles = {"ada": 50}
    course.sync()
    assert course.inside == {"bot", "ada", "gil"}
    course.sync(policy=Policy(remove_others=True))
    assert course.inside == {"bot", "ada"}


def test_a_room_that_is_gone_is_made_again(course: Course) -> None:
    before = course.room_id
    for person in ("ada", "bob"):
        course.world.set_membership(before, course.account(person), "leave")
    course.world.leave_ourselves(before)
    course.sync()
    assert course.room_id != before
    assert course.inside == {"bot", "ada", "bob"}
    assert course.level("ada") == 50


def test_a_member_account_that_is_ours_is_left_alone(world: World) -> None:
    course = Course(world)
    course.accounts["bot"] = world.own_id
    course.made = {world.own_id}
    course.roles = {"bot": 50, "ada": 0}
    course.sync()
    before = dict(course.seen.levels)
    course.roles = {"bot": 0, "ada": 0}
    assert course.sync() == []
    course.roles = {"ada": 0}
    assert course.sync() == []
    assert dict(course.seen.levels) == before
    assert course.seen.own_can_manage
