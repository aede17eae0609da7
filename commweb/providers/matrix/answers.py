"""What the homeserver's answers hold, as frozen data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commweb.errors import Unreachable
from commweb.i18n import gettext as _
from commweb.providers.matrix.transport import Answer, Json

__all__ = ["Deletion", "Limits", "RoomDetails", "User", "WhoAmI", "json_object", "text", "user"]


@dataclass(frozen=True)
class WhoAmI:
    """Whose token it is. ``device_id`` is None for a token without a device."""

    user_id: str
    device_id: str | None

    @property
    def server_name(self) -> str:
        return self.user_id.partition(":")[2]


@dataclass(frozen=True)
class User:
    """An account on this server. ``made``: there was none before the request."""

    user_id: str
    display_name: str | None
    admin: bool
    deactivated: bool
    locked: bool
    made: bool = False


@dataclass(frozen=True)
class Limits:
    """A user's own rate limit; both zero: none. `None` instead of this: the server's apply."""

    messages_per_second: int
    burst_count: int


@dataclass(frozen=True)
class RoomDetails:
    """What the server's list of rooms says, also of a room without state."""

    room_id: str
    creator: str | None


@dataclass(frozen=True)
class Deletion:
    """How far a deletion is. ``status``: scheduled, active, complete or failed."""

    delete_id: str
    status: str


def text(content: Mapping[str, Any], key: str) -> str:
    """A text that has to be there. Raises `Unreachable`: without it the answer is useless."""
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise Unreachable(_("The homeserver's answer is not complete."))
    return value


def json_object(content: Mapping[str, Any], key: str) -> Json:
    """The object under the key; empty for anything else."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def user(answer: Answer) -> User:
    """The account that an answer tells about."""
    content = answer.content
    display_name = content.get("displayname")
    return User(
        user_id=text(content, "name"),
        display_name=display_name if isinstance(display_name, str) else None,
        admin=bool(content.get("admin")),
        deactivated=bool(content.get("deactivated")),
        locked=bool(content.get("locked")),
        made=answer.status == 201,
    )
