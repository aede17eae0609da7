"""Looking at rooms from the command line: a dry run, or one pass now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, case, func, select, update

from commweb.models import Connection, RoomRow
from commweb.places import in_order
from commweb.servers import here
from commweb.state import State
from commweb.sync.changes import fold
from commweb.sync.run import look
from commweb.sync.worker import Worker, working_providers

__all__ = ["confirm", "once", "plans"]

DONE = ("ready", "read_only", "off")


def _rooms(state: State, course_ids: Sequence[str]) -> list[Any]:
    query = select(RoomRow.id, RoomRow.course_id, RoomRow.group_id, RoomRow.provider)
    query = query.where(here())
    if course_ids:
        query = query.where(RoomRow.course_id.in_(course_ids))
    with state.database.read() as connection:
        return list(connection.execute(query.order_by(RoomRow.id)).all())


def plans(state: State, course_ids: Sequence[str]) -> list[dict[str, Any]]:
    """What would be done to each room, as sentences. Raises `ProviderError`."""
    working = working_providers(state)
    backends = {key: provider.backend(state.context(provider)) for key, provider in working.items()}
    found = []
    try:
        for room in _rooms(state, course_ids):
            if room.provider not in backends:
                continue
            seen = look(state, room.id, backends[room.provider])
            if seen is not None:
                found.append(
                    {
                        "course_id": room.course_id,
                        "group_id": room.group_id,
                        "actions": [action.sentence() for action in seen.actions],
                        "held": seen.held,
                    }
                )
    finally:
        for backend in backends.values():
            backend.close()
    return found


def confirm(state: State, course_ids: Iterable[str]) -> None:
    """Let held rooms do what they were held for."""
    fold(state)
    with state.database.write() as connection:
        connection.execute(
            update(RoomRow)
            .where(in_order(RoomRow.course_id.in_(list(course_ids)), RoomRow.wanted))
            .values(
                revision=RoomRow.revision + 1,
                confirmed_revision=RoomRow.revision + 1,
                next_attempt_at=None,
            )
        )


def once(state: State, course_ids: Sequence[str]) -> dict[str, Any]:
    """One pass in this process; which rooms there are and which are not done."""
    worker = Worker(state)
    try:
        worker.work()
    finally:
        worker.close()
    waits = RoomRow.synced_revision < RoomRow.revision
    query = (
        select(
            RoomRow.course_id,
            RoomRow.group_id,
            RoomRow.status,
            # What stops a provider is nobody's own fault, and no room's.
            case((waits, func.coalesce(Connection.trouble, RoomRow.reason)), else_=RoomRow.reason),
            RoomRow.undone,
            and_(waits, Connection.trouble.is_not(None)),
        )
        .join(Connection, Connection.provider == RoomRow.provider, isouter=True)
        .where(RoomRow.course_id.in_(course_ids), RoomRow.wanted)
    )
    keys = ("course_id", "group_id", "status", "reason", "undone", "stopped")
    with state.database.read() as connection:
        rooms = [dict(zip(keys, row, strict=True)) for row in connection.execute(query)]
    unfinished = [room for room in rooms if _is_unfinished(room)]
    return {"rooms": rooms, "unfinished": unfinished}


def _is_unfinished(room: Mapping[str, Any]) -> bool:
    return bool(room["status"] not in DONE or room["undone"] or room["stopped"])
