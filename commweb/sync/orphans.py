"""Rooms that commweb created for this installation and that no course has.

A server may create a room long after its answer was given up. Once a day, and after such a try,
the rooms of the acting account are compared with what is recorded: one whose key was written down
here and given up is closed; any other is listed for a person to decide, because it may belong to a
restored backup or to another site.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import Connection, delete, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb.errors import ProviderError
from commweb.models import Connection as SessionRow
from commweb.models import CreationAttempt, RoomRow, UnclaimedRoom, now
from commweb.providers.base import Backend
from commweb.providers.rooms import DeleteRoom, OwnRoom, RoomRef
from commweb.state import State
from commweb.sync.records import sync_again

__all__ = ["due_for_orphans", "seek_orphans", "unclaimed"]

A_DAY = timedelta(hours=24)
AFTER_A_FAULT = timedelta(hours=1)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Known:
    """What is recorded: the rooms that courses have, those being created (key: the row's id), and
    the keys that were given up."""

    remote_ids: frozenset[str]
    creating: dict[str, int]
    abandoned: frozenset[str]


def due_for_orphans(connection: Connection, provider: str) -> bool:
    """Whether nobody has looked for a day. Whoever asks and gets True, looks."""
    at = now()
    done = connection.execute(
        update(SessionRow)
        .where(
            SessionRow.provider == provider,
            or_(
                SessionRow.orphans_sought_at.is_(None),
                SessionRow.orphans_sought_at < at - A_DAY,
                SessionRow.orphans_sought_at > at,  # the clock was ahead
            ),
        )
        .values(orphans_sought_at=at)
    )
    return done.rowcount == 1


def seek_orphans(state: State, provider: str, open_backend: Callable[[], Backend]) -> None:
    """Compare the acting account's rooms with what is recorded. A fault only delays it."""
    try:
        backend = open_backend()
        with state.database.read() as connection:
            known = _known(connection, provider)
        found = [
            room
            for room in backend.own_rooms(known.remote_ids)
            if room.origin.get("instance") == state.config.instance
            and room.remote_id not in known.remote_ids
        ]
        closing = _record(state, provider, found, known)
        for room in closing:
            _close(state, provider, backend, room)
    except ProviderError as error:
        log.warning("Rooms without a course are looked for later: %s", error)
        with state.database.write() as connection:
            connection.execute(
                update(SessionRow)
                .where(SessionRow.provider == provider)
                .values(orphans_sought_at=now() - A_DAY + AFTER_A_FAULT)
            )


def unclaimed(connection: Connection, limit: int = 100) -> list[UnclaimedRoom]:
    """The rooms that no course has, oldest find first."""
    columns = UnclaimedRoom.__table__.columns
    query = select(*columns).order_by(UnclaimedRoom.found_at, UnclaimedRoom.remote_id)
    rows = connection.execute(query.limit(limit))
    return [UnclaimedRoom(**row) for row in rows.mappings()]


def _known(connection: Connection, provider: str) -> _Known:
    remote_ids: set[str] = set()
    creating: dict[str, int] = {}
    rows = connection.execute(
        select(
            RoomRow.id,
            RoomRow.remote_id,
            RoomRow.chain,
            RoomRow.pending_delete,
            RoomRow.creation_key,
        ).where(RoomRow.provider == provider)
    )
    for row in rows:
        remote_ids.update(one for one in (row.remote_id, *row.chain) if one)
        remote_ids.update(line.partition(" ")[0] for line in (row.pending_delete or "").split("\n"))
        if row.remote_id is None and row.creation_key:
            creating[row.creation_key] = row.id
    abandoned = connection.execute(
        select(CreationAttempt.creation_key).where(
            CreationAttempt.provider == provider, CreationAttempt.abandoned_at.is_not(None)
        )
    ).scalars()
    return _Known(frozenset(remote_ids), creating, frozenset(abandoned))


def _record(state: State, provider: str, found: Iterable[OwnRoom], known: _Known) -> list[OwnRoom]:
    """List what was found, ask for the rooms that rows are waiting for; which ones to close."""
    closing, listed = [], []
    with state.database.write() as connection:
        for room in found:
            if room.creation_key in known.creating:
                sync_again(connection, known.creating[room.creation_key])
                continue
            listed.append(room.remote_id)
            if room.creation_key in known.abandoned:
                closing.append(room)
            _list(connection, provider, room, closing=room.creation_key in known.abandoned)
        connection.execute(
            delete(UnclaimedRoom).where(
                UnclaimedRoom.provider == provider, UnclaimedRoom.remote_id.not_in(listed)
            )
        )
    return closing


def _list(connection: Connection, provider: str, room: OwnRoom, *, closing: bool) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {
        "name": room.name,
        "course_id": room.origin.get("course", "")[:255],
        "group_id": room.origin.get("group", "")[:255],
        "creation_key": room.creation_key[:64],
        "member_count": room.member_count,
        "closing": closing,
    }
    statement = dialect.insert(UnclaimedRoom).values(
        provider=provider, remote_id=room.remote_id, found_at=now(), **values
    )
    connection.execute(
        statement.on_conflict_do_update(index_elements=["provider", "remote_id"], set_=values)
    )


def _close(state: State, provider: str, backend: Backend, room: OwnRoom) -> None:
    """The room was created for a try that was given up here; nobody was ever told of it."""
    ref = RoomRef("", "", room.creation_key, room.remote_id)
    backend.delete(ref, DeleteRoom())
    with state.database.write() as connection:
        connection.execute(
            delete(UnclaimedRoom).where(
                UnclaimedRoom.provider == provider, UnclaimedRoom.remote_id == room.remote_id
            )
        )
