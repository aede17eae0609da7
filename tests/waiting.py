"""How much the engine still has to do."""

from __future__ import annotations

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from commweb.models import Change, RoomRow

__all__ = ["is_busy", "waiting"]


def is_busy() -> ColumnElement[bool]:
    """Rooms with something left to do; not those that are done and are only looked at once more
    when a request that got no answer cannot be worked any longer."""
    last_look = RoomRow.next_attempt_at == RoomRow.unsure_until
    return (RoomRow.synced_revision < RoomRow.revision) & func.coalesce(~last_look, True)


def waiting(session: Session, *, last_looks: bool = False) -> int:
    """How many reports and rooms are waiting; with ``last_looks`` for those as well."""
    dirty = RoomRow.synced_revision < RoomRow.revision
    counts = [
        select(func.count()).select_from(Change),
        select(func.count()).select_from(RoomRow).where(dirty if last_looks else is_busy()),
    ]
    return sum(int(session.scalar(count) or 0) for count in counts)
