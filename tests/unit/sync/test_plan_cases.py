"""One file a rule, named by the rule: what the course says, what was done last, what the room
looks like, and the sentences of the plan.

A file holds ``course`` (null: deleted or without a provider), ``accounts`` (what differs from
``@id:sim``, known), ``applied``, ``observed`` (null: no room), ``policy`` and what comes of it:
``plan``; and where it matters ``levels`` (of the one write), ``invited`` (in the write that makes
the room), ``people`` (id: state that is recorded when all is done), ``held`` and ``kept``
(sentences). ``tried``: an earlier try may have made the room.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from commweb.host import Course, CourseImage, Member, Person, Role
from commweb.providers.rooms import CreateRoom, ObservedMember, ObservedRoom, SetLevels
from commweb.sync.desired import Choice, DesiredMember, rooms
from commweb.sync.details import details
from commweb.sync.guard import guard
from commweb.sync.holding import facts_of
from commweb.sync.known import Applied, AppliedMember, Intended, Policy, Seat, Target
from commweb.sync.plan import Birth, plan
from commweb.sync.standing import standings

CASES = Path(__file__).parent / "cases"
OWN = "@bot:sim"
AT = datetime(2026, 9, 1, tzinfo=UTC)
ROLES = {"student": Role.PARTICIPANT, "teacher": Role.MODERATOR, "admin": Role.ADMIN}
KEYS = {
    "course", "accounts", "applied", "observed", "policy", "plan", "levels", "people", "held",
    "kept", "invited", "tried",
}  # fmt: skip
NAMES = sorted(path.stem for path in CASES.glob("*.json"))


def no_bytes() -> bytes:
    raise AssertionError("Deciding reads no picture.")


def target_of(case: dict[str, Any]) -> Target | None:
    given = case["course"]
    if given is None:
        return None
    image = given.get("image")
    course = Course(
        id="1",
        full_name=given.get("name", "Algebra"),
        short_name="algebra",
        url="http://lms.example/1",
        summary=given.get("summary", ""),
        visible=given.get("visible", True),
        image=CourseImage(image, "image/png", no_bytes) if image else None,
    )
    members = [member_of(entry) for entry in given.get("members", [])]
    (room,) = rooms(course, (), members, Choice("simulated"), at=AT)
    accounts = case.get("accounts", {})
    return Target(room, tuple(seat_of(member, accounts) for member in room.members))


def member_of(entry: dict[str, Any]) -> Member:
    name = entry["id"]
    person = Person(name, name, name.title(), active=entry.get("person_active", True))
    return Member(person, ROLES[entry.get("role", "student")], active=entry.get("active", True))


def seat_of(member: DesiredMember, accounts: dict[str, Any]) -> Seat:
    person = member.person
    seat = Seat(person.id, person.display_name, f"@{person.id}:sim", member.level)
    return replace(seat, **accounts.get(person.id, {}))


def applied_of(given: dict[str, Any]) -> Applied:
    members = {
        name: AppliedMember(
            remote_user_id=entry.get("account", f"@{name}:sim"),
            display_name=name.title(),
            intended_level=entry.get("intended", entry.get("level")),
            applied_level=entry.get("level"),
            state=entry.get("state", "in"),
        )
        for name, entry in given.get("members", {}).items()
    }
    plain = {key: value for key, value in given.items() if key not in ("members", "intended")}
    intended = Intended(**given.get("intended", {}))
    return Applied(members=members, intended=intended, **plain)


def observed_of(given: dict[str, Any] | None) -> ObservedRoom | None:
    """A member is a membership, "leave by self" among them."""
    if given is None:
        return None
    members = {OWN: ObservedMember("join", by_self=True)}
    for remote, membership in given.get("members", {}).items():
        kind = membership.removesuffix(" by self")
        members[remote] = ObservedMember(kind, by_self=kind != membership)
    plain = {key: value for key, value in given.items() if key not in ("members", "creators")}
    room = ObservedRoom(
        remote_id="!room",
        name="Algebra",
        members=members,
        creators=frozenset(given.get("creators", [OWN])),
        own_id=OWN,
    )
    if plain.get("read_only"):
        plain.setdefault("message_level", 50)
    return replace(room, **plain)


@pytest.mark.parametrize("name", NAMES)
def test_rule(name: str) -> None:
    case: dict[str, Any] = json.loads((CASES / f"{name}.json").read_text())
    assert set(case) <= KEYS, "a key nobody reads proves nothing"
    target, applied = target_of(case), applied_of(case["applied"])
    observed, policy = observed_of(case["observed"]), Policy(**case.get("policy", {}))
    birth = Birth("key", 1.0 if case.get("tried") else None, ())
    actions = plan(target, applied, observed, birth=birth, policy=policy)
    assert [action.sentence() for action in actions] == case["plan"]
    people = standings(target, applied, observed, policy)
    if "levels" in case:
        (write,) = [action.levels for action in actions if isinstance(action, SetLevels)]
        assert dict(write) == case["levels"]
    if "invited" in case:
        (creation,) = [action for action in actions if isinstance(action, CreateRoom)]
        assert [one.remote_user_id for one in creation.invited] == case["invited"]
    if "people" in case:
        assert {one.person_id: one.final.state for one in people} == case["people"]
    if "kept" in case and target is not None:
        notes = [one.final.reason for one in people if one.final.reason]
        kept = [*details(target, applied, observed, policy).kept, *notes]
        assert kept == case["kept"]
    facts = facts_of(target, applied, observed, people, actions)
    # A course that is not there is a course whose deletion was reported.
    hold = guard(replace(facts, reported_deletion=target is None))
    assert (hold.reason if hold else "") == case.get("held", "")


def test_every_file_is_a_rule() -> None:
    assert len(NAMES) > 50
    assert all("_" in name for name in NAMES)
