"""Do one action and note what came of it. Every action is safe to repeat."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from commweb.errors import Refused
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import (
    Action,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.closing import Deletions
from commweb.sync.progress import Progress

__all__ = ["Hands"]


class Hands:
    """Does the actions of one run on one room.

    A definite no about one person is that person's reason and stops nobody else; everything
    else a provider raises ends the run.
    """

    def __init__(
        self, backend: Backend, room: RoomRef, progress: Progress, deletions: Deletions
    ) -> None:
        self._backend = backend
        self._progress = progress
        self._skip: set[str] = set()
        self._made: set[str] = set()
        self._deletions = deletions
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
                self._remove(action)
            case SetLevels():
                self._backend.set_levels(self.room, action)
                self._progress.leveled(action.levels)
                if action.read_only is not None:
                    self._progress.room(read_only=action.read_only)
            case RepairPower():
                self._backend.repair_power(self.room, action)
            case CloseDoor():
                self._backend.close_door(self.room, action)
            case DeleteRoom():
                self._delete()
            case _:
                self._detail(action)
        self._progress.flush_if_due()

    def take_over(self, found: FoundRoom | None, slug: str) -> None:
        """Keep what an interrupted creation left, or remove it when it is half-made."""
        if found is not None and found.complete:
            self._progress.room(remote_id=found.remote_id, creation_started_at=None)
            return
        if found is not None:
            self._discard(found.remote_id, slug)
        self._progress.room(creation_key=None, creation_started_at=None)

    def clean_up(self) -> None:
        """Ask for the deletions that are due, and how far the others are."""
        if self._deletions:
            self._deletions.ask_all(self._backend, self.room)
            self._progress.room(pending_delete=self._deletions.text)

    def _create(self, action: CreateRoom) -> None:
        new = tuple(join for join in action.invited if join.person_id in self._made)
        action = replace(action, invited=new)
        remote_id = self._made_before(action) or self._backend.create(self.room, action)
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

    def _made_before(self, action: CreateRoom) -> str | None:
        """The room that an interrupted try made. None: make it now; a half-made one is gone."""
        started = action.creation_started_at_seconds
        if started is None:
            return None
        found = self._backend.find(self.room, action.slug, started)
        if found is not None and found.complete:
            return found.remote_id
        if found is not None:
            self._discard(found.remote_id, action.slug)
        self._progress.flush(creation_started_at=now())
        return None

    def _discard(self, remote_id: str, slug: str) -> None:
        self._forget(remote_id)
        self._deletions.ask(self._backend, self.room, remote_id, slug)
        self._progress.room(pending_delete=self._deletions.text)

    def _forget(self, doomed: str, **room: Any) -> None:
        """Write down that the room is to go, before anybody is asked to delete it."""
        self._deletions.add(doomed)
        self._progress.flush(pending_delete=self._deletions.text, **room)

    def _account(self, action: EnsureAccount) -> None:
        try:
            facts = self._backend.ensure_account(action)
        except Refused as error:
            self._refuse(action.person_id, error.sentence)
            return
        self._progress.looked_at(action, facts)
        if facts.note:
            self._progress.note(facts.note)
        if facts.made:
            self._made.add(action.person_id)
        if not facts.usable:
            self._refuse(action.person_id, facts.reason or _("The account cannot be used."))

    def _join(self, action: Join) -> None:
        if action.person_id in self._skip:
            return
        try:
            self._backend.join(self.room, action)
        except Refused as error:
            self._refuse(action.person_id, error.sentence)
        else:
            self._progress.joined(action.person_id, invited=action.by_invitation)

    def _remove(self, action: Remove) -> None:
        try:
            self._backend.remove(self.room, action)
        except Refused as error:
            if action.person_id:
                self._progress.failed(action.person_id, error.sentence)
            else:
                self._progress.note(error.sentence)
        else:
            self._progress.removed(action.person_id)

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
                self._picture(action)

    def _picture(self, action: SetPicture) -> None:
        """A room without its picture is better than none: a no is only noted."""
        picture = action.picture
        try:
            if picture is not None and action.uri is None:
                uri = self._backend.upload(picture)
                self._progress.uploaded(picture.digest, uri)
                action = replace(action, uri=uri)
            shown = self._backend.set_picture(self.room, action)
        except Refused as error:
            self._progress.note(error.sentence)
            return
        digest = picture.digest if picture else None
        self._progress.room(picture_digest=digest, picture_uri=shown)

    def _delete(self) -> None:
        """The room is asked for at the end of the run, with whatever else has to go."""
        if self.room.remote_id is not None:
            self._forget(
                self.room.remote_id, remote_id=None, creation_key=None, creation_started_at=None
            )
