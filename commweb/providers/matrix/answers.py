"""What the homeserver's answers hold, as frozen data. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commweb.errors import Unreachable
from commweb.i18n import gettext as _
from commweb.providers.matrix.content import Json
from commweb.providers.matrix.transport import Answer

__all__ = [
    "Deletion",
    "Limits",
    "RoomDetails",
    "User",
    "WhoAmI",
    "incomplete",
    "json_object",
    "levels",
    "list_of_objects",
    "named",
    "text",
    "user",
    "whoami",
]

LONGEST_ID = 255


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
    """An account on this server. ``made``: there was none before the request.

    ``created_at`` and ``server_time``: seconds since 1970 by the server's clock; None: not said.
    ``external_ids``: (single sign-on, id) pairs. ``seen``: somebody was seen to use it.
    ``of_service``: a bridge or another application service owns it. ``bare``: it has a name and
    nothing else, no picture, address or single sign-on.
    """

    user_id: str
    display_name: str | None
    admin: bool
    deactivated: bool
    locked: bool
    made: bool = False
    suspended: bool = False
    created_at: float | None = None
    server_time: float | None = None
    external_ids: frozenset[tuple[str, str]] = frozenset()
    seen: bool = False
    of_service: bool = False
    bare: bool = True


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


LEVELS = (
    "ban",
    "events",
    "events_default",
    "invite",
    "kick",
    "notifications",
    "redact",
    "state_default",
    "users",
    "users_default",
)
"""Matrix client-server API, ``m.room.power_levels``."""


def incomplete() -> Unreachable:
    """A good status with an answer in another shape than promised: nothing may be concluded."""
    return Unreachable(_("The homeserver's answer is not complete."))


def list_of_objects(content: Mapping[str, Any], key: str) -> list[Json]:
    """A list that has to be there. Raises `Unreachable`: what is missing would read as gone."""
    value = content.get(key)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise incomplete()
    return value


def levels(content: Json) -> Json:
    """The content of power levels. Raises `Unreachable` for what has nothing of them in it."""
    if not any(key in content for key in LEVELS):
        raise incomplete()
    return content


def text(content: Mapping[str, Any], key: str) -> str:
    """A text that has to be there. Raises `Unreachable`: without it the answer is useless."""
    value = content.get(key)
    if not isinstance(value, str) or not value:
        raise incomplete()
    return value


def named(answer: Answer, key: str, begins: str) -> str:
    """An id that has to be there and begin so. Raises `Unreachable`: another program answers."""
    value = text(answer.content, key)
    if not value.startswith(begins) or len(value) > LONGEST_ID:
        raise incomplete()
    return value


def whoami(answer: Answer) -> WhoAmI:
    """Whose token it is."""
    user_id, device_id = named(answer, "user_id", "@"), answer.content.get("device_id")
    if not all(user_id[1:].partition(":")):
        raise incomplete()
    return WhoAmI(user_id, device_id if isinstance(device_id, str) and device_id else None)


def json_object(content: Mapping[str, Any], key: str) -> Json:
    """The object under the key; empty for anything else."""
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def user(answer: Answer, asked: str) -> User:
    """The account that an answer tells about. Raises `Unreachable` when it is not the one
    ``asked`` for."""
    content = answer.content
    if text(content, "name") != asked:
        raise incomplete()
    display_name = content.get("displayname")
    return User(
        user_id=asked,
        display_name=display_name if isinstance(display_name, str) else None,
        admin=_flag(content, "admin"),
        deactivated=_flag(content, "deactivated"),
        locked=_flag(content, "locked"),
        made=answer.status == 201,
        suspended=_flag(content, "suspended"),
        created_at=_seconds(content.get("creation_ts")),
        server_time=answer.at,
        external_ids=_external_ids(content.get("external_ids")),
        seen=bool(content.get("last_seen_ts")),
        of_service=bool(content.get("appservice_id")),
        bare=not any(content.get(key) for key in ("avatar_url", "threepids", "external_ids")),
    )


def _flag(content: Mapping[str, Any], key: str) -> bool:
    """Yes or no; older servers write 1 or 0. Raises `Unreachable` for what is neither: the word
    "false" is no yes."""
    value = content.get(key)
    if value not in (None, True, False):  # 1 and 0 too
        raise incomplete()
    return bool(value)


def _seconds(value: object) -> float | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 2**40
    return float(value) if good and isinstance(value, int | float) else None


def _external_ids(value: object) -> frozenset[tuple[str, str]]:
    pairs = [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
    return frozenset(
        (str(one.get("auth_provider", "")), str(one.get("external_id", ""))) for one in pairs
    )
