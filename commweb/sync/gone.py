"""Rooms that the homeserver says are not there: created anew, or held because they are many.

Counted in the database, so that every process sees the rooms of all others.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, case, func, or_, select, update

from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import RoomRow, now
from commweb.sync.guard import ANYTHING, ROOM_GONE, Hold, too_many_gone

__all__ = ["COUNTED_FOR", "decide_gone", "rooms_gone"]

COUNTED_FOR = timedelta(hours=1)


def rooms_gone(
    connection: Connection, provider: str, at: datetime | None = None
) -> tuple[int, int]:
    """How many of the provider's wanted rooms were found missing in the hour before ``at``, and
    how many there are or were."""
    lately = case((RoomRow.gone_at > (at or now()) - COUNTED_FOR, RoomRow.id))
    gone, everything = connection.execute(
        select(func.count(lately), func.count()).where(
            RoomRow.provider == provider,
            RoomRow.wanted,
            or_(RoomRow.remote_id.is_not(None), RoomRow.gone_at.is_not(None)),
        )
    ).one()
    return gone, everything


def decide_gone(connection: Connection, room_id: int, at: datetime | None = None) -> Hold | None:
    """The server said that this room is not there: note it, and decide. None: it may be created
    anew. Part of the caller's write transaction, and the first statement of it: one of them a
    provider goes on at a time, and it locks the room. A caller that gets a `Hold` records it as the
    room's (``held_kind``, ``held_people``, the status "held") and creates nothing.

    A room that was held stays so until somebody confirms, or it is seen again.
    """
    at = at or now()
    provider = connection.execute(select(RoomRow.provider).where(RoomRow.id == room_id)).scalar()
    if provider is None:
        return None
    _one_at_a_time(connection, provider)
    room = connection.execute(
        select(RoomRow.gone_at, RoomRow.status, RoomRow.held_kind, RoomRow.confirmed_people)
        .where(RoomRow.id == room_id)
        .with_for_update()
    ).one()
    waits = room.status == "held" and room.held_kind == "room_gone"
    if room.gone_at is None or not waits:
        connection.execute(update(RoomRow).where(RoomRow.id == room_id).values(gone_at=at))
    if {ROOM_GONE, ANYTHING} & set(room.confirmed_people):
        return None
    gone, everything = rooms_gone(connection, provider, at)
    if not waits and not too_many_gone(gone, everything):
        return None
    return Hold("room_gone", _reason(gone - 1), (ROOM_GONE,))


def _one_at_a_time(connection: Connection, provider: str) -> None:
    """Two that find a room missing would else not see each other's. On SQLite one writes at a time
    anyhow; a row to lock is not there for every provider."""
    if connection.dialect.name == "postgresql":
        name = func.hashtextextended(f"commweb rooms gone {provider}", 0)
        connection.execute(select(func.pg_advisory_xact_lock(name)))


def _reason(others: int) -> str:
    said = _("The homeserver says that this room does not exist.")
    if others > 0:
        said = ngettext(
            "The homeserver says that this room and %(count)d other do not exist.",
            "The homeserver says that this room and %(count)d others do not exist.",
            others,
        )
    confirm = _("An administrator decides whether it is created anew.")
    return f"{said} {confirm}"
