"""Power levels: reading what a room has, changing them, keeping them small enough. Pure.

Source: Matrix client-server API, ``m.room.power_levels``
(https://spec.matrix.org/latest/client-server-api/#mroompower_levels), and its "Size limits" of
events: 65536 bytes, whoever is listed included.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

from commweb.providers.matrix.transport import Json
from commweb.providers.rooms import SetLevels

__all__ = ["OWN_LEVEL", "Levels", "changed_levels", "fitting_levels", "smaller_levels"]

OWN_LEVEL = 100
MODERATOR_LEVEL = 50
HIGHEST = 2**31 - 1
"""Levels beyond it are read as this one: nobody means them, and no column would hold them."""

BYTES = 60_000
"""What the levels of a new room may take: an event holds 65536 bytes, and more than levels."""

_NUMBER = re.compile(r"\s*[+-]?[0-9]{1,16}\s*", re.ASCII)
_MANAGED = ("m.room.power_levels", "m.room.name", "m.room.topic", "m.room.avatar")


def level(value: object, default: int) -> int:
    """The power level that ``value`` is; ``default`` if it is none. Room versions before 10
    allow numbers written as text, and before 6 such with a point."""
    number = _number(value)
    return default if number is None else max(-HIGHEST, min(number, HIGHEST))


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return int(value)
    return int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else None


class Levels:
    """What the content of ``m.room.power_levels`` says; anything malformed says nothing."""

    def __init__(self, content: Mapping[str, Any]) -> None:
        self._content = content

    def _of(self, key: str, default: int) -> int:
        return level(self._content.get(key), default)

    @property
    def users(self) -> dict[str, int]:
        """Who is listed, with which level."""
        listed = _mapping(self._content, "users").items()
        return {name: level(value, 0) for name, value in listed if _number(value) is not None}

    @property
    def default(self) -> int:
        """The level of everybody who is not listed."""
        return self._of("users_default", 0)

    @property
    def messages(self) -> int:
        return self._of("events_default", 0)

    @property
    def invite(self) -> int:
        return self._of("invite", 0)

    @property
    def to_manage(self) -> int:
        """The level that everything commweb does in a room needs."""
        events = _mapping(self._content, "events")
        state = self._of("state_default", 50)
        changed = (level(events.get(name), state) for name in _MANAGED)
        return max(state, self._of("kick", 50), self.invite, *changed)

    @property
    def to_moderate(self) -> int:
        """The lowest level that gives power over others, at most the one of moderators."""
        keys = ("ban", "kick", "redact", "state_default")
        return min(MODERATOR_LEVEL, *(self._of(key, 50) for key in keys))


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def changed_levels(content: Mapping[str, Any], action: SetLevels) -> Json:
    """The power levels with what ``action`` names changed: listed people (None takes a person
    off the list), everybody's level, the ones for messages and invitations. The rest stays."""
    users = dict(_mapping(content, "users"))
    for name, wanted in action.levels.items():
        if wanted is None:
            users.pop(name, None)
        else:
            users[name] = wanted
    changed = {**content, "users": users}
    if action.default_level is not None:
        changed["users_default"] = action.default_level
    if action.invite_level is not None:
        changed["invite"] = action.invite_level
    if action.read_only is not None:
        closed = max(MODERATOR_LEVEL, Levels(changed).default + 1)
        changed["events_default"] = closed if action.read_only else action.open_level
    return changed


def smaller_levels(content: Mapping[str, Any]) -> Json | None:
    """The same levels with the most frequent one as everybody's, so that fewer are listed; None
    when that is not to be: the level gives power over others, or is below what everybody has."""
    levels = Levels(content)
    frequent = Counter(levels.users.values()).most_common(1)
    if not frequent or not levels.default < frequent[0][0] < levels.to_moderate:
        return None
    most = frequent[0][0]
    users = {
        name: value
        for name, value in _mapping(content, "users").items()
        if _number(value) is None or level(value, 0) != most
    }
    return {**content, "users": users, "users_default": most}


def fitting_levels(content: Json) -> Json:
    """What of a new room's levels one event holds. Who is left out, the lowest levels first, is
    listed by the next change, or that says why it cannot be."""
    if _size(content) <= BYTES:
        return content
    fewer = smaller_levels(content) or content
    users: dict[str, int] = {}
    left = BYTES - _size({**fewer, "users": {}})
    for name, value in sorted(fewer["users"].items(), key=lambda one: (-one[1], one[0])):
        left -= _size({name: value})
        if left < 0:
            break
        users[name] = value
    return {**fewer, "users": users}


def _size(content: Mapping[str, Any]) -> int:
    return len(json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode())
