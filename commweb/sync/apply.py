"""Do one action and note what came of it. Every action is safe to repeat."""

from __future__ import annotations

from dataclasses import replace

from commweb.errors import Refused
from commweb.i18n import gettext as _
from commweb.providers.base import Backend
from commweb.providers.rooms import (
    Action,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.progress import Progress

__all__ = ["Hands"]


class Hands:
    """Does the actions of one run on one room.

    A definite no about one person is that person's reason and stops nobody else; everything
    else a provider raises ends the run.
    """

    def __init__(self, backend: Backend, room: RoomRef, progress: Progress) -> None:
        self._backend = backend
        self._progress = progress
        self._skip: set[str] = set()
        self.room = room

    def do(self, action: Action) -> None:
        """Do it. Raises `commweb.errors.ProviderError` and `LeaseLost`."""
        match action:
            case CreateRoom():
                self._create(action)
            case EnsureAccount():
                self._account(action)
            case Join():
                self._join(action)
            case Remove():
                self._backend.remove(self.room, action)
                self._progress.removed(action.person_id, action.remote_user_id)
            case SetLevels():
                self._backend.set_levels(self.room, action)
                self._progress.leveled(action.levels)
            case RepairPower():
                self._backend.repair_power(self.room, action)
            case DeleteRoom():
                self._delete(action)
            case _:
                self._detail(action)
        self._progress.flush_if_due()

    def _create(self, action: CreateRoom) -> None:
        remote_id = self._backend.create(self.room, action)
        self.room = replace(self.room, remote_id=remote_id)
        # A room that an earlier try may have made has what that try gave it, which we do not
        # know: no name is recorded, and the next look sets everything.
        fresh = action.creation_started_at_seconds is None
        self._progress.room(
            remote_id=remote_id,
            creation_started_at=None,
            name=action.name if fresh else None,
            topic=action.topic if fresh else None,
            picture_digest=None,
            picture_uri=None,
        )
        if fresh:
            self._progress.leveled(action.levels)
        self._progress.flush()

    def _account(self, action: EnsureAccount) -> None:
        try:
            facts = self._backend.ensure_account(action)
        except Refused as error:
            self._refuse(action.person_id, error.message)
            return
        if facts.usable:
            self._progress.checked(action.person_id, action.remote_user_id, action.display_name)
        else:
            self._refuse(action.person_id, facts.reason or _("The account cannot be used."))

    def _join(self, action: Join) -> None:
        if action.person_id in self._skip:
            return
        try:
            self._backend.join(self.room, action)
        except Refused as error:
            self._refuse(action.person_id, error.message)
        else:
            self._progress.joined(action.person_id)

    def _refuse(self, person_id: str, reason: str) -> None:
        self._skip.add(person_id)
        self._progress.failed(person_id, reason)

    def _detail(self, action: Action) -> None:
        match action:
            case SetName():
                self._backend.set_name(self.room, action)
                self._progress.room(name=action.name)
            case SetTopic():
                self._backend.set_topic(self.room, action)
                self._progress.room(topic=action.topic)
            case SetPicture():
                uri = self._backend.set_picture(self.room, action)
                digest = action.picture.digest if action.picture else None
                self._progress.room(picture_digest=digest, picture_uri=uri)

    def _delete(self, action: DeleteRoom) -> None:
        delete_id = self._backend.delete(self.room, action)
        self._progress.room(
            pending_delete=delete_id,
            remote_id=None,
            creation_key=None,
            creation_started_at=None,
        )
