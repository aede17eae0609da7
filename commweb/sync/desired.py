"""Which rooms a course should have and what each looks like. Pure."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from commweb.host import Course, Group, Member, Person, Role
from commweb.providers.rooms import Picture

__all__ = ["LEVELS", "Choice", "DesiredMember", "DesiredRoom", "closed", "rooms", "slug"]

TOPIC_LENGTH = 255
_PLACE = re.compile(r"\{(course|group|room)\}")

LEVELS: Mapping[Role, int] = {Role.PARTICIPANT: 0, Role.MODERATOR: 50, Role.ADMIN: 50}
"""The default power level of each role."""


@dataclass(frozen=True)
class Choice:
    """What a course chose. ``provider`` empty: no room. ``room_mode``: course, groups or both.
    ``name`` empty: the course's; ``topic`` None: the course's summary; ``picture``: whether the
    rooms have the course's."""

    provider: str
    room_mode: str = "course"
    group_template: str = "{room} - {group}"
    name: str = ""
    topic: str | None = None
    picture: bool = True


@dataclass(frozen=True)
class DesiredMember:
    """A person who should be in the room, with the power level of the role."""

    person: Person
    level: int


@dataclass(frozen=True)
class DesiredRoom:
    """A room as it should be. ``group_id`` empty: the whole course's. ``away`` names people who
    are enrolled but suspended: they are not in it, and come back without being enrolled again.
    """

    group_id: str
    provider: str
    name: str
    topic: str
    slug: str
    members: tuple[DesiredMember, ...] = ()
    away: tuple[str, ...] = ()
    picture: Picture | None = None
    read_only: bool = False


def rooms(
    course: Course | None,
    groups: Iterable[Group],
    members: Iterable[Member],
    choice: Choice | None,
    *,
    at: datetime,
    levels: Mapping[Role, int] = LEVELS,
) -> tuple[DesiredRoom, ...]:
    """The rooms the course should have at ``at`` (aware UTC); none for a course that is gone."""
    if course is None or choice is None or not choice.provider:
        return ()
    people = list(members)
    group_list = list(groups) if choice.room_mode in ("groups", "both") else []
    base = _course_room(course, choice, at)
    wanted = []
    if choice.room_mode != "groups" or not group_list:
        wanted.append(replace(base, members=_members(people, levels), away=_away(people)))
    for group in sorted(group_list, key=lambda group: group.id):
        inside = [
            member
            for member in people
            if group.id in member.group_ids or member.role is not Role.PARTICIPANT
        ]
        name = _group_name(choice.group_template, course, group, base.name)
        here = replace(base, members=_members(inside, levels), away=_away(inside))
        wanted.append(replace(here, group_id=group.id, name=name))
    return tuple(wanted)


def closed(course: Course, at: datetime) -> bool:
    """Whether the course is hidden, not open yet or over."""
    early = course.opens_at is not None and at < course.opens_at
    late = course.closes_at is not None and at >= course.closes_at
    return not course.visible or early or late


def _course_room(course: Course, choice: Choice, at: datetime) -> DesiredRoom:
    """The room of the whole course, without its people."""
    image = course.image if choice.picture else None
    return DesiredRoom(
        group_id="",
        provider=choice.provider,
        name=choice.name or course.full_name,
        topic=_topic(course, choice),
        slug=slug(course.short_name),
        picture=Picture(image.digest, image.media_type, image.read) if image else None,
        read_only=closed(course, at),
    )


def _group_name(template: str, course: Course, group: Group, base: str) -> str:
    values = {"course": course.full_name, "group": group.name, "room": base}
    # In one pass: a name that looks like a placeholder stays what it is.
    name = _PLACE.sub(lambda place: values[place[1]], template)
    return name.strip() or group.name or base


def _topic(course: Course, choice: Choice) -> str:
    text = course.summary if choice.topic is None else choice.topic
    return " ".join(text.split())[:TOPIC_LENGTH].rstrip()


def _members(members: list[Member], levels: Mapping[Role, int]) -> tuple[DesiredMember, ...]:
    best: dict[str, DesiredMember] = {}
    for member in members:
        if not (member.active and member.person.active):
            continue
        level = levels.get(member.role, 0)
        held = best.get(member.person.id)
        if held is None or held.level < level:
            best[member.person.id] = DesiredMember(member.person, level)
    return tuple(best[key] for key in sorted(best))


def _away(members: list[Member]) -> tuple[str, ...]:
    active = {member.person.id for member in members if member.active and member.person.active}
    return tuple(sorted({member.person.id for member in members} - active))


def slug(text: str) -> str:
    """A short, plain word for an alias: lower case letters, digits and hyphens, never empty."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    return "-".join(re.findall("[a-z0-9]+", plain))[:40].rstrip("-") or "course"
