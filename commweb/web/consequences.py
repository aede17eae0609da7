"""What saving settings would change in the rooms there are, said before it is done.

Who is in which room, and who is there without being of the course, is read from the record of the
last sync: the homeserver is not asked, so that a page answers while it is down.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select, update

from commweb.errors import HostError
from commweb.host import Role
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import Account, MemberRow, RoomRow
from commweb.priority import DUE
from commweb.providers.base import Provider
from commweb.servers import here
from commweb.state import State
from commweb.sync.closing_rooms import DELETE_ROOM, INSIDE
from commweb.sync.guests import MOST_GUESTS
from commweb.sync.identity import level_map, rules_of
from commweb.sync.reading import read_course

__all__ = ["Consequences", "NumbersChanged", "confirm_recorded", "consequences"]

COURSES_READ = 500
"""How many courses are asked for their people before a page is shown."""


class NumbersChanged(Exception):  # noqa: N818  (nothing failed: it is asked again)
    """What was confirmed is not what would happen now."""


@dataclass(frozen=True)
class Part:
    """One thing that happens. ``named`` is what it is about, exactly; ``confirms`` whom of which
    room, by the room's id; ``as_of``: when these rooms were last confirmed."""

    sentences: tuple[str, ...]
    button: str
    named: tuple[object, ...]
    confirms: Mapping[int, frozenset[str]] = field(default_factory=dict)
    as_of: datetime | None = None


@dataclass(frozen=True)
class Consequences:
    """What happens, in sentences, and what the button says that does it. ``key`` names exactly
    this: whoever confirms, confirms this. ``as_of``: how old the record is that the numbers come
    from; None: it holds none. ``recorded``: what of it the record says."""

    sentences: tuple[str, ...]
    button: str
    key: str
    as_of: datetime | None = None
    recorded: tuple[Part, ...] = ()


def consequences(
    state: State, provider: Provider, values: Mapping[str, Any]
) -> Consequences | None:
    """What saving ``values`` does to people in rooms; None: nothing that has to be confirmed."""
    stored = state.values(provider).values
    wanted = {**stored, **values}
    asked = tuple(_other_levels(state, provider, stored, wanted))
    with state.database.read() as connection:
        recorded = _recorded(connection, provider, stored, wanted)
    parts = (*asked, *recorded)
    if not parts:
        return None
    changed = {key: wanted[key] for key in wanted if wanted[key] != stored.get(key)}
    return Consequences(
        sentences=tuple(sentence for part in parts for sentence in part.sentences),
        button=parts[0].button if len(parts) == 1 else _("Save and do all of this"),
        key=_key(changed, parts),
        as_of=min((part.as_of for part in recorded if part.as_of), default=None),
        recorded=recorded,
    )


def confirm_recorded(
    connection: Connection,
    provider: Provider,
    stored: Mapping[str, Any],
    values: Mapping[str, Any],
    follows: Consequences,
) -> None:
    """Somebody confirmed ``follows``: the rooms do it unasked. Part of the transaction that saves
    ``values`` in place of ``stored``. Raises `NumbersChanged`."""
    rooms = select(RoomRow.id).where(RoomRow.provider == provider.id).order_by(RoomRow.id)
    connection.execute(rooms.with_for_update())
    now = _recorded(connection, provider, stored, {**stored, **values})
    if _key({}, now) != _key({}, follows.recorded):
        raise NumbersChanged
    for part in now:
        for room_id, people in sorted(part.confirms.items()):
            _confirm(connection, room_id, people)


def _confirm(connection: Connection, room_id: int, people: frozenset[str]) -> None:
    column = RoomRow.confirmed_people
    before = connection.execute(select(column).where(RoomRow.id == room_id)).scalar() or []
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id)
        .values(confirmed_people=sorted({*before, *people}))
    )


def _key(changed: Mapping[str, Any], parts: Sequence[Part]) -> str:
    named = json.dumps([dict(changed), [part.named for part in parts]], sort_keys=True)
    return hashlib.sha256(named.encode()).hexdigest()[:16]


def _recorded(
    connection: Connection,
    provider: Provider,
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> tuple[Part, ...]:
    """What the record of the last syncs says."""
    return (
        *_left_out(connection, provider, stored, wanted),
        *_guests(connection, provider, stored, wanted),
        *_deleted_rooms(connection, provider, stored, wanted),
    )


def _other_levels(
    state: State, provider: Provider, stored: Mapping[str, Any], wanted: Mapping[str, Any]
) -> Iterable[Part]:
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
        said = _("The power levels change. The site could not say how many people that are.")
        yield Part((said,), _("Change the power levels"), ("levels",))
        return
    if not changed:
        return
    everybody = sorted(set().union(*changed))
    said = _sentence(len(changed), len(everybody), more=len(courses) > COURSES_READ)
    button = ngettext(
        "Change the power level of %(count)d person",
        "Change the power level of %(count)d people",
        len(everybody),
    )
    yield Part((said,), button, ("levels", len(changed), everybody))


def _sentence(room_count: int, people_count: int, *, more: bool) -> str:
    people = ngettext("%(count)d person", "%(count)d people", people_count)
    if more:
        return _(
            "The power level of more than %(people)s changes, in more than %(rooms)s.",
            people=people,
            rooms=_rooms(room_count),
        )
    rooms = _rooms(room_count)
    return _("The power level of %(people)s changes, in %(rooms)s.", people=people, rooms=rooms)


def _rooms(count: int) -> str:
    return ngettext("%(count)d room", "%(count)d rooms", count)


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


def _left_out(
    connection: Connection,
    provider: Provider,
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Iterable[Part]:
    """People who are in rooms with an account that does not count any more."""
    was = rules_of(provider, stored).mode
    if was == "linked" or rules_of(provider, wanted).mode != "linked":
        return
    query = (
        select(RoomRow.id, MemberRow.person_id, RoomRow.synced_at)
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .join(Account, Account.person_id == MemberRow.person_id)
        .where(
            RoomRow.provider == provider.id,
            RoomRow.wanted,
            Account.provider == provider.id,
            Account.origin == "created",
            here(Account),
            MemberRow.state.in_(INSIDE),
        )
        .order_by(RoomRow.id, MemberRow.person_id)
        .distinct()
    )
    rows = connection.execute(query).all()
    if not rows:
        return
    people = sorted({row.person_id for row in rows})
    places: dict[int, set[str]] = {}
    for row in rows:
        places.setdefault(row.id, set()).add(row.person_id)
    said = ngettext(
        "%(count)d person has linked no account and leaves %(rooms)s.",
        "%(count)d people have linked no account and leave %(rooms)s.",
        len(people),
        rooms=_rooms(len(places)),
    )
    yield Part(
        (said,),
        ngettext("Remove %(count)d person", "Remove %(count)d people", len(people)),
        ("left out", [[row.id, row.person_id] for row in rows]),
        {room_id: frozenset(inside) for room_id, inside in places.items()},
        _oldest(row.synced_at for row in rows),
    )


def _guests(
    connection: Connection,
    provider: Provider,
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Iterable[Part]:
    """People in rooms whom no course put there."""
    if stored.get("remove_others") or not wanted.get("remove_others"):
        return
    query = (
        select(RoomRow.id, RoomRow.guests, RoomRow.synced_at)
        .where(*_of(provider), RoomRow.wanted)
        .order_by(RoomRow.id)
    )
    rows = connection.execute(query).all()
    if not rows:
        return
    found = {row.id: frozenset(guest["id"] for guest in row.guests or ()) for row in rows}
    found = {room_id: guests for room_id, guests in found.items() if guests}
    count = sum(len(guests) for guests in found.values())
    more = any(len(guests) >= MOST_GUESTS for guests in found.values())
    yield Part(
        tuple(_said_of_guests(count, len(found), more=more)),
        _guest_button(count),
        ("guests", [[room_id, sorted(guests)] for room_id, guests in found.items()]),
        found,
        _oldest(row.synced_at for row in rows),
    )


def _said_of_guests(count: int, room_count: int, *, more: bool) -> Iterable[str]:
    if not count:
        yield _("No room has guests now.")
    elif more:
        yield _(
            "At least %(count)d guests in %(rooms)s are removed.",
            count=count,
            rooms=_rooms(room_count),
        )
    else:
        yield ngettext(
            "%(count)d guest in %(rooms)s is removed.",
            "%(count)d guests in %(rooms)s are removed.",
            count,
            rooms=_rooms(room_count),
        )
    yield _("Whoever comes into a room another way later is removed at its next sync.")


def _guest_button(count: int) -> str:
    if not count:
        return _("Remove guests from now on")
    return ngettext("Remove %(count)d guest", "Remove %(count)d guests", count)


def _deleted_rooms(
    connection: Connection,
    provider: Provider,
    stored: Mapping[str, Any],
    wanted: Mapping[str, Any],
) -> Iterable[Part]:
    """Rooms that would be deleted with their messages once they are not needed, or now."""
    before, after = stored.get("closing_rule"), wanted.get("closing_rule")
    if before == after or after != DELETE_ROOM:
        return
    query = (
        select(RoomRow.id, RoomRow.wanted, RoomRow.guests, RoomRow.synced_at, DUE.label("due"))
        .where(*_of(provider), RoomRow.made_by_us)
        .order_by(RoomRow.id)
    )
    rows = connection.execute(query).all()
    standing = [row for row in rows if row.wanted]
    closing = [row.id for row in rows if not row.wanted and row.due]
    if not standing and not closing:
        return
    people = _people(connection, provider)
    guests = sum(len(row.guests or ()) for row in standing)
    yield Part(
        tuple(_said_of_rooms(len(standing), people, guests, len(closing))),
        _("Delete such rooms from now on"),
        ("delete", [row.id for row in standing], people, guests, closing),
        as_of=_oldest(row.synced_at for row in rows),
    )


def _said_of_rooms(standing: int, people: int, guests: int, closing: int) -> Iterable[str]:
    yield _(
        "From now on a room is deleted with its messages, for good, when its course is deleted or "
        "leaves it."
    )
    if standing:
        yield _(
            "This concerns %(rooms)s with %(people)s and %(guests)s.",
            rooms=_rooms(standing),
            people=ngettext("%(count)d person", "%(count)d people", people),
            guests=ngettext("%(count)d guest", "%(count)d guests", guests),
        )
    if closing:
        yield ngettext(
            "%(count)d room is being closed now: it is deleted at its next sync.",
            "%(count)d rooms are being closed now: they are deleted at their next sync.",
            closing,
        )


def _people(connection: Connection, provider: Provider) -> int:
    """How many people are in rooms that could be deleted; one who is in two counts once."""
    query = (
        select(func.count(MemberRow.person_id.distinct()))
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .where(*_of(provider), RoomRow.made_by_us, RoomRow.wanted, MemberRow.state.in_(INSIDE))
    )
    return int(connection.execute(query).scalar_one())


def _of(provider: Provider) -> tuple[Any, ...]:
    """The provider's rooms on the server that is connected now."""
    return (RoomRow.provider == provider.id, RoomRow.remote_id.is_not(None), here())


def _oldest(times: Iterable[datetime | None]) -> datetime | None:
    return min((time for time in times if time is not None), default=None)
