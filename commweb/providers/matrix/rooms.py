"""Room state in, plain data out; desired rooms in, createRoom content out. Pure.

Sources: Matrix client-server API, "Room events" and ``createRoom``
(https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3createroom), and the room
versions (https://spec.matrix.org/latest/rooms/): since version 12 creators have power without
being listed in ``m.room.power_levels`` and must not be listed there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from commweb.providers.matrix.transport import Json
from commweb.providers.rooms import CreateRoom, Join, ObservedMember, ObservedRoom

__all__ = [
    "CREATION_KEY",
    "ORIGIN",
    "OWN_LEVEL",
    "Birthmark",
    "NewRoomRules",
    "birthmark",
    "changed_levels",
    "creation_content",
    "creators_are_unlisted",
    "observed",
]

CREATION_KEY = "org.commweb.creation_key"
ORIGIN = "org.commweb.origin"
READ_ONLY_LEVEL = 50
OWN_LEVEL = 100
ENCRYPTION = "m.megolm.v1.aes-sha2"
State = Mapping[tuple[str, str], Json]


@dataclass(frozen=True)
class NewRoomRules:
    """What the settings say about new rooms; it cannot be changed later."""

    federate: bool = False
    encrypt: bool = False
    history_visibility: str = "shared"


@dataclass(frozen=True)
class Birthmark:
    """What tells whether a room found by its alias is ours and complete.

    ``age_seconds`` is None when the room has no state that says so.
    """

    sender: str | None
    creation_key: str | None
    complete: bool
    age_seconds: float | None


def creators_are_unlisted(room_version: str) -> bool:
    """Whether creators have power without being listed: room version 12 and later."""
    if room_version.isdigit():
        return int(room_version) >= 12
    return room_version.startswith("org.matrix.hydra")


def _by_key(events: Iterable[Json]) -> dict[tuple[str, str], Json]:
    return {(str(event.get("type")), str(event.get("state_key", ""))): event for event in events}


def _content(state: State, event_type: str, state_key: str = "") -> Json:
    content = state.get((event_type, state_key), {}).get("content")
    return content if isinstance(content, dict) else {}


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key)
    return value if isinstance(value, str) else ""


def _level(value: object, default: int) -> int:
    """A power level; room versions before 10 allow numbers written as text."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return default
    try:
        return int(value)
    except ValueError:
        return default


def observed(room_id: str, events: Iterable[Json], own_id: str) -> ObservedRoom | None:
    """The room that the state events describe, seen by ``own_id``; None when there are none."""
    state = _by_key(events)
    if not state:
        return None
    creators = _creators(state)
    levels = {
        name: _level(value, 0) for name, value in _mapping(_levels_of(state), "users").items()
    }
    default = _level(_levels_of(state).get("users_default"), 0)
    own = float("inf") if own_id in creators else levels.get(own_id, default)
    members = _members(state)
    return ObservedRoom(
        remote_id=room_id,
        name=_text(_content(state, "m.room.name"), "name"),
        topic=_text(_content(state, "m.room.topic"), "topic"),
        picture_uri=_text(_content(state, "m.room.avatar"), "url") or None,
        members=members,
        levels=levels,
        default_level=default,
        creators=creators,
        own_id=own_id,
        own_in_room=own_id in members and members[own_id].membership == "join",
        own_can_manage=own >= _level_to_manage(_levels_of(state)),
        read_only=_level(_levels_of(state).get("events_default"), 0) > default,
        replaced_by=_text(_content(state, "m.room.tombstone"), "replacement_room") or None,
        open_door=_is_open(state, own_id),
    )


def _is_open(state: State, own_id: str) -> bool:
    """Whether the acting account lets everybody join who knows the room's id."""
    ours = state.get(("m.room.join_rules", ""), {}).get("sender") == own_id
    return ours and _text(_content(state, "m.room.join_rules"), "join_rule") == "public"


def _levels_of(state: State) -> Json:
    """The power levels. Without the event only the creator has power."""
    if ("m.room.power_levels", "") in state:
        return _content(state, "m.room.power_levels")
    creator = state.get(("m.room.create", ""), {}).get("sender")
    return {"users": {creator: OWN_LEVEL} if isinstance(creator, str) else {}, "state_default": 0}


def _mapping(content: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = content.get(key)
    return value if isinstance(value, dict) else {}


def _level_to_manage(levels: Json) -> int:
    """The level that everything commweb does in a room needs."""
    events = _mapping(levels, "events")
    state_default = _level(levels.get("state_default"), 50)
    changed = ("m.room.power_levels", "m.room.name", "m.room.topic", "m.room.avatar")
    return max(
        state_default,
        _level(levels.get("kick"), 50),
        _level(levels.get("invite"), 0),
        *(_level(events.get(name), state_default) for name in changed),
    )


def _creators(state: State) -> frozenset[str]:
    create = state.get(("m.room.create", ""), {})
    content = _content(state, "m.room.create")
    if not creators_are_unlisted(str(content.get("room_version", "1"))):
        return frozenset()
    more = content.get("additional_creators")
    names = [create.get("sender"), *(more if isinstance(more, list) else ())]
    return frozenset(name for name in names if isinstance(name, str))


def _members(state: State) -> dict[str, ObservedMember]:
    members = {}
    for (event_type, state_key), event in state.items():
        if event_type == "m.room.member":
            membership = _text(_content(state, event_type, state_key), "membership")
            by_self = membership == "leave" and event.get("sender") == state_key
            members[state_key] = ObservedMember(membership, by_self)
    return members


def birthmark(events: Iterable[Json], own_id: str) -> Birthmark:
    """Whose room it is, with which key, and whether its creation was finished."""
    state = _by_key(events)
    create = state.get(("m.room.create", ""), {})
    member = _content(state, "m.room.member", own_id)
    age = create.get("age", _mapping(create, "unsigned").get("age"))
    return Birthmark(
        sender=_text(create, "sender") or None,
        creation_key=_text(_content(state, "m.room.create"), CREATION_KEY) or None,
        # Synapse writes the rest of the first events together with the power levels.
        complete=_text(member, "membership") == "join"
        and ("m.room.power_levels", "") in state
        and ("m.room.join_rules", "") in state,
        age_seconds=age / 1000 if isinstance(age, int | float) else None,
    )


def creation_content(
    action: CreateRoom,
    *,
    alias_name: str,
    own_id: str,
    room_version: str,
    rules: NewRoomRules,
    picture_uri: str | None,
) -> Json:
    """The body of createRoom: one request that makes the whole room.

    The alias is the only key that makes a repeated request harmless; it is not shown as the
    room's address. The creation key is in the first event, which nobody can change.
    """
    users = {name: level for name, level in action.levels.items() if name != own_id}
    if not creators_are_unlisted(room_version):
        users[own_id] = OWN_LEVEL
    content: Json = {
        "preset": "private_chat",
        "visibility": "private",
        "name": action.name,
        "room_alias_name": alias_name,
        "creation_content": {
            "m.federate": rules.federate,
            CREATION_KEY: action.creation_key,
            ORIGIN: dict(action.origin),
        },
        "initial_state": [
            *_initial_state(rules, picture_uri, open_door=action.open_door),
            *(_invitation(join) for join in action.invited if join.remote_user_id != own_id),
        ],
        "power_level_content_override": {"users": users},
    }
    if room_version != "1":
        # Named, because who is listed in the levels depends on it: the server's default may have
        # changed since it was asked. "1": the server did not say.
        content["room_version"] = room_version
    if action.topic:
        content["topic"] = action.topic
    return content


def _initial_state(rules: NewRoomRules, picture_uri: str | None, *, open_door: bool) -> list[Json]:
    wanted: dict[str, Json] = {
        "m.room.canonical_alias": {},
        "m.room.history_visibility": {"history_visibility": rules.history_visibility},
        "m.room.guest_access": {"guest_access": "forbidden"},
    }
    if rules.encrypt:
        wanted["m.room.encryption"] = {"algorithm": ENCRYPTION}
    if open_door:
        # In no directory, but nobody has to be invited first: one event a member, not two.
        wanted["m.room.join_rules"] = {"join_rule": "public"}
    if picture_uri:
        wanted["m.room.avatar"] = {"url": picture_uri}
    return [{"type": name, "state_key": "", "content": value} for name, value in wanted.items()]


def _invitation(join: Join) -> Json:
    """The invitation that a join of ours would begin with, as Synapse would write it: then it is
    recognised and not written again. Among the first events it is stored with all of them
    together (up to 100), which costs less than half of one by itself. If the profile differs,
    Synapse writes another one, and the person comes in all the same."""
    content = {"membership": "invite", "displayname": join.display_name}
    return {"type": "m.room.member", "state_key": join.remote_user_id, "content": content}


def changed_levels(
    content: Mapping[str, Any], levels: Mapping[str, int | None], read_only: bool | None
) -> Json:
    """The power levels with only ``users`` changed (None takes a person off the list), and the
    level for messages where ``read_only`` says so. Everything else stays as it is."""
    users = dict(_mapping(content, "users"))
    for name, level in levels.items():
        if level is None:
            users.pop(name, None)
        else:
            users[name] = level
    changed = {**content, "users": users}
    if read_only is not None:
        default = _level(content.get("users_default"), 0)
        changed["events_default"] = max(READ_ONLY_LEVEL, default + 1) if read_only else 0
    return changed
