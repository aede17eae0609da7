"""The homeserver's calls that commweb uses, one method an endpoint.

Sources: Matrix client-server API (https://spec.matrix.org/latest/client-server-api/, "CS" below)
and Synapse's admin API (https://element-hq.github.io/synapse/latest/admin_api/, "admin" below).
Every method may raise what `commweb.providers.matrix.meaning.error_of` gives. "None" is answered
only where the homeserver says of this very thing that it is not there; an answer in another shape
than promised is `commweb.errors.Unreachable`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any

from commweb.encryption import Secret
from commweb.errors import ProviderStopped, Refused, UserLimitReached
from commweb.i18n import gettext as _
from commweb.providers.matrix import calls
from commweb.providers.matrix.answers import (
    Deletion,
    Limits,
    RoomDetails,
    User,
    WhoAmI,
    incomplete,
    json_object,
    levels,
    list_of_objects,
    named,
    text,
    user,
    whoami,
)
from commweb.providers.matrix.calls import Call
from commweb.providers.matrix.content import Json
from commweb.providers.matrix.meaning import Absent
from commweb.providers.matrix.stopped import STOPS
from commweb.providers.matrix.transport import Answer, Caller, Upload

__all__ = ["Deletion", "Limits", "MatrixClient", "RoomDetails", "User", "WhoAmI"]

VERSION_KNOWN_SECONDS = 600.0


class MatrixClient:
    """Calls as the acting account."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._room_version: tuple[float, str] | None = None

    def _ask(
        self,
        call: Call,
        *names: str,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        return self._caller.call(call.method, call.path_with(*names), body=body, query=query)

    def whoami(self) -> WhoAmI:
        """CS: GET /account/whoami."""
        return whoami(self._ask(calls.WHOAMI))

    def default_room_version(self) -> str:
        """CS: GET /capabilities, ``m.room_versions``; "1" for a server that does not say.
        Remembered for ten minutes, so that not every new room asks."""
        known = self._room_version
        if known is not None and time.monotonic() - known[0] < VERSION_KNOWN_SECONDS:
            return known[1]
        content = self._ask(calls.CAPABILITIES).content
        if not isinstance(content.get("capabilities"), dict):
            raise incomplete()
        versions = json_object(json_object(content, "capabilities"), "m.room_versions")
        version = str(versions.get("default", "1"))
        self._room_version = (time.monotonic(), version)
        return version

    # Accounts

    def user(self, user_id: str) -> User | None:
        """admin/user_admin_api: query a user account; None when there is none. That the acting
        account may ask says that it is a server administrator."""
        try:
            return user(self._ask(calls.USER, user_id), user_id)
        except Absent:
            return None

    def put_user(self, user_id: str, display_name: str) -> User:
        """admin/user_admin_api: create an account, or name one that is there. No password and no
        e-mail address: one that another account holds would be moved here silently."""
        return user(self._ask(calls.PUT_USER, user_id, body={"displayname": display_name}), user_id)

    def link_external_ids(self, user_id: str, ids: Iterable[tuple[str, str]]) -> None:
        """admin/user_admin_api: the (single sign-on, id) pairs of an account, in place of those it
        has. It has to exist: one that is missing would be created."""
        pairs = [{"auth_provider": key, "external_id": value} for key, value in sorted(ids)]
        self._ask(calls.PUT_USER, user_id, body={"external_ids": pairs})

    def user_of_external_id(self, auth_provider: str, external_id: str) -> str | None:
        """admin/user_admin_api, "Find a user based on their ID in an auth provider"; None when
        nobody has it."""
        try:
            answer = self._ask(calls.USER_OF_EXTERNAL_ID, auth_provider, external_id)
        except Absent:
            return None
        return named(answer, "user_id", "@")

    def has_devices(self, user_id: str) -> bool:
        """admin/user_admin_api, "List all devices": whether anybody is signed in as the account."""
        try:
            devices = self._ask(calls.DEVICES, user_id).content.get("devices")
        except Absent:
            return False
        if not isinstance(devices, list):
            raise incomplete()
        return bool(devices)

    def set_password(self, user_id: str, password: Secret, *, logout_devices: bool = True) -> None:
        """admin/user_admin_api: give an account a password, and sign its devices out. It has to
        exist: one that is missing would be created."""
        body = {"password": password, "logout_devices": logout_devices}
        self._ask(calls.PUT_USER, user_id, body=body)

    def set_locked(self, user_id: str, *, locked: bool) -> None:
        """admin/user_admin_api: lock an account, or unlock it. Whoever is signed in with it gets
        401 ``M_USER_LOCKED`` until then; its devices and rooms stay as they are. It has to exist:
        one that is missing would be created."""
        self._ask(calls.PUT_USER, user_id, body={"locked": locked})

    def limits(self, user_id: str) -> Limits | None:
        """admin/user_admin_api: a user's override of the rate limits; None when there is none."""
        content = self._ask(calls.LIMITS, user_id).content
        if not content:
            return None
        return Limits(content.get("messages_per_second") or 0, content.get("burst_count") or 0)

    def set_limits(self, user_id: str, limits: Limits) -> None:
        """admin/user_admin_api: override the rate limits of a user."""
        body = {
            "messages_per_second": limits.messages_per_second,
            "burst_count": limits.burst_count,
        }
        self._ask(calls.SET_LIMITS, user_id, body=body)

    # Rooms

    def create_room(self, content: Mapping[str, Any]) -> str:
        """CS: POST /createRoom; the room's id. Not safe to repeat without an alias."""
        return named(self._ask(calls.CREATE_ROOM, body=content), "room_id", "!")

    def try_creating(self) -> None:
        """CS: POST /createRoom with a preset that does not exist. Synapse refuses it, but only
        after it has asked whether this account may do anything at all: agreed to the terms,
        counted among the users, the server not stopped. Raises `ProviderStopped` or
        `UserLimitReached` then; a server that creates a room all the same is rid of it again."""
        try:
            room_id = self.create_room({"preset": "org.commweb.none", "visibility": "private"})
        except UserLimitReached:
            raise
        except Refused:
            return
        self.delete_room(room_id)

    def alias(self, alias: str) -> str | None:
        """CS: GET /directory/room/{alias}: the room's id; None when nobody has the alias."""
        try:
            return named(self._ask(calls.ALIAS, alias), "room_id", "!")
        except Absent:
            return None

    def delete_alias(self, alias: str) -> None:
        """CS: DELETE /directory/room/{alias}; one that is not there is fine."""
        with suppress(Absent):
            self._ask(calls.DELETE_ALIAS, alias)

    def rooms(self, start: int, limit: int) -> Json:
        """admin/rooms: a page of the list of all rooms (``rooms``, ``next_batch``), beginning
        with the ``start``-th."""
        query = {"from": str(start), "limit": str(limit)}
        content = self._ask(calls.ROOMS, query=query).content
        list_of_objects(content, "rooms")
        return content

    def room_state(self, room_id: str, event_type: str = "") -> list[Json] | None:
        """admin/rooms: the current state events of any room, up to 512 MiB of them; None when
        there is no such room. Of a large room only the keys that are read are kept.
        ``event_type``: only these are needed; a server that does not know that sends all."""
        query = {"type": event_type} if event_type else None
        try:
            content = self._ask(calls.ROOM_STATE, room_id, query=query).content
        except Absent:
            return None
        return list_of_objects(content, "state")

    def members(self, room_id: str) -> list[str]:
        """admin/rooms: who is joined; nobody when there is no such room."""
        try:
            content = self._ask(calls.ROOM_MEMBERS, room_id).content
        except Absent:
            return []
        members, total = content.get("members"), content.get("total")
        if not isinstance(members, list) or isinstance(total, bool) or total != len(members):
            raise incomplete()
        return [str(one) for one in members]

    def room_details(self, room_id: str) -> RoomDetails | None:
        """admin/rooms: room details; None when there is no such room."""
        try:
            answer = self._ask(calls.ROOM_DETAILS, room_id)
        except Absent:
            return None
        if named(answer, "room_id", "!") != room_id:
            raise incomplete()
        creator = answer.content.get("creator")
        return RoomDetails(room_id, creator if isinstance(creator, str) else None)

    def state(self, room_id: str, event_type: str, state_key: str = "") -> Json:
        """CS: GET /rooms/{id}/state/{type}/{key}: the event's content. Raises `Absent`."""
        return self._ask(calls.STATE, room_id, event_type, state_key).content

    def power_levels(self, room_id: str) -> Json:
        """The content of ``m.room.power_levels``, to be written again with changes: what is not
        one would take the place of it."""
        return levels(self.state(room_id, "m.room.power_levels"))

    def membership(self, room_id: str, user_id: str) -> str:
        """The ``membership`` of anybody who has one. Raises `Absent` for all others."""
        return text(self.state(room_id, "m.room.member", user_id), "membership")

    def put_state(
        self, room_id: str, event_type: str, content: Mapping[str, Any], state_key: str = ""
    ) -> None:
        """CS: PUT /rooms/{id}/state/{type}/{key}. The same content again makes no new event."""
        answer = self._ask(calls.PUT_STATE, room_id, event_type, state_key, body=content)
        text(answer.content, "event_id")

    def send_text(self, room_id: str, body: str, transaction: str) -> None:
        """CS: PUT /rooms/{id}/send/m.room.message/{transaction}: a plain message. The same
        transaction again sends nothing."""
        content = {"msgtype": "m.text", "body": body}
        text(self._ask(calls.SEND, room_id, transaction, body=content).content, "event_id")

    def admin_join(self, room_id: str, user_id: str) -> None:
        """admin/room_membership: put a local user into a room (invite and join in one). Raises
        `Absent` when there is no such user, and `Refused` when that user is suspended or locked,
        which the homeserver says in the same code as of the acting account."""
        try:
            answer = self._ask(calls.ADMIN_JOIN, room_id, body={"user_id": user_id})
        except ProviderStopped as error:
            if error.errcode not in STOPS or error.status != 403:
                raise
            if (theirs := self._their_own(user_id)) is None:
                raise
            raise theirs from None
        named(answer, "room_id", "!")

    def _their_own(self, user_id: str) -> Refused | None:
        """Why this user, and not the acting account, is refused; None: it is not theirs."""
        found = self.user(user_id)
        if found is None or not (found.suspended or found.locked or found.deactivated):
            return None
        if found.suspended:
            sentence = _("%(user)s is suspended on the homeserver.", user=user_id)
        elif found.locked:
            sentence = _("The account %(user)s is locked on the homeserver.", user=user_id)
        else:
            sentence = _("The account %(user)s is deactivated on the homeserver.", user=user_id)
        return Refused(sentence, status=403)

    def invite(self, room_id: str, user_id: str) -> None:
        """CS: POST /rooms/{id}/invite, for people of other servers. Raises `Unreachable` when
        the answer is not the one there is and the person is not invited."""
        answer = self._ask(calls.INVITE, room_id, body={"user_id": user_id})
        self._believed(answer, room_id, user_id, ("invite", "join"))

    def kick(self, room_id: str, user_id: str, reason: str) -> None:
        """CS: POST /rooms/{id}/kick. Unlike writing a ``leave`` it does not lift a ban. Raises
        `Unreachable` when the answer is not the one there is and the person is not out."""
        answer = self._ask(calls.KICK, room_id, body={"user_id": user_id, "reason": reason})
        self._believed(answer, room_id, user_id, ("leave", "ban"))

    def _believed(
        self, answer: Answer, room_id: str, user_id: str, memberships: tuple[str, ...]
    ) -> None:
        """A good answer to a change of a membership is an empty object. With anything in it, it
        may be some other program's: then the room is asked."""
        if answer.content and self.membership(room_id, user_id) not in memberships:
            raise incomplete()

    def leave(self, room_id: str) -> None:
        """CS: POST /rooms/{id}/leave, as the acting account."""
        self._ask(calls.LEAVE, room_id, body={})

    def join(self, room_id: str) -> None:
        """CS: POST /rooms/{id}/join, as the acting account."""
        named(self._ask(calls.JOIN, room_id, body={}), "room_id", "!")

    def make_room_admin(self, room_id: str) -> None:
        """admin/rooms: give the acting account the highest power a local member has."""
        self._ask(calls.MAKE_ROOM_ADMIN, room_id, body={})

    def delete_room(self, room_id: str) -> str:
        """admin/rooms, version 2: start to remove everybody and purge; an id to ask with."""
        body = {"purge": True, "block": False}
        return text(self._ask(calls.DELETE_ROOM, room_id, body=body).content, "delete_id")

    def deletion(self, delete_id: str) -> Deletion | None:
        """admin/rooms: status of one deletion; None when the server has forgotten it."""
        try:
            content = self._ask(calls.DELETION, delete_id).content
        except Absent:
            return None
        return Deletion(delete_id, text(content, "status"))

    def deletions(self, room_id: str) -> list[Deletion]:
        """admin/rooms: the deletions of a room that the server remembers."""
        try:
            results = self._ask(calls.DELETIONS, room_id).content.get("results")
        except Absent:
            return []
        return [
            Deletion(str(result.get("delete_id", "")), str(result.get("status", "")))
            for result in (results if isinstance(results, list) else [])
            if isinstance(result, dict)
        ]

    # Pictures

    def largest_upload(self) -> int | None:
        """CS: GET /_matrix/client/v1/media/config: bytes; None when the server does not say."""
        size = self._ask(calls.LARGEST_UPLOAD).content.get("m.upload.size")
        return size if isinstance(size, int) and not isinstance(size, bool) and size >= 0 else None

    def upload(self, data: bytes, media_type: str, filename: str) -> str:
        """CS: POST /_matrix/media/v3/upload; the ``mxc://`` URI."""
        query = {"filename": filename}
        answer = self._ask(calls.UPLOAD, body=Upload(data, media_type), query=query)
        return named(answer, "content_uri", "mxc://")
