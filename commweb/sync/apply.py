"""Do one action and note what came of it. Every action is safe to repeat."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from commweb.errors import (
    CommWebError,
    HostError,
    LeaseLost,
    ProviderError,
    ProviderStopped,
    RateLimited,
    Refused,
    RoomGone,
    RoomUnsettled,
    SignInNeeded,
    Unreachable,
    UserLimitReached,
)
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import (
    AccountFacts,
    Action,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.choose_account import EXTERNAL_ID
from commweb.sync.closing import Deletions
from commweb.sync.leases import Lease
from commweb.sync.progress import Progress

__all__ = ["Hands", "key_of"]

NO_SUCH_USER = "M_NOT_FOUND"
MOST_FAULTS = 5
"""After so many acts without an answer the run ends, though the server answers other requests."""

DETAILS: Mapping[type[Action], str] = MappingProxyType(
    {
        SetName: "name",
        SetTopic: "topic",
        SetPicture: "picture",
        SetLevels: "levels",
        CloseDoor: "door",
    }
)

EVERYBODYS = (SignInNeeded, ProviderStopped, RateLimited, RoomGone, RoomUnsettled)
"""What concerns more than one action."""

log = logging.getLogger(__name__)


def key_of(action: Action) -> str:
    """What could not be done, if the action could not: see ``commweb_room.undone``; empty for an
    action that nothing goes on without."""
    if isinstance(action, EnsureAccount | Join):
        return f"person:{action.person_id}"
    if isinstance(action, Remove):
        return f"person:{action.person_id}" if action.person_id else _account_key(action)
    return DETAILS.get(type(action), "")


def _account_key(action: Remove) -> str:
    return f"account:{action.remote_user_id}"


class Hands:
    """Does the actions of one run on one room.

    A fault of one person or one detail is noted there and stops nobody else; what concerns the
    acting account, the server or the whole room ends the run.
    """

    def __init__(
        self,
        backend: Backend,
        room: RoomRef,
        progress: Progress,
        deletions: Deletions,
        lease: Lease | None = None,
    ) -> None:
        self._backend = backend
        self._progress = progress
        self._lease = lease
        self._skip: set[str] = set()
        self._made: set[str] = set()
        self._accounts: dict[str, EnsureAccount] = {}
        self._dead_homes: dict[str, str] = {}
        self._full: str | None = None
        self._faults = 0
        self._deletions = deletions
        self.room = room
        self.late = False
        """Whether an act got no answer, so that the server may still process it."""

    def do(self, action: Action) -> None:
        """Do it, or note why not. Raises `commweb.errors.ProviderError` and `LeaseLost`."""
        try:
            try:
                self._act(action)
            finally:
                # Also an act that failed may have sent something before.
                if self._lease is not None:
                    self._lease.confirm()
        except Exception as error:
            reason = self._own_fault(action, error)
            if reason is None:
                raise
            self._could_not(action, reason)
        self._progress.flush_if_due()

    def _own_fault(self, action: Action, error: Exception) -> str | None:
        """Why the action could not be done, if that is its own fault; None: it ends the run."""
        if isinstance(error, Unreachable):
            self.late = True
        if isinstance(error, (*EVERYBODYS, LeaseLost)) or not key_of(action):
            return None
        if isinstance(error, UserLimitReached):
            self._full = error.sentence
        if isinstance(error, Unreachable) and not self._answers(action):
            return None
        dead = self._dead_homes.get(self._home_of(action))
        if dead is not None:
            return dead
        if isinstance(error, ProviderError | HostError):
            return error.sentence
        if isinstance(action, SetPicture) and not isinstance(error, CommWebError):
            log.exception("The picture of a course could not be read.")
            return _("The site could not read the picture (%(kind)s).", kind=type(error).__name__)
        return None

    def _answers(self, action: Action) -> bool:
        """Whether others can go on after an act that got no answer. Another homeserver that does
        not answer is not asked again in this run."""
        home = self._home_of(action)
        if not self._backend.answers():
            return False
        if home:
            self._dead_homes[home] = _(
                "%(server)s, the homeserver of this account, does not answer. It is tried again.",
                server=home,
            )
            return True
        self._faults += 1
        return self._faults < MOST_FAULTS

    def _home_of(self, action: Action) -> str:
        """The other homeserver that a join concerns; empty: none."""
        if not isinstance(action, Join):
            return ""
        home = self._backend.home_of(action.remote_user_id)
        return "" if home == self._backend.server_name else home

    def _could_not(self, action: Action, reason: str) -> None:
        match action:
            case EnsureAccount() | Join():
                if self._full is not None:
                    self._wait(action.person_id, reason)
                else:
                    self._refuse(action.person_id, reason)
            case Remove() if action.person_id:
                self._progress.failed(action.person_id, reason)
            case _:
                self._progress.undone(key_of(action), reason)

    def _wait(self, person_id: str, reason: str) -> None:
        """The server takes nobody now: that is not the person's fault."""
        self._skip.add(person_id)
        self._progress.waits(person_id, reason)
        self._progress.note(reason)

    def _act(self, action: Action) -> None:
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
                self._levels(action)
            case RepairPower():
                self._backend.repair_power(self.room, action)
            case CloseDoor():
                self._backend.close_door(self.room, action)
            case DeleteRoom():
                self._delete()
            case _:
                self._detail(action)

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
        # A room that an earlier try may have created has what that try gave it, which we do not
        # know: no name is recorded, and the next sync sets everything.
        fresh = action.creation_started_at_seconds is None
        self._progress.room(
            remote_id=remote_id,
            made_by_us=True,
            chain=[],
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
        """The room that an interrupted try created. None: create it now; a half-made one is
        gone."""
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
        self._accounts[action.person_id] = action
        if self._full is not None and not action.known:
            self._wait(action.person_id, self._full)
            return
        facts = self._theirs(action, self._backend.ensure_account(action))
        self._progress.looked_at(action, facts)
        if facts.note:
            self._progress.note(facts.note)
        if facts.made:
            self._made.add(action.person_id)
        if not facts.usable:
            self._refuse(action.person_id, facts.reason or _("The account cannot be used."))

    def _theirs(self, action: EnsureAccount, facts: AccountFacts) -> AccountFacts:
        """An account that the person's single sign-on opens, and somebody else has proven, is not
        theirs: they get one that it does not open."""
        other = facts.remote_user_id
        if facts.origin != EXTERNAL_ID or other == action.remote_user_id:
            return facts
        if self._progress.takes(action.person_id, other, self._backend.server_name):
            return facts
        found = self._backend.ensure_account(replace(action, external_id=None))
        note = _(
            "The single sign-on of %(name)s already opens another account than %(user)s.",
            name=action.display_name,
            user=action.remote_user_id,
        )
        return replace(found, note=note)

    def _join(self, action: Join) -> None:
        if action.person_id in self._skip:
            return
        dead = self._dead_homes.get(self._home_of(action))
        if dead is not None:
            self._refuse(action.person_id, dead)
            return
        if self._full is not None:
            self._wait(action.person_id, self._full)
            return
        try:
            self._backend.join(self.room, action)
        except Refused as error:
            if error.errcode != NO_SUCH_USER or action.person_id in self._made:
                raise
            if not self._created_again(action):
                raise
        self._progress.joined(action.person_id, invited=action.by_invitation)

    def _created_again(self, action: Join) -> bool:
        """Whether an account that the server has forgotten (it was restored from a backup) is
        there again, and the person inside. Only accounts that commweb created are."""
        if not self._progress.may_create(action.person_id):
            return False
        known = self._accounts.get(action.person_id)
        again = known or EnsureAccount(action.person_id, action.remote_user_id, action.display_name)
        self._account(replace(again, known=False))
        if action.person_id in self._skip:
            return False
        self._backend.join(self.room, action)
        return True

    def _remove(self, action: Remove) -> None:
        if action.after:
            if not self._progress.is_in(action.after):
                return
            # The new account's half is stored before the old one's begins.
            self._progress.flush()
        room = self.room if action.room_id is None else replace(self.room, remote_id=action.room_id)
        self._backend.remove(room, action)
        if action.room_id is None:
            self._progress.removed(action.person_id)

    def _levels(self, action: SetLevels) -> None:
        if action.read_only and action.open_level == 0 and self._progress.open_level is None:
            self._remember_open_level()
        self._backend.set_levels(self.room, action)
        self._progress.leveled(action.levels)
        if action.read_only is not None:
            self._progress.room(read_only=action.read_only)

    def _remember_open_level(self) -> None:
        """A room that is closed just after it was created goes back to what its server gave it."""
        seen = self._backend.observe(self.room)
        if seen is not None and not seen.read_only:
            self._progress.flush(open_level=seen.message_level)

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
        picture = action.picture
        if picture is not None and action.uri is None:
            uri = self._backend.upload(_kept(picture))
            self._progress.uploaded(picture.digest, uri)
            action = replace(action, uri=uri)
        shown = self._backend.set_picture(self.room, action)
        digest = picture.digest if picture else None
        self._progress.room(picture_digest=digest, picture_uri=shown)

    def _delete(self) -> None:
        """The room is asked for at the end of the run, with whatever else has to go."""
        if self.room.remote_id is not None:
            self._forget(
                self.room.remote_id, remote_id=None, creation_key=None, creation_started_at=None
            )


def _kept(picture: Picture) -> Picture:
    """The picture with its bytes read: a host that fails to read it is the host's fault, and is
    told apart from the server's."""
    data = picture.read()
    return replace(picture, read=_given(data))


def _given(data: bytes) -> Callable[[], bytes]:
    return lambda: data
