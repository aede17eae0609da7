"""The homeserver's calls that commweb uses, one method an endpoint.

Sources: Matrix client-server API (https://spec.matrix.org/latest/client-server-api/, "CS" below)
and Synapse's admin API (https://element-hq.github.io/synapse/latest/admin_api/, "admin" below).
Every method may raise `commweb.errors.ProviderError`.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from commweb.encryption import Secret
from commweb.errors import Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.providers.matrix.answers import (
    Deletion,
    Limits,
    RoomDetails,
    User,
    WhoAmI,
    json_object,
    text,
    user,
)
from commweb.providers.matrix.transport import Caller, Json, Upload, path_of

__all__ = ["Deletion", "Limits", "MatrixClient", "RoomDetails", "User", "WhoAmI"]

ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
VERSION_KNOWN_SECONDS = 600.0


class MatrixClient:
    """Calls as the acting account."""

    def __init__(self, caller: Caller) -> None:
        self._call = caller.call
        self._room_version: tuple[float, str] | None = None

    def whoami(self) -> WhoAmI:
        """CS: GET /account/whoami."""
        content = self._call("GET", f"{CLIENT}/account/whoami").content
        device_id = content.get("device_id")
        return WhoAmI(text(content, "user_id"), str(device_id) if device_id else None)

    def default_room_version(self) -> str:
        """CS: GET /capabilities, ``m.room_versions``; "1" for a server that does not say.
        Remembered for ten minutes, so that not every new room asks."""
        known = self._room_version
        if known is not None and time.monotonic() - known[0] < VERSION_KNOWN_SECONDS:
            return known[1]
        content = self._call("GET", f"{CLIENT}/capabilities").content
        versions = json_object(json_object(content, "capabilities"), "m.room_versions")
        version = str(versions.get("default", "1"))
        self._room_version = (time.monotonic(), version)
        return version

    # Accounts

    def is_admin(self, user_id: str) -> bool:
        """admin/user_admin_api: whether a user is a server administrator."""
        path = path_of(ADMIN + "/v1/users/{}/admin", user_id)
        return bool(self._call("GET", path).content.get("admin"))

    def user(self, user_id: str) -> User | None:
        """admin/user_admin_api: query a user account; None when there is none."""
        try:
            return user(self._call("GET", path_of(ADMIN + "/v2/users/{}", user_id)))
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def put_user(
        self,
        user_id: str,
        display_name: str,
        external_ids: Sequence[Mapping[str, str]] | None = None,
    ) -> User:
        """admin/user_admin_api: create or modify an account. No password and no e-mail
        address: one that another account holds would be moved here silently."""
        body: Json = {"displayname": display_name}
        if external_ids is not None:
            body["external_ids"] = [dict(external) for external in external_ids]
        return user(self._call("PUT", path_of(ADMIN + "/v2/users/{}", user_id), body=body))

    def set_password(self, user_id: str, password: Secret) -> None:
        """admin/user_admin_api: give an account a password, keep its sessions. It has to exist:
        one that is missing would be made."""
        path = path_of(ADMIN + "/v2/users/{}", user_id)
        self._call("PUT", path, body={"password": password, "logout_devices": False})

    def limits(self, user_id: str) -> Limits | None:
        """admin/user_admin_api: a user's override of the rate limits; None when there is none."""
        content = self._call("GET", _limits_path(user_id)).content
        if not content:
            return None
        return Limits(content.get("messages_per_second") or 0, content.get("burst_count") or 0)

    def set_limits(self, user_id: str, limits: Limits) -> None:
        """admin/user_admin_api: override the rate limits of a user."""
        body = {
            "messages_per_second": limits.messages_per_second,
            "burst_count": limits.burst_count,
        }
        self._call("POST", _limits_path(user_id), body=body)

    def delete_limits(self, user_id: str) -> None:
        """admin/user_admin_api: the server's own rate limits apply again."""
        self._call("DELETE", _limits_path(user_id))

    # Rooms

    def create_room(self, content: Mapping[str, Any]) -> str:
        """CS: POST /createRoom; the room's id. Not safe to repeat without an alias."""
        return text(self._call("POST", f"{CLIENT}/createRoom", body=content).content, "room_id")

    def alias(self, alias: str) -> str | None:
        """CS: GET /directory/room/{alias}: the room's id; None when nobody has the alias."""
        path = path_of(CLIENT + "/directory/room/{}", alias)
        try:
            return text(self._call("GET", path).content, "room_id")
        except Refused as error:
            if error.status == 404:
                return None
            raise

    def delete_alias(self, alias: str) -> None:
        """CS: DELETE /directory/room/{alias}; one that is not there is fine."""
        try:
            self._call("DELETE", path_of(CLIENT + "/directory/room/{}", alias))
        except Refused as error:
            if error.status != 404:
                raise

    def room_state(self, room_id: str) -> list[Json] | None:
        """admin/rooms: the current state events of any room; None when there is no such room."""
        path = path_of(ADMIN + "/v1/rooms/{}/state", room_id)
        try:
            events = self._call("GET", path).content.get("state")
        except Refused as error:
            if error.status == 404:
                return None
            raise
        if not isinstance(events, list):
            raise Unreachable(_("The homeserver's answer is not complete."))
        return [event for event in events if isinstance(event, dict)]

    def room_details(self, room_id: str) -> RoomDetails | None:
        """admin/rooms: room details; None when there is no such room."""
        try:
            content = self._call("GET", path_of(ADMIN + "/v1/rooms/{}", room_id)).content
        except Refused as error:
            if error.status == 404:
                return None
            raise
        return RoomDetails(room_id, content.get("creator"))

    def state(self, room_id: str, event_type: str, state_key: str = "") -> Json:
        """CS: GET /rooms/{id}/state/{type}/{key}: the event's content."""
        return self._call("GET", _state_path(room_id, event_type, state_key)).content

    def put_state(
        self, room_id: str, event_type: str, content: Mapping[str, Any], state_key: str = ""
    ) -> None:
        """CS: PUT /rooms/{id}/state/{type}/{key}. The same content again makes no new event."""
        self._call("PUT", _state_path(room_id, event_type, state_key), body=content)

    def send_text(self, room_id: str, body: str, transaction: str) -> None:
        """CS: PUT /rooms/{id}/send/m.room.message/{transaction}: a plain message. The same
        transaction again sends nothing."""
        path = path_of(CLIENT + "/rooms/{}/send/m.room.message/{}", room_id, transaction)
        self._call("PUT", path, body={"msgtype": "m.text", "body": body})

    def admin_join(self, room_id: str, user_id: str) -> None:
        """admin/room_membership: put a local user into a room (invite and join in one)."""
        path = path_of(ADMIN + "/v1/join/{}", room_id)
        self._call("POST", path, body={"user_id": user_id})

    def invite(self, room_id: str, user_id: str) -> None:
        """CS: POST /rooms/{id}/invite, for people of other servers."""
        path = path_of(CLIENT + "/rooms/{}/invite", room_id)
        self._call("POST", path, body={"user_id": user_id})

    def kick(self, room_id: str, user_id: str, reason: str) -> None:
        """CS: POST /rooms/{id}/kick. Unlike writing a ``leave`` it does not lift a ban."""
        path = path_of(CLIENT + "/rooms/{}/kick", room_id)
        self._call("POST", path, body={"user_id": user_id, "reason": reason})

    def leave(self, room_id: str) -> None:
        """CS: POST /rooms/{id}/leave, as the acting account."""
        self._call("POST", path_of(CLIENT + "/rooms/{}/leave", room_id), body={})

    def join(self, room_id: str) -> None:
        """CS: POST /rooms/{id}/join, as the acting account."""
        self._call("POST", path_of(CLIENT + "/rooms/{}/join", room_id), body={})

    def make_room_admin(self, room_id: str) -> None:
        """admin/rooms: give the acting account the highest power a local member has."""
        self._call("POST", path_of(ADMIN + "/v1/rooms/{}/make_room_admin", room_id), body={})

    def delete_room(self, room_id: str) -> str:
        """admin/rooms, version 2: start to remove everybody and purge; an id to ask with."""
        path = path_of(ADMIN + "/v2/rooms/{}", room_id)
        content = self._call("DELETE", path, body={"purge": True, "block": False}).content
        return text(content, "delete_id")

    def deletion(self, delete_id: str) -> Deletion | None:
        """admin/rooms: status of one deletion; None when the server has forgotten it."""
        path = path_of(ADMIN + "/v2/rooms/delete_status/{}", delete_id)
        try:
            content = self._call("GET", path).content
        except Refused as error:
            if error.status == 404:
                return None
            raise
        return Deletion(delete_id, text(content, "status"))

    def deletions(self, room_id: str) -> list[Deletion]:
        """admin/rooms: the deletions of a room that the server remembers."""
        path = path_of(ADMIN + "/v2/rooms/{}/delete_status", room_id)
        try:
            results = self._call("GET", path).content.get("results")
        except Refused as error:
            if error.status == 404:
                return []
            raise
        return [
            Deletion(str(result.get("delete_id", "")), str(result.get("status", "")))
            for result in (results if isinstance(results, list) else [])
            if isinstance(result, dict)
        ]

    # Pictures

    def largest_upload(self) -> int | None:
        """CS: GET /_matrix/client/v1/media/config: bytes; None when the server does not say."""
        size = self._call("GET", "/_matrix/client/v1/media/config").content.get("m.upload.size")
        return size if isinstance(size, int) else None

    def upload(self, data: bytes, media_type: str, filename: str) -> str:
        """CS: POST /_matrix/media/v3/upload; the ``mxc://`` URI."""
        content = self._call(
            "POST",
            "/_matrix/media/v3/upload",
            body=Upload(data, media_type),
            query={"filename": filename},
        ).content
        return text(content, "content_uri")


def _limits_path(user_id: str) -> str:
    return path_of(ADMIN + "/v1/users/{}/override_ratelimit", user_id)


def _state_path(room_id: str, event_type: str, state_key: str) -> str:
    return path_of(CLIENT + "/rooms/{}/state/{}/{}", room_id, event_type, state_key)
