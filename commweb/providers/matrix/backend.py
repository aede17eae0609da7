"""Rooms on a Matrix homeserver: what the engine asks, in the homeserver's calls.

Each method is safe to repeat. Which refusals mean "it is so already" was found out on Synapse;
the codes alone do not tell, so its English sentences are looked at too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from commweb.errors import ProviderError, Refused, RoomGone, RoomUnsettled, Unreachable
from commweb.i18n import gettext as _
from commweb.net import Door
from commweb.providers.base import Backend
from commweb.providers.matrix import identifiers
from commweb.providers.matrix.accounts import Accounts, local_only
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.creating import RoomMaker
from commweb.providers.matrix.levels import OWN_LEVEL, changed_levels, smaller_levels
from commweb.providers.matrix.rooms import NewRoomRules, creators_are_unlisted, observed
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
GOING_ON = ("scheduled", "active")


@dataclass(frozen=True)
class Acting:
    """The account that makes and keeps the rooms, and its server's name."""

    user_id: str
    server_name: str


class MatrixBackend(Backend):
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
        self.own_id, self.server_name = acting.user_id, acting.server_name
        self._accounts = Accounts(
            client, acting.server_name, rules.federate, sso_provider_id, acting.user_id
        )
        self._maker = RoomMaker(client, acting.user_id, acting.server_name, rules)

    def close(self) -> None:
        self._door.close()

    def identify(self, username: str, taken: frozenset[str]) -> str:
        return identifiers.user_id(username, self._acting.server_name, taken)

    def whereabouts(self, remote_user_id: str) -> str:
        if identifiers.user_id_problem(remote_user_id) is not None:
            return "nowhere"
        local = identifiers.is_on(remote_user_id, self._acting.server_name)
        return "here" if local else "elsewhere"

    def home_of(self, remote_user_id: str) -> str:
        return identifiers.server_name_of(remote_user_id)

    def answers(self) -> bool:
        try:
            self._client.whoami()
        except Unreachable:
            return False
        except ProviderError:
            return True  # a no is an answer
        return True

    def accept_invitation(self, room: RoomRef) -> None:
        self._client.join(_id_of(room))

    def leave(self, room: RoomRef) -> None:
        self._client.leave(_id_of(room))

    def own_rooms(self, known: frozenset[str] = frozenset()) -> Iterable[OwnRoom]:
        return ()

    def highest_level(self) -> int:
        unlisted = creators_are_unlisted(self._client.default_room_version())
        return OWN_LEVEL if unlisted else OWN_LEVEL - 1

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        """One request. A room nobody is in any more is gone: nobody could let us in again."""
        room_id = _id_of(room)
        events = self._client.room_state(room_id)
        seen = observed(room_id, events or (), self._acting.user_id)
        if seen is None or all(member.membership != "join" for member in seen.members.values()):
            return None
        return seen

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
        name = action.remote_user_id
        if action.by_invitation or not identifiers.is_on(name, self._acting.server_name):
            self._put_in(self._client.invite, room, name)
        else:
            self._put_in(self._client.admin_join, room, name)

    def _put_in(self, put: Callable[[str, str], None], room: RoomRef, name: str) -> None:
        try:
            with _room_answers():
                put(_id_of(room), name)
        except MatrixRefused as error:
            if error.status == 403 and "already in the room" in error.server_text:
                return
            if error.errcode == "M_BAD_STATE" or "banned" in error.server_text:
                raise Refused(
                    _("%(user)s is banned from the room.", user=name), status=403
                ) from None
            if "unfederatable" in error.server_text:
                raise Refused(local_only(name), status=403) from None
            if error.status == 404 and error.errcode == "M_NOT_FOUND":
                raise Refused(
                    _("%(user)s has no account on the homeserver.", user=name), status=404
                ) from None
            if error.status == 404:
                raise _gone() from None
            raise

    def remove(self, room: RoomRef, action: Remove) -> None:
        name = action.remote_user_id
        try:
            with _room_answers():
                self._client.kick(_id_of(room), name, REASON)
        except MatrixRefused as error:
            if error.errcode == "M_BAD_STATE" or "not in the room" in error.server_text:
                return  # banned, or gone already
            if error.status == 403 and "cannot kick" in error.server_text.lower():
                raise Refused(
                    _("%(user)s has as much power in the room as the acting account.", user=name),
                    status=403,
                ) from None
            raise

    def set_name(self, room: RoomRef, action: SetName) -> None:
        with _room_answers():
            self._client.put_state(_id_of(room), "m.room.name", {"name": action.name})

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        with _room_answers():
            self._client.put_state(_id_of(room), "m.room.topic", {"topic": action.topic})

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        uri = None
        if action.picture is not None:
            uri = action.uri or self.upload(action.picture)
        with _room_answers():
            self._client.put_state(_id_of(room), "m.room.avatar", {"url": uri} if uri else {})
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
        room_id = _id_of(room)
        with _room_answers():
            content = self._client.state(room_id, "m.room.power_levels")
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
        with _room_answers():
            self._client.put_state(_id_of(room), "m.room.join_rules", {"join_rule": "invite"})

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        room_id = _id_of(room)
        try:
            self._client.make_room_admin(room_id)
        except MatrixRefused as error:
            if error.status == 404:
                raise _gone() from None
            if error.status != 400:
                raise
            # Nobody local can give power; in rooms of version 12 and later nobody has to, because
            # we are the creator. An invitation by any member is enough to get back in.
        try:
            self._client.join(room_id)
        except MatrixRefused as error:
            if error.status not in (403, 404):
                raise
            raise Refused(
                _(
                    "The acting account has left the room. Somebody in the room has to invite "
                    "%(user)s again.",
                    user=self._acting.user_id,
                ),
                status=error.status,
            ) from None

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        if action.delete_id is not None:
            found = self._client.deletion(action.delete_id)
            if found is not None and found.status == "complete":
                return None
            if found is not None and found.status in GOING_ON:
                return action.delete_id
        if room.remote_id is None:
            return None
        if action.slug:
            # At once, unlike the deletion: the room can be made again while that goes on.
            self._maker.free(action.slug, room.creation_key)
        try:
            return self._client.delete_room(room.remote_id)
        except MatrixRefused as error:
            if error.status == 404:
                return None
            if error.status != 400:
                raise
            refusal = error
        going_on = [one for one in self._client.deletions(room.remote_id) if one.status in GOING_ON]
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
        raise _gone()
    return room.remote_id


def _gone() -> RoomGone:
    return RoomGone(_("The room is not on the homeserver any more."))


@contextmanager
def _room_answers() -> Iterator[None]:
    """Our own account is out of the room: the next look at it says how to get back in."""
    try:
        yield
    except MatrixRefused as error:
        if error.status != 403 or "not in room" not in error.server_text:
            raise
        raise RoomUnsettled(
            _("The acting account is not in the room any more."), retry_after_seconds=1.0
        ) from None
