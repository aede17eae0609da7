"""A provider whose homeserver is a dictionary: the simulator the contract tests hold to account."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from commweb.errors import ProviderError, Refused, RoomGone
from commweb.i18n import lazy_gettext
from commweb.providers.base import Backend, Provider, ProviderContext
from commweb.providers.rooms import (
    AccountFacts,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    ObservedMember,
    ObservedRoom,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)

OWN = "@bot:sim"


@dataclass
class SimulatedRoom:
    """One room as the simulated server keeps it."""

    id: str
    key: str
    name: str
    topic: str
    picture_uri: str | None = None
    members: dict[str, ObservedMember] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    read_only: bool = False
    own_in_room: bool = True
    own_can_manage: bool = True


class SimulatedServer:
    """Rooms and accounts; ``faults`` are raised by the next calls, ``calls`` counts them."""

    def __init__(self) -> None:
        self.rooms: dict[str, SimulatedRoom] = {}
        self.accounts: dict[str, str] = {}
        self.unusable: dict[str, str] = {}
        self.faults: list[ProviderError | None] = []
        self.calls: list[str] = []
        self.lock = threading.Lock()
        self._ids = itertools.count(1)

    def new_id(self) -> str:
        return f"!sim{next(self._ids)}"

    def called(self, name: str) -> None:
        with self.lock:
            self.calls.append(name)
            fault = self.faults.pop(0) if self.faults else None
        if fault is not None:
            raise fault


class SimulatedBackend(Backend):
    def __init__(self, server: SimulatedServer) -> None:
        self.server = server

    def identify(self, username: str, taken: frozenset[str]) -> str:
        for suffix in itertools.chain([""], (f"-{n}" for n in itertools.count(2))):
            remote = f"@{username.lower()}{suffix}:sim"
            if remote not in taken:
                return remote
        raise AssertionError

    def _room(self, ref: RoomRef) -> SimulatedRoom:
        room = self.server.rooms.get(ref.remote_id or "")
        if room is None:
            raise RoomGone("The room is gone.")
        return room

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        self.server.called("observe")
        found = self.server.rooms.get(room.remote_id or "")
        if found is None:
            return None
        return ObservedRoom(
            remote_id=found.id,
            name=found.name,
            topic=found.topic,
            picture_uri=found.picture_uri,
            members=dict(found.members),
            levels=dict(found.levels),
            creators=frozenset({OWN}),
            own_id=OWN,
            own_in_room=found.own_in_room,
            own_can_manage=found.own_can_manage,
            read_only=found.read_only,
        )

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        self.server.called("create")
        for found in self.server.rooms.values():
            if found.key == action.creation_key:
                return found.id
        made = SimulatedRoom(self.server.new_id(), action.creation_key, action.name, action.topic)
        made.members[OWN] = ObservedMember("join", by_self=True)
        made.levels = dict(action.levels)
        self.server.rooms[made.id] = made
        return made.id

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        self.server.called("ensure_account")
        reason = self.server.unusable.get(action.remote_user_id)
        if reason:
            return AccountFacts(action.remote_user_id, usable=False, reason=reason)
        self.server.accounts[action.remote_user_id] = action.display_name
        return AccountFacts(action.remote_user_id)

    def join(self, room: RoomRef, action: Join) -> None:
        self.server.called("join")
        found = self._room(room)
        if action.remote_user_id not in self.server.accounts:
            raise Refused("There is no such account.")
        found.members[action.remote_user_id] = ObservedMember("join", by_self=True)

    def remove(self, room: RoomRef, action: Remove) -> None:
        self.server.called("remove")
        found = self._room(room)
        if action.remote_user_id in found.members:
            found.members[action.remote_user_id] = ObservedMember("leave")

    def set_name(self, room: RoomRef, action: SetName) -> None:
        self.server.called("set_name")
        self._room(room).name = action.name

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        self.server.called("set_topic")
        self._room(room).topic = action.topic

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        self.server.called("set_picture")
        uri = action.uri or (f"mxc://sim/{action.picture.digest}" if action.picture else None)
        self._room(room).picture_uri = uri
        return uri

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        self.server.called("set_levels")
        found = self._room(room)
        for remote, level in action.levels.items():
            if level is None:
                found.levels.pop(remote, None)
            else:
                found.levels[remote] = level
        if action.read_only is not None:
            found.read_only = action.read_only

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        self.server.called("repair_power")
        found = self._room(room)
        found.own_in_room = found.own_can_manage = True
        found.members[OWN] = ObservedMember("join", by_self=True)

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        self.server.called("delete")
        self.server.rooms.pop(room.remote_id or "", None)
        return None


class SimulatedProvider(Provider):
    """``id`` may be given so that two can be registered."""

    name = lazy_gettext("Simulated")

    def __init__(self, server: SimulatedServer, id: str = "simulated") -> None:
        self.id = id
        self.server = server

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        return True

    def backend(self, context: ProviderContext) -> Backend:
        return SimulatedBackend(self.server)

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        return f"https://chat.example/#/room/{remote_id}"
