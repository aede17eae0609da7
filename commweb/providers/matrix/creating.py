"""Exactly one room for one creation key, whatever gets lost on the way.

createRoom has no transaction id, so the alias made from the key stops a second room, and the
key in the create event tells whether a room with that alias is ours. A server that was killed
inside createRoom keeps the alias pointing at a half-made room; once that is old enough, the
engine has the alias and the room removed, and the room is made again.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from commweb.errors import Refused, RoomUnsettled, Unreachable
from commweb.i18n import gettext as _
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.identifiers import room_alias, room_alias_name
from commweb.providers.matrix.rooms import Birthmark, NewRoomRules, birthmark, creation_content
from commweb.providers.rooms import CreateRoom, FoundRoom

__all__ = ["ALIAS_TAKEN", "RoomMaker"]

ALIAS_TAKEN = "COMMWEB_ALIAS_TAKEN"
IN_USE = "M_ROOM_IN_USE"


@dataclass(frozen=True)
class RoomMaker:
    """Makes rooms as ``own_id`` on ``server_name``, by ``rules``. A half-made room younger than
    ``settles_after_seconds`` may still be finished by the server and is waited for."""

    client: MatrixClient
    own_id: str
    server_name: str
    rules: NewRoomRules
    settles_after_seconds: float = 60.0

    def make(self, action: CreateRoom, picture_uri: str | None) -> str:
        """The id of the one room with this key: made now, or made before and complete.

        Raises what `find` raises, and `RoomUnsettled` when the room with the key is half-made:
        `find` tells when that is old enough to be removed.
        """
        content = creation_content(
            action,
            alias_name=room_alias_name(action.slug, action.creation_key),
            own_id=self.own_id,
            room_version=self.client.default_room_version(),
            rules=self.rules,
            picture_uri=picture_uri,
        )
        try:
            return self.client.create_room(content)
        except Refused as error:
            # 409: another request with the same alias was faster.
            if error.errcode != IN_USE and error.status != 409:
                raise
        found = self.find(action.slug, action.creation_key, time.time())
        if found is None or not found.complete:
            raise _unsettled(1.0)
        return found.remote_id

    def find(self, slug: str, creation_key: str, started_at_seconds: float) -> FoundRoom | None:
        """The room behind our alias; None when there is none (any more).

        ``started_at_seconds`` (since 1970) is when it was last tried to be made. Raises
        `RoomUnsettled` while a half-made room may still be finished by the server, and `Refused`
        with the code ``COMMWEB_ALIAS_TAKEN`` when the alias is somebody else's: a new key is
        needed.
        """
        room_id = self.client.alias(room_alias(slug, creation_key, self.server_name))
        if room_id is None:
            return None
        mark = birthmark(self.client.room_state(room_id) or (), self.own_id)
        if mark.sender is None:
            mine = self._began(room_id)
        else:
            mine = mark.sender == self.own_id and mark.creation_key == creation_key
        if not mine:
            raise Refused(
                _("The address of the room is taken by somebody else's room."),
                errcode=ALIAS_TAKEN,
            )
        if not mark.complete:
            self._wait_until_settled(mark, started_at_seconds)
        return FoundRoom(room_id, mark.complete)

    def free(self, slug: str, creation_key: str, room_id: str) -> None:
        """Give the alias of a half-made room back, so that the room can be made again. An alias
        that names another room by now is left alone."""
        alias = room_alias(slug, creation_key, self.server_name)
        if self.client.alias(alias) == room_id:
            self.client.delete_alias(alias)

    def _began(self, room_id: str) -> bool:
        """Whether a room without a create event is ours: only the list of rooms still knows. One
        that is not there at all is nobody's, and its alias in our way."""
        details = self.client.room_details(room_id)
        if details is None:
            return True
        if not details.creator:
            raise Unreachable(_("The homeserver does not say who created the room."))
        return details.creator == self.own_id

    def _wait_until_settled(self, mark: Birthmark, started_at_seconds: float) -> None:
        age = mark.age_seconds
        if age is None:
            age = time.time() - started_at_seconds
        if age < self.settles_after_seconds:
            raise _unsettled(self.settles_after_seconds - max(age, 0.0) + 1.0)


def _unsettled(seconds: float) -> RoomUnsettled:
    return RoomUnsettled(
        _("The homeserver has not finished making the room."), retry_after_seconds=seconds
    )
