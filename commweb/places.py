"""A person's room memberships, and requests to sync these rooms again.

Every function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    ColumnExpressionArgument,
    Connection,
    Update,
    func,
    select,
    update,
)

from commweb.account_locks import SETTING, ask_all
from commweb.models import CourseChoice, MemberRow, RoomRow, now
from commweb.priority import Priority, asked
from commweb.providers.base import Provider

__all__ = ["Place", "follow_settings", "in_order", "look_again", "look_at_all", "places"]


@dataclass(frozen=True)
class Place:
    """One person and one room that wants him or her: see ``commweb_room``, ``commweb_member``."""

    course_id: str
    course_name: str
    room_name: str
    room_status: str
    remote_room_id: str | None
    state: str
    reason: str | None
    remote_user_id: str | None


def in_order(*where: ColumnExpressionArgument[bool]) -> ColumnElement[bool]:
    """For the WHERE of an UPDATE of several rooms: these rooms, locked in the order of their ids.
    Two that update the same rooms would else wait for each other."""
    locked = select(RoomRow.id).where(*where).order_by(RoomRow.id).with_for_update()
    return RoomRow.id.in_(locked)


def look_again(connection: Connection, provider: str, person_id: str) -> None:
    """Ask for every room that wants the person to be looked at."""
    rooms = select(MemberRow.room_id).where(MemberRow.person_id == person_id)
    connection.execute(_ask(provider, Priority.REPORTED, RoomRow.id.in_(rooms)))


def look_at_all(connection: Connection, provider: str) -> None:
    """Ask for every room of the provider to be looked at."""
    connection.execute(_ask(provider, Priority.SETTINGS))


def follow_settings(
    connection: Connection, provider: Provider, old: Mapping[str, Any], new: Mapping[str, Any]
) -> None:
    """Ask for every room to be looked at, when a setting changed that rooms have to follow;
    and for accounts, when it is theirs. ``new`` may lack what was not saved."""
    if any(old[key] != new.get(key, old[key]) for key in provider.reapplied):
        look_at_all(connection, provider.id)
    if SETTING in old and old[SETTING] != new.get(SETTING, old[SETTING]):
        ask_all(connection, provider.id)


def places(connection: Connection, provider: str, person_id: str) -> list[Place]:
    """The rooms that want the person, by the course's name."""
    rows = connection.execute(
        select(
            RoomRow.course_id,
            func.coalesce(CourseChoice.course_name, ""),
            func.coalesce(RoomRow.name, ""),
            RoomRow.status,
            RoomRow.remote_id,
            MemberRow.state,
            MemberRow.reason,
            MemberRow.remote_user_id,
        )
        .join(MemberRow, MemberRow.room_id == RoomRow.id)
        .join(CourseChoice, CourseChoice.course_id == RoomRow.course_id, isouter=True)
        .where(
            RoomRow.provider == provider,
            RoomRow.wanted,
            MemberRow.person_id == person_id,
            MemberRow.state != "removed",
        )
        .order_by(CourseChoice.course_name, RoomRow.group_id)
    )
    return [Place(*row) for row in rows]


def _ask(provider: str, priority: Priority, *which: ColumnElement[bool]) -> Update:
    wanted = in_order(RoomRow.provider == provider, RoomRow.wanted, *which)
    return update(RoomRow).where(wanted).values(**asked(now(), priority))
