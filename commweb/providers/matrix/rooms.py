"""Room state in, plain data out; desired rooms in, createRoom content out. Pure.

Sources: Matrix client-server API, "Room events" and ``createRoom``
(https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3createroom), and the room
versions (https://spec.matrix.org/latest/rooms/): since version 12 creators have power without
being listed in ``m.room.power_levels`` and must not be listed there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from commweb.providers.matrix.levels import OWN_LEVEL, Levels, fitting_levels
from commweb.providers.matrix.transport import Json
from commweb.providers.rooms import CreateRoom, Join, ObservedMember, ObservedRoom

__all__ = [
    "CREATION_KEY",
    "ORIGIN",
    "Birthmark",
    "NewRoomRules",
    "birthmark",
    "creation_content",
    "creators_are_unlisted",
    "observed",
]

CREATION_KEY = "org.commweb.creation_key"
ORIGIN = "org.commweb.origin"
ENCRYPTION = "m.megolm.v1.aes-sha2"
MEMBERSHIPS = ("join", "invite", "leave", "ban", "knock")
JOIN_RULES = ("public", "knock", "invite", "private", "restricted", "knock_restricted")
HISTORY = ("world_readable", "shared", "invited", "joined")
_ROOM_ID = re.compile(r"![\x21-\x7e]{1,254}")
State = Mapping[tuple[str, str], Json]


@dataclass(frozen=True)
class NewRoomRules:
    """What the settings say about new rooms. But for ``invite_level``, the level needed to
    invite, it cannot be changed later."""

    federate: bool = False
    encrypt: bool = False
    history_visibility: str = "shared"
    invite_level: int = 50


@dataclass(frozen=True)
class Birthmark:
    """What tells whether a room is ours and complete.

    ``age_seconds`` is None when the room has no state that says so.
    """

    sender: str | None
    creation_key: str | None
    complete: bool
    age_seconds: float | None
    origin: Mapping[str, str] = field(default_factory=dict)


def creators_are_unlisted(room_version: str) -> bool:
    """Whether creators have power without being listed: room version 12 and later."""
    if room_version.isascii() and room_version.isdigit() and len(room_version) < 5:
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


def _one_of(words: tuple[str, ...], value: str, default: str) -> str:
    return value if value in words else default


def _room_id(content: Mapping[str, Any], key: str) -> str | None:
    value = _text(content, key)
    return value if _ROOM_ID.fullmatch(value) else None


def observed(room_id: str, events: Iterable[Json], own_id: str) -> ObservedRoom | None:
    """The room that the state events describe, seen by ``own_id``; None when there are none.

    Whatever is malformed is read as if it was not there: members of the room write most of it.
    """
    state = _by_key(events)
    if not state:
        return None
    creators, levels, members = _creators(state), Levels(_levels_of(state)), _members(state)
    listed = levels.users
    power = float("inf") if own_id in creators else listed.get(own_id, levels.default)
    own = members.get(own_id, ObservedMember(""))
    create, tombstone = _content(state, "m.room.create"), _content(state, "m.room.tombstone")
    rule = _text(_content(state, "m.room.join_rules"), "join_rule")
    history = _text(_content(state, "m.room.history_visibility"), "history_visibility")
    return ObservedRoom(
        remote_id=room_id,
        name=_text(_content(state, "m.room.name"), "name"),
        topic=_text(_content(state, "m.room.topic"), "topic"),
        picture_uri=_text(_content(state, "m.room.avatar"), "url") or None,
        members=members,
        levels=listed,
        default_level=levels.default,
        creators=creators,
        own_id=own_id,
        own_in_room=own.membership == "join",
        own_can_manage=power >= levels.to_manage,
        read_only=levels.messages > levels.default,
        replaced_by=_room_id(tombstone, "replacement_room"),
        open_door=_is_open(state, own_id),
        own_membership=own.membership,
        own_membership_by=own.by,
        message_level=levels.messages,
        invite_level=levels.invite,
        creator=_sender(state, "m.room.create"),
        creation_key=_text(create, CREATION_KEY),
        origin=_origin(create),
        predecessor=_room_id(_mapping(create, "predecessor"), "room_id"),
        replaced_by_sender=_sender(state, "m.room.tombstone") or None,
        join_rule=_one_of(JOIN_RULES, rule, "invite"),
        history_visibility=_one_of(HISTORY, history, "shared"),
        join_rule_by=_sender(state, "m.room.join_rules"),
        history_by=_sender(state, "m.room.history_visibility"),
    )


def _sender(state: State, event_type: str, state_key: str = "") -> str:
    return _text(state.get((event_type, state_key), {}), "sender")


def _origin(create: Json) -> dict[str, str]:
    """Which installation, course and group the room was made for."""
    named = _mapping(create, ORIGIN).items()
    return {name: value for name, value in named if isinstance(value, str)}


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
    for event_type, state_key in state:
        if event_type == "m.room.member":
            content = _content(state, event_type, state_key)
            membership = _one_of(MEMBERSHIPS, _text(content, "membership"), "")
            sender = _sender(state, event_type, state_key)
            by_self = membership == "leave" and sender == state_key
            members[state_key] = ObservedMember(membership, by_self, sender)
    return members


def birthmark(events: Iterable[Json], own_id: str) -> Birthmark:
    """Whose room it is, with which key, and whether its creation was finished."""
    state = _by_key(events)
    create = state.get(("m.room.create", ""), {})
    age = create.get("age", _mapping(create, "unsigned").get("age"))
    return Birthmark(
        sender=_text(create, "sender") or None,
        creation_key=_text(_content(state, "m.room.create"), CREATION_KEY) or None,
        # Synapse writes the rest of the first events together with the power levels. A room that
        # we have left since, or are banned from, was complete once: people are in it.
        complete=("m.room.member", own_id) in state
        and ("m.room.power_levels", "") in state
        and ("m.room.join_rules", "") in state,
        age_seconds=age / 1000 if isinstance(age, int | float) else None,
        origin=_origin(_content(state, "m.room.create")),
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
        "power_level_content_override": _first_levels(action, own_id, room_version, rules),
    }
    if room_version != "1":
        # Named, because who is listed in the levels depends on it: the server's default may have
        # changed since it was asked. "1": the server did not say.
        content["room_version"] = room_version
    if action.topic:
        content["topic"] = action.topic
    return content


def _first_levels(action: CreateRoom, own_id: str, room_version: str, rules: NewRoomRules) -> Json:
    """What differs from the preset's levels. Its ``invite`` is 0: any member could bring in
    anybody, also somebody who was removed."""
    default = action.default_level
    users = {
        name: level for name, level in action.levels.items() if name != own_id and level != default
    }
    if not creators_are_unlisted(room_version):
        users[own_id] = OWN_LEVEL
    invite = rules.invite_level if action.invite_level is None else action.invite_level
    levels = {"users": users, "invite": min(invite, OWN_LEVEL)}
    return fitting_levels({**levels, "users_default": default} if default else levels)


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
