"""The rows of rooms, members and accounts as the worker reads and writes them.

Plain statements, no ORM objects. Every write of a run is fenced by the room's lease: when the
lease is not ours any more, `LeaseLost` is raised and nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import Connection, Executable, bindparam, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb.errors import LeaseLost
from commweb.models import Base, MemberRow, RoomRow, now
from commweb.sync.known import Applied, AppliedMember, Intended

__all__ = [
    "LEASE_SECONDS",
    "RoomRecord",
    "applied",
    "claim",
    "due",
    "fenced",
    "read_room",
    "release",
    "store_members",
]

LEASE_SECONDS = 60


@dataclass(frozen=True)
class RoomRecord:
    """A room's row, as far as a run needs it."""

    id: int
    course_id: str
    group_id: str
    provider: str
    name: str | None
    topic: str | None
    picture_digest: str | None
    picture_uri: str | None
    read_only: bool | None
    intended: Mapping[str, Any]
    remote_id: str | None
    creation_key: str | None
    creation_slug: str | None
    creation_started_at: datetime | None
    status: str
    revision: int
    synced_revision: int
    confirmed_revision: int
    attempts: int
    pending_delete: str | None
    unsure_until: datetime | None


_ROOM_COLUMNS = [getattr(RoomRow, name) for name in RoomRecord.__dataclass_fields__]


def _due(providers: Sequence[str], at: datetime) -> Any:
    return (
        RoomRow.synced_revision < RoomRow.revision,
        RoomRow.provider.in_(providers),
        or_(RoomRow.next_attempt_at.is_(None), RoomRow.next_attempt_at <= at),
        or_(RoomRow.lease.is_(None), RoomRow.lease_until < at),
    )


def due(connection: Connection, providers: Sequence[str]) -> int:
    """How many rooms could be claimed now (at most 100 are counted)."""
    statement = select(RoomRow.id).where(*_due(providers, now())).limit(100)
    return len(connection.execute(statement).all())


def claim(connection: Connection, holder: str, providers: Sequence[str], limit: int) -> list[int]:
    """Take up to ``limit`` due rooms for ``holder``; one statement, whatever their number."""
    at = now()
    candidates = (
        select(RoomRow.id)
        .where(*_due(providers, at))
        .order_by(RoomRow.next_attempt_at.asc().nulls_first(), RoomRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("candidates")  # evaluated once, so that no more than ``limit`` are locked
    )
    statement = (
        update(RoomRow)
        .where(RoomRow.id.in_(select(candidates.c.id)))
        .values(lease=holder, lease_until=at + timedelta(seconds=LEASE_SECONDS))
        .returning(RoomRow.id)
    )
    return sorted(connection.execute(statement).scalars())


def release(connection: Connection, room_id: int, holder: str) -> None:
    """Give the room back, if ``holder`` still has it."""
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id, RoomRow.lease == holder)
        .values(lease=None, lease_until=None)
    )


def fenced(connection: Connection, room_id: int, holder: str, **values: Any) -> None:
    """Write ``values`` to the room and extend the lease. Raises `LeaseLost`."""
    values.setdefault("lease_until", now() + timedelta(seconds=LEASE_SECONDS))
    values["updated_at"] = now()
    given = {f"to_{name}": value for name, value in values.items()}
    done = connection.execute(
        _fencing(tuple(values)), {"of_room": room_id, "of_holder": holder, **given}
    )
    if done.rowcount != 1:
        raise LeaseLost(f"The lease of room {room_id} was lost.")


@lru_cache
def _fencing(columns: tuple[str, ...]) -> Executable:
    """Putting a statement together costs more than running it."""
    ours = (RoomRow.id == bindparam("of_room"), RoomRow.lease == bindparam("of_holder"))
    return update(RoomRow).where(*ours).values({name: bindparam(f"to_{name}") for name in columns})


def read_room(connection: Connection, room_id: int, *, lock: bool = False) -> RoomRecord | None:
    """The room's row. ``lock``: nobody changes it before the transaction ends."""
    query = select(*_ROOM_COLUMNS).where(RoomRow.id == room_id)
    row = connection.execute(query.with_for_update() if lock else query).first()
    return RoomRecord(*row) if row else None


def applied(connection: Connection, room: RoomRecord) -> Applied:
    """What was applied to the room last."""
    rows = connection.execute(
        select(
            MemberRow.person_id,
            MemberRow.remote_user_id,
            MemberRow.display_name,
            MemberRow.intended_level,
            MemberRow.applied_level,
            MemberRow.state,
            MemberRow.reason,
        ).where(MemberRow.room_id == room.id)
    )
    members = {row[0]: AppliedMember(*row[1:]) for row in rows}
    return Applied(
        name=room.name,
        topic=room.topic,
        picture_digest=room.picture_digest,
        picture_uri=room.picture_uri,
        members=members,
        read_only=room.read_only,
        intended=Intended(**room.intended),
        unsure=_may_come_late(room),
    )


def _may_come_late(room: RoomRecord) -> bool:
    """Whether people may be in the room, or invited, by a request of which nothing is known:
    it got no answer, or its worker was killed while it made the room."""
    if room.unsure_until is not None and now() < room.unsure_until:
        return True
    return room.remote_id is None and room.creation_started_at is not None


def store_members(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or update members; all rows name the same columns."""
    _upsert(connection, MemberRow, rows, ("room_id", "person_id"))


def _upsert(
    connection: Connection,
    model: type[Base],
    rows: Sequence[Mapping[str, Any]],
    keys: tuple[str, ...],
) -> None:
    if not rows:
        return
    statement = _upserting(connection.dialect.name, model, tuple(rows[0]), keys)
    connection.execute(statement, [dict(row) for row in rows])


@lru_cache
def _upserting(
    dialect_name: str, model: type[Base], columns: tuple[str, ...], keys: tuple[str, ...]
) -> Executable:
    statement = (postgresql if dialect_name == "postgresql" else sqlite).insert(model)
    changed = {name: statement.excluded[name] for name in columns if name not in keys}
    upserting: Executable = statement.on_conflict_do_update(index_elements=[*keys], set_=changed)
    return upserting
