"""The rows of rooms, members and accounts as the worker reads and writes them.

Plain statements, no ORM objects. Every write of a run is fenced by the room's lease: when the
lease is not ours any more, `LeaseLost` is raised and nothing is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, case, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb.errors import LeaseLost
from commweb.models import Base, CreationAttempt, MemberRow, PastAccount, RoomRow, now
from commweb.models import Connection as SessionRow
from commweb.priority import Priority
from commweb.servers import here
from commweb.sync.bounds import LATE, LEASE, ROOM_REST, SLACK, over, rests
from commweb.sync.known import RETIRED, Applied, AppliedMember, Intended

__all__ = [
    "LEASE_SECONDS",
    "UNSURE",
    "RoomRecord",
    "abandon_attempt",
    "applied",
    "begun",
    "claim",
    "due",
    "fenced",
    "left_since",
    "now_surer",
    "read_room",
    "release",
    "renewed",
    "store_attempt",
    "store_members",
    "store_past",
    "sync_again",
]

LEASE_SECONDS = int(LEASE.total_seconds())
UNSURE = 2
"""``commweb_room.unsure`` after an act without an answer: sync at the server's first good answer,
and once more a while later."""
PATIENCE = timedelta(minutes=10)
"""For how long a room that can wait waits for those that are more urgent."""


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
    unsure: int
    server_name: str
    held_kind: str
    held_people: Sequence[str]
    confirmed_people: Sequence[str]
    undone: Sequence[str]
    open_level: int | None
    chain: Sequence[str]
    made_by_us: bool
    course_gone: str

    @property
    def made_for_group(self) -> str:
        """The group the room was created for, also when its course is deleted since."""
        if self.course_gone == "reported" and RETIRED in self.group_id:
            return self.group_id.rpartition(RETIRED)[0]
        return self.group_id

    @property
    def confirmed(self) -> frozenset[str]:
        """The people whose removal somebody confirmed."""
        return frozenset(self.confirmed_people)


_ROOM_COLUMNS = [getattr(RoomRow, name) for name in RoomRecord.__dataclass_fields__]


def _due(providers: Sequence[str], at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        RoomRow.synced_revision < RoomRow.revision,
        RoomRow.provider.in_(providers),
        here(),
        over(RoomRow.next_attempt_at, at, ROOM_REST),
        or_(RoomRow.lease.is_(None), over(RoomRow.lease_until, at, LEASE)),
    )


def due(connection: Connection, providers: Sequence[str]) -> int:
    """How many rooms could be claimed now (at most 100 are counted)."""
    statement = select(RoomRow.id).where(*_due(providers, now())).limit(100)
    return len(connection.execute(statement).all())


def claim(connection: Connection, holder: str, providers: Sequence[str], limit: int) -> list[int]:
    """Take up to ``limit`` due rooms for ``holder``, in the order to run them: by priority, then
    who waits longest. First of all comes one that can wait and has waited for `PATIENCE`, so that
    it does not wait for ever while more urgent ones keep coming. Two statements at most, whatever
    the number of rooms.
    """
    at = now()
    can_wait = RoomRow.priority > int(Priority.REPORTED)
    for_long = RoomRow.next_attempt_at < at - PATIENCE
    where = _due(providers, at)
    taken = _take(connection, holder, at, 1, (*where, can_wait, for_long), [_SINCE])
    rest = limit - len(taken)
    if rest > 0:
        taken += _take(connection, holder, at, rest, where, [RoomRow.priority, _SINCE])
    return taken


_SINCE = RoomRow.next_attempt_at.asc().nulls_first()
"""Since when a due room waits."""


def _take(  # noqa: PLR0917  (whose, when, how many, which, in what order)
    connection: Connection,
    holder: str,
    at: datetime,
    limit: int,
    where: Iterable[ColumnElement[bool]],
    order: Sequence[Any],
) -> list[int]:
    candidates = (
        select(RoomRow.id)
        .where(*where)
        .order_by(*order, RoomRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
        .cte("candidates")  # evaluated once, so that no more than ``limit`` are locked
    )
    statement = (
        update(RoomRow)
        .where(RoomRow.id.in_(select(candidates.c.id)))
        .values(
            lease=holder,
            lease_until=at + timedelta(seconds=LEASE_SECONDS),
            # A lease that ran out was a worker's that was killed: what it sent may come late.
            unsure=case((RoomRow.lease.is_not(None), UNSURE), else_=RoomRow.unsure),
        )
        .returning(RoomRow.priority, RoomRow.next_attempt_at, RoomRow.id)
    )
    found = [(row[0], row[1] or _EARLIEST, row[2]) for row in connection.execute(statement)]
    return [room_id for _priority, _since, room_id in sorted(found)]


_EARLIEST = datetime.min.replace(tzinfo=UTC)


def release(connection: Connection, room_id: int, holder: str) -> None:
    """Give the room back, if ``holder`` still has it."""
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id, RoomRow.lease == holder)
        .values(lease=None, lease_until=None)
    )


def renewed(connection: Connection, room_id: int, holder: str, seconds: float) -> None:
    """Extend a lease that still holds. Raises `LeaseLost`."""
    at = now()
    done = connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id, RoomRow.lease == holder, RoomRow.lease_until > at)
        .values(lease_until=at + timedelta(seconds=seconds))
    )
    if done.rowcount != 1:
        raise LeaseLost(f"The lease of room {room_id} was lost.")


def sync_again(connection: Connection, room_id: int) -> None:
    """Ask for the room because something was done to it outside of a lease; not fenced."""
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id)
        .values(revision=RoomRow.revision + 1, next_attempt_at=None, unsure=UNSURE)
    )


def now_surer(
    connection: Connection, room_id: int, *, before: int, after: int, until: datetime | None
) -> None:
    """How many more syncs a late act asks for; what was ``before`` another act stays."""
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id == room_id, or_(RoomRow.unsure == before, RoomRow.unsure < after))
        .values(unsure=after, unsure_until=until)
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


def begun(connection: Connection, room: RoomRecord | None) -> RoomRecord | None:
    """The room, with a creation that began by now: one that is still to begin was written down by
    a clock that was ahead, and would be waited for until then."""
    at = now()
    if room is None or room.creation_started_at is None or room.creation_started_at <= at + SLACK:
        return room
    key = RoomRow.id == room.id
    connection.execute(update(RoomRow).where(key).values(creation_started_at=at))
    return replace(room, creation_started_at=at)


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
            MemberRow.removed_at,
        ).where(MemberRow.room_id == room.id)
    )
    members = {row[0]: AppliedMember(*row[1:]) for row in rows}
    past = connection.execute(
        select(PastAccount.remote_user_id, PastAccount.person_id).where(
            PastAccount.room_id == room.id
        )
    )
    return Applied(
        name=room.name,
        topic=room.topic,
        picture_digest=room.picture_digest,
        picture_uri=room.picture_uri,
        members=members,
        read_only=room.read_only,
        intended=Intended(**room.intended),
        unsure=_may_come_late(room),
        past={row[0]: row[1] for row in past},
        open_level=room.open_level,
    )


def left_since(connection: Connection, room_id: int, since: datetime) -> frozenset[str]:
    """The people that commweb removed from the room since then."""
    found = connection.execute(
        select(MemberRow.person_id).where(
            MemberRow.room_id == room_id, MemberRow.removed_at >= since
        )
    )
    return frozenset(found.scalars())


def _may_come_late(room: RoomRecord) -> bool:
    """Whether people may be in the room, or invited, by a request of which nothing is known:
    it got no answer, or its worker was killed while it made the room."""
    over = room.unsure_until is not None and not rests(room.unsure_until, now(), LATE)
    if room.unsure > 1 or (room.unsure == 1 and not over):
        return True
    return room.remote_id is None and room.creation_started_at is not None


def store_members(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or update members; all rows name the same columns."""
    _upsert(connection, MemberRow, rows, ("room_id", "person_id"))


def store_past(connection: Connection, room_id: int, accounts: Mapping[str, str]) -> None:
    """Write down whose accounts (remote id: person id) are about to be put into the room."""
    if not accounts:
        return
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [
        {"room_id": room_id, "remote_user_id": remote, "person_id": person_id}
        for remote, person_id in sorted(accounts.items())
    ]
    connection.execute(dialect.insert(PastAccount).on_conflict_do_nothing(), rows)


def store_attempt(
    connection: Connection, room: RoomRecord, *, key: str, slug: str, server_name: str
) -> None:
    """Write down the key with which a room is about to be asked for."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = {
        "creation_key": key,
        "provider": room.provider,
        "server_name": server_name,
        "course_id": room.course_id,
        "group_id": room.group_id,
        "slug": slug,
        "started_at": now(),
    }
    statement = dialect.insert(CreationAttempt).values(**values).on_conflict_do_nothing()
    connection.execute(statement)


def abandon_attempt(connection: Connection, provider: str, key: str) -> None:
    """The room's row asks for this room no more; what comes of it late is nobody's, and is looked
    for soon."""
    connection.execute(
        update(CreationAttempt)
        .where(CreationAttempt.creation_key == key)
        .values(abandoned_at=now())
    )
    connection.execute(
        update(SessionRow).where(SessionRow.provider == provider).values(orphans_sought_at=None)
    )


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
