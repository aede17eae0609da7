"""What saving settings would change in the rooms there are, said before it is done."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from commweb.errors import HostError
from commweb.host import Role
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import Account, MemberRow, RoomRow
from commweb.providers.base import Provider
from commweb.servers import here
from commweb.state import State
from commweb.sync.identity import level_map, rules_of
from commweb.sync.reading import read_course

__all__ = ["Consequences", "consequences"]

COURSES_READ = 500
"""How many courses are asked for their people before a page is shown."""


@dataclass(frozen=True)
class Consequences:
    """What happens, in sentences. ``key`` names the values they are for: whoever confirms,
    confirms these."""

    sentences: tuple[str, ...]
    key: str


def consequences(
    state: State, provider: Provider, values: Mapping[str, Any]
) -> Consequences | None:
    """What saving ``values`` does to people in rooms; None: nothing that has to be confirmed."""
    stored = state.values(provider).values
    wanted = {**stored, **values}
    said = (
        *_other_levels(state, provider, stored, wanted),
        *_left_out(state, provider, wanted),
        *_strangers(state, provider, stored, wanted),
    )
    if not said:
        return None
    named = json.dumps({key: wanted[key] for key in provider.reapplied})
    return Consequences(said, hashlib.sha256(named.encode()).hexdigest()[:16])


def _other_levels(
    state: State, provider: Provider, stored: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterable[str]:
    before, after = level_map(stored), level_map(wanted)
    if before == after:
        return
    with state.database.read() as connection:
        query = select(RoomRow.course_id).where(RoomRow.provider == provider.id, RoomRow.wanted)
        courses = connection.execute(query.distinct().limit(COURSES_READ + 1)).scalars().all()
    try:
        changed = [
            people
            for course_id in courses[:COURSES_READ]
            for people in _changed(state, provider.id, course_id, before, after)
            if people
        ]
    except HostError:
        yield _("The power levels change. The site could not say how many people that are.")
        return
    if changed:
        everybody = set().union(*changed)
        yield _sentence(len(changed), len(everybody), more=len(courses) > COURSES_READ)


def _sentence(room_count: int, people_count: int, *, more: bool) -> str:
    people = ngettext("%(count)d person", "%(count)d people", people_count)
    in_rooms = ngettext("%(count)d room", "%(count)d rooms", room_count)
    if more:
        return _(
            "The power level of more than %(people)s changes, in more than %(rooms)s.",
            people=people,
            rooms=in_rooms,
        )
    return _("The power level of %(people)s changes, in %(rooms)s.", people=people, rooms=in_rooms)


def _changed(
    state: State,
    provider_id: str,
    course_id: str,
    before: Mapping[Role, int],
    after: Mapping[Role, int],
) -> list[set[str]]:
    """For each room of the course: who gets another level."""
    read = read_course(state, course_id)
    return [
        {
            was.person.id
            for was, will in zip(one.members, other.members, strict=True)
            if was.level != will.level
        }
        for one, other in zip(read.rooms(before), read.rooms(after), strict=True)
        if one.provider == provider_id
    ]


def _left_out(state: State, provider: Provider, wanted: Mapping[str, Any]) -> Iterable[str]:
    """People who are in rooms with an account that does not count any more."""
    was = rules_of(provider, state.values(provider).values).mode
    if was == "linked" or rules_of(provider, wanted).mode != "linked":
        return
    query = (
        select(func.count(MemberRow.person_id.distinct()), func.count(MemberRow.room_id.distinct()))
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .join(Account, Account.person_id == MemberRow.person_id)
        .where(
            RoomRow.provider == provider.id,
            RoomRow.wanted,
            Account.provider == provider.id,
            Account.origin == "created",
            here(Account),
            MemberRow.state.in_(("adding", "in", "invited")),
        )
    )
    with state.database.read() as connection:
        people, room_count = connection.execute(query).one()
    if people:
        yield ngettext(
            "%(count)d person has linked no account and leaves %(rooms)s.",
            "%(count)d people have linked no account and leave %(rooms)s.",
            people,
            rooms=ngettext("%(count)d room", "%(count)d rooms", room_count),
        )


def _strangers(
    state: State, provider: Provider, stored: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterable[str]:
    """People nobody enrolled. How many they are is known to the rooms only."""
    if stored.get("remove_others") or not wanted.get("remove_others"):
        return
    query = select(func.count()).where(
        RoomRow.provider == provider.id, RoomRow.wanted, RoomRow.remote_id.is_not(None)
    )
    with state.database.read() as connection:
        count = connection.execute(query).scalar_one()
    if count:
        yield ngettext(
            "People whom the course does not have are removed from %(count)d room.",
            "People whom the courses do not have are removed from %(count)d rooms.",
            count,
        )
