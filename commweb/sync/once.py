"""Looking at rooms from the command line: a dry run, or one pass now."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import and_, case, func, select

from commweb import audit
from commweb.models import Connection, RoomRow
from commweb.servers import here
from commweb.state import State
from commweb.sync.changes import fold
from commweb.sync.confirming import confirm_courses, confirm_gone, gone_rooms
from commweb.sync.run import look
from commweb.sync.worker import Worker, working_providers

__all__ = ["confirm", "count_gone", "create_gone_anew", "once", "plans"]

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
                        "held": seen.hold.reason if seen.hold else None,
                    }
                )
    finally:
        for backend in backends.values():
            backend.close()
    return found


def confirm(state: State, course_ids: Iterable[str]) -> int:
    """Let the held rooms of these courses do what they are held for now, and nothing that comes
    up later; how many rooms."""
    fold(state)
    with state.database.write() as connection:
        confirmed = confirm_courses(connection, course_ids)
        for room_id, count in confirmed:
            audit.record(
                connection,
                actor="",
                action="room.confirmed",
                subject=str(room_id),
                detail={"people": count},
            )
    return len(confirmed)


def count_gone(state: State) -> int:
    """How many rooms are held because the homeserver has none of them."""
    with state.database.read() as connection:
        return len(gone_rooms(connection))


def create_gone_anew(state: State) -> int:
    """Let them be created anew at the next sync; how many."""
    with state.database.write() as connection:
        count = confirm_gone(connection) or 0
        if count:
            action = "rooms.gone_created_anew"
            audit.record(connection, actor="", action=action, detail={"rooms": count})
    state.wake()
    return count


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
