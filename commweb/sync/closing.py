"""Rooms on their way out: which ones, and where their deletion is.

A server deletes a room in its own time and may be restarted meanwhile, so a room that is to go is
written down before it is asked for, and forgotten when the server says that it is gone.
"""

from __future__ import annotations

from datetime import timedelta

from commweb.errors import Refused, RoomUnsettled
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import DeleteRoom, FoundRoom, RoomRef
from commweb.sync.records import RoomRecord

__all__ = ["SETTLED_AFTER", "Deletions", "left_behind"]

SETTLED_AFTER = timedelta(seconds=60)
"""How long after a creation was tried the server may still create the room."""


class Deletions:
    """The rooms to delete, as ``commweb_room.pending_delete`` keeps them: a line for each, with
    the room's remote id and, once the server was asked, the id to ask again with."""

    def __init__(self, text: str | None) -> None:
        lines = (line.partition(" ") for line in (text or "").splitlines())
        self._ids = {remote_id: delete_id for remote_id, _space, delete_id in lines}

    def __bool__(self) -> bool:
        return bool(self._ids)

    @property
    def text(self) -> str | None:
        """What to store; None: nothing."""
        return "\n".join(f"{key} {value}".rstrip() for key, value in self._ids.items()) or None

    def add(self, remote_id: str) -> None:
        """The room is to go."""
        self._ids.setdefault(remote_id, "")

    def ask(self, backend: Backend, room: RoomRef, remote_id: str, slug: str = "") -> None:
        """Ask for the deletion, or how far it is. ``room`` is any reference to the room whose
        row this is. Raises `ProviderError`."""
        target = RoomRef(room.course_id, room.group_id, room.creation_key, remote_id)
        action = DeleteRoom(self._ids.get(remote_id) or None, slug)
        delete_id = backend.delete(target, action)
        if delete_id is None:
            self._ids.pop(remote_id, None)
        else:
            self._ids[remote_id] = delete_id

    def ask_all(self, backend: Backend, room: RoomRef) -> None:
        """Ask about each. Raises `ProviderError`."""
        for remote_id in list(self._ids):
            self.ask(backend, room, remote_id)


def left_behind(backend: Backend, room: RoomRef, record: RoomRecord) -> FoundRoom | None:
    """What an interrupted creation left of a room that is not wanted any more; None: nothing.

    Raises `RoomUnsettled` as long as the server may still make it.
    """
    started = record.creation_started_at
    if started is None:
        return None
    try:
        found = backend.find(room, record.creation_slug or "", started.timestamp())
    except Refused:
        return None  # somebody else has the address, so nothing of ours can be there
    rest = (started + SETTLED_AFTER - now()).total_seconds()
    if found is None and rest > 0:
        raise RoomUnsettled(
            _("The room may still be created by the homeserver."), retry_after_seconds=rest
        )
    return found
