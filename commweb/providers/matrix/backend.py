"""Rooms on a Matrix homeserver: what the engine asks, in the homeserver's calls.

Each method is safe to repeat. A refusal's code does not tell "it is so already" from "it may not
be": the memberships in the room do, and are asked for then.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from commweb.errors import ProviderError, Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.net import Door
from commweb.providers.base import Backend
from commweb.providers.matrix.accounts import Accounts, local_only
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.creating import RoomMaker
from commweb.providers.matrix.identifiers import MatrixNames, is_on, server_name_of
from commweb.providers.matrix.levels import OWN_LEVEL, changed_levels, smaller_levels
from commweb.providers.matrix.own_rooms import OwnRooms, gone
from commweb.providers.matrix.rooms import NewRoomRules, creators_are_unlisted
from commweb.providers.matrix.transport import Json, MatrixRefused
from commweb.providers.rooms import (
    AccountFacts,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    ObservedRoom,
    OwnRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)

__all__ = ["Acting", "MatrixBackend"]

REASON = "Not a member of the course"
REFUSALS = (400, 403)
INSIDE = ("join", "invite", "knock")
GOING_ON = ("scheduled", "active")


@dataclass(frozen=True)
class Acting:
    """The account that makes and keeps the rooms, and its server's name."""

    user_id: str
    server_name: str


class MatrixBackend(MatrixNames, Backend):
    """One thread's work as the acting account. ``door`` is closed with it."""

    def __init__(
        self,
        client: MatrixClient,
        door: Door,
        acting: Acting,
        *,
        rules: NewRoomRules,
        sso_provider_id: str = "",
    ) -> None:
        self._client = client
        self._door = door
        self._acting = acting
        super().__init__(acting.user_id, acting.server_name)
        self._accounts = Accounts(
            client, acting.server_name, rules.federate, sso_provider_id, acting.user_id
        )
        self._maker = RoomMaker(client, acting.user_id, acting.server_name, rules)
        self._own = OwnRooms(client, acting.user_id)

    def close(self) -> None:
        self._door.close()

    def home_of(self, remote_user_id: str) -> str:
        return server_name_of(remote_user_id)

    def answers(self) -> bool:
        try:
            self._client.whoami()
        except Unreachable:
            return False
        except ProviderError:
            return True  # a no is an answer
        return True

    def accept_invitation(self, room: RoomRef) -> None:
        self._own.accept_invitation(_id_of(room))

    def leave(self, room: RoomRef) -> None:
        self._own.leave(_id_of(room))

    def own_rooms(self, known: frozenset[str] = frozenset()) -> Iterable[OwnRoom]:
        return self._own.all(known)

    def highest_level(self) -> int:
        unlisted = creators_are_unlisted(self._client.default_room_version())
        return OWN_LEVEL if unlisted else OWN_LEVEL - 1

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        """One request; two when nobody is in the room any more. That is gone: nobody could let
        us in again."""
        return self._own.seen(_id_of(room))

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        uri = None
        if action.picture is not None:
            try:
                uri = self.upload(action.picture)
            except Refused:
                uri = None  # a room without its picture is better than none
        return self._maker.make(action, uri)

    def find(self, room: RoomRef, slug: str, started_at_seconds: float) -> FoundRoom | None:
        return self._maker.find(slug, room.creation_key, started_at_seconds)

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        return self._accounts.ensure(action)

    def join(self, room: RoomRef, action: Join) -> None:
        room_id, name = _id_of(room), action.remote_user_id
        local = is_on(name, self._acting.server_name)
        invite = action.by_invitation or not local
        put = self._client.invite if invite else self._client.admin_join
        try:
            put(room_id, name)
        except MatrixRefused as error:
            refusal = error
        else:
            return
        if (refusal.status, refusal.errcode) == (404, "M_NOT_FOUND"):
            raise Refused(
                _("%(user)s has no account on the homeserver.", user=name),
                status=refusal.status,
                errcode=refusal.errcode,
            )
        if refusal.status in REFUSALS:
            there = self._found(room_id, name)
            if there == "join" or (invite and there == "invite"):
                return
            reason = self._why_out(room_id, name, there, local=local)
            if reason is not None:
                raise Refused(reason, status=refusal.status, errcode=refusal.errcode)
        raise refusal

    def _found(self, room_id: str, name: str) -> str:
        """The person's membership, now that a change of it was refused. Raises `RoomUnsettled`
        when that was because the acting account is out of the room."""
        self._own.require_being_in(room_id)
        return self._own.membership(room_id, name)

    def _why_out(self, room_id: str, name: str, there: str, *, local: bool) -> str | None:
        if there == "ban":
            return _("%(user)s is banned from the room.", user=name)
        if not local and self._client.state(room_id, "m.room.create").get("m.federate") is False:
            return local_only(name)
        return None

    def remove(self, room: RoomRef, action: Remove) -> None:
        room_id, name = _id_of(room), action.remote_user_id
        try:
            self._client.kick(room_id, name, REASON)
        except MatrixRefused as error:
            if error.status not in REFUSALS:
                raise
            refusal = error
        else:
            return
        if self._found(room_id, name) in INSIDE:
            raise Refused(
                _(
                    "The site's account has too little power in the room to remove %(user)s.",
                    user=name,
                ),
                status=refusal.status,
                errcode=refusal.errcode,
            )

    @contextmanager
    def _inside(self, room: RoomRef) -> Iterator[str]:
        """The room's id, for a change of it. Raises `RoomUnsettled` when it is refused because
        the acting account is out of the room."""
        room_id = _id_of(room)
        try:
            yield room_id
        except MatrixRefused as error:
            if error.status == 403:
                self._own.require_being_in(room_id)
            raise

    def set_name(self, room: RoomRef, action: SetName) -> None:
        with self._inside(room) as room_id:
            self._client.put_state(room_id, "m.room.name", {"name": action.name})

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        with self._inside(room) as room_id:
            self._client.put_state(room_id, "m.room.topic", {"topic": action.topic})

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        uri = None
        if action.picture is not None:
            uri = action.uri or self.upload(action.picture)
        with self._inside(room) as room_id:
            self._client.put_state(room_id, "m.room.avatar", {"url": uri} if uri else {})
        return uri

    def upload(self, picture: Picture) -> str:
        data = picture.read()
        # Asked first: Synapse cuts the connection in the middle of an upload that is too large.
        largest = self._client.largest_upload()
        if largest is None or len(data) <= largest:
            try:
                return self._client.upload(data, picture.media_type, picture.digest)
            except MatrixRefused as error:
                if error.status != 413:
                    raise
        raise Refused(_("The picture is larger than the homeserver takes."), status=413)

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        """A list that is too large is made smaller by giving everybody the most frequent level,
        if that has no power over others."""
        with self._inside(room) as room_id:
            content = self._client.power_levels(room_id)
            changed = changed_levels(content, action)
            if changed == content:
                return
            try:
                self._client.put_state(room_id, "m.room.power_levels", changed)
            except MatrixRefused as error:
                if error.status != 413:
                    raise
                smaller = smaller_levels(changed)
                if smaller is None:
                    raise _too_many_levels(error) from None
                self._put_smaller(room_id, smaller)

    def _put_smaller(self, room_id: str, content: Json) -> None:
        try:
            self._client.put_state(room_id, "m.room.power_levels", content)
        except MatrixRefused as error:
            if error.status != 413:
                raise
            raise _too_many_levels(error) from None

    def close_door(self, room: RoomRef, action: CloseDoor) -> None:
        with self._inside(room) as room_id:
            self._client.put_state(room_id, "m.room.join_rules", {"join_rule": "invite"})

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        self._own.repair(_id_of(room))

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        if action.delete_id is not None:
            found = self._client.deletion(action.delete_id)
            if found is not None and found.status == "complete":
                return None
            if found is not None and found.status in GOING_ON:
                return action.delete_id
        room_id = room.remote_id
        if room_id is None:
            return None
        there = self._own.may_delete(room, room_id, half_made=bool(action.slug))
        if action.slug:
            # At once, unlike the deletion: the room can be made again while that goes on.
            self._maker.free(action.slug, room.creation_key, room_id)
        return self._deletion(room_id) if there else None

    def _deletion(self, room_id: str) -> str:
        """Ask for it; the id of the one that goes on."""
        try:
            return self._client.delete_room(room_id)
        except MatrixRefused as error:
            if error.status != 400:
                raise
            refusal = error
        going_on = [one for one in self._client.deletions(room_id) if one.status in GOING_ON]
        if not going_on:
            raise refusal
        return going_on[-1].delete_id


def _too_many_levels(error: MatrixRefused) -> Refused:
    return Refused(
        _("The room's power levels are over 64 KB. Give most people the same level."),
        status=error.status,
        errcode=error.errcode,
    )


def _id_of(room: RoomRef) -> str:
    if room.remote_id is None:
        raise gone()
    return room.remote_id
