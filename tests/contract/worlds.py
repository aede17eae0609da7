"""Worlds in which a backend works, and hands in them that are not the backend's."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import quote

from commweb.providers.base import Backend
from commweb.providers.matrix.session import HomeserverSession
from commweb.site.homeserver import Homeserver
from tests.simulated import (
    JOINED,
    OWN,
    ObservedMember,
    SimulatedBackend,
    SimulatedRoom,
    SimulatedServer,
)


class World(Protocol):
    """A server with a backend at work on it; ``own_id`` is the acting account."""

    backend: Backend
    own_id: str

    def leave(self, room_id: str, user: str) -> None:
        """The person leaves by himself."""

    def invite_us(self, room_id: str, user: str) -> None:
        """A member invites the acting account."""

    def leave_ourselves(self, room_id: str) -> None:
        """The acting account leaves."""

    def set_membership(self, room_id: str, user: str, membership: str) -> None:
        """A moderator bans the person, or lifts the ban (leave)."""

    def set_level(self, room_id: str, user: str, level: int) -> None:
        """A moderator gives the person a level."""

    def change_levels(self, room_id: str, **levels: int) -> None:
        """A moderator changes ``events_default``, ``invite`` or ``users_default``."""

    def ban_us(self, room_id: str, user: str) -> None:
        """``user``, listed above the acting account, bans it."""

    def unban_us(self, room_id: str, user: str) -> None:
        """The same person lifts the ban. Raises when that is not allowed any more."""

    def upgrade(self, room_id: str) -> str:
        """Upgrade the room as the acting account; the new room's id."""

    def room_of(self, user: str) -> str:
        """A room that the person created, with nobody else in it; its id."""

    def suspend(self, user: str) -> None:
        """The server's administrator suspends the person's account."""

    def deactivate(self, user: str) -> None:
        """The server's administrator deactivates the account, which leaves its rooms."""

    def close(self) -> None:
        """Give everything back."""


class SimulatedWorld:
    def __init__(self, *, older: bool) -> None:
        self.server = SimulatedServer(older=older)
        self.backend: Backend = SimulatedBackend(self.server)
        self.own_id = OWN

    def leave(self, room_id: str, user: str) -> None:
        self.server.rooms[room_id].members[user] = ObservedMember("leave", True, user)

    def invite_us(self, room_id: str, user: str) -> None:
        self.server.rooms[room_id].members[OWN] = ObservedMember("invite", by=user)

    def leave_ourselves(self, room_id: str) -> None:
        self.leave(room_id, OWN)

    def set_membership(self, room_id: str, user: str, membership: str) -> None:
        self.server.rooms[room_id].members[user] = ObservedMember(membership, by=OWN)

    def set_level(self, room_id: str, user: str, level: int) -> None:
        self.server.rooms[room_id].levels[user] = level

    def change_levels(self, room_id: str, **levels: int) -> None:
        room = self.server.rooms[room_id]
        room.message_level = levels.get("events_default", room.message_level)
        room.invite_level = levels.get("invite", room.invite_level)
        room.default_level = levels.get("users_default", room.default_level)

    def ban_us(self, room_id: str, user: str) -> None:
        room = self.server.rooms[room_id]
        assert room.power(user) > room.power(OWN)
        room.members[OWN] = ObservedMember("ban", by=user)

    def unban_us(self, room_id: str, user: str) -> None:
        room = self.server.rooms[room_id]
        assert room.power(user) > room.power(OWN)
        room.members[OWN] = ObservedMember("leave", by=user)

    def upgrade(self, room_id: str) -> str:
        old = self.server.rooms[room_id]
        new = SimulatedRoom(self.server.new_id(), "", old.name, old.topic, creator=old.creator)
        new.levels = dict(old.levels)
        new.members[OWN] = JOINED
        self.server.rooms[new.id] = new
        new.predecessor = old.id
        old.replaced_by, old.replaced_by_sender = new.id, OWN
        return new.id

    def room_of(self, user: str) -> str:
        room = SimulatedRoom(self.server.new_id(), "", "Theirs", "", made_by=user)
        room.creator = None if self.server.older else user
        if self.server.older:
            room.levels[user] = 100
        room.members[user] = JOINED
        self.server.rooms[room.id] = room
        return room.id

    def suspend(self, user: str) -> None:
        self.server.suspended.add(user)

    def deactivate(self, user: str) -> None:
        self.server.unusable[user] = f"The account {user} is deactivated."
        for room in self.server.rooms.values():
            if room.is_in(user):
                room.members[user] = ObservedMember("leave", True, user)

    def close(self) -> None:
        pass


class SynapseWorld:
    """A real Synapse. Accounts that leave or invite get ``password`` first."""

    def __init__(
        self, homeserver: Homeserver, session: HomeserverSession, backend: Backend, password: str
    ) -> None:
        self.backend = backend
        self.own_id = session.acting().user_id
        self._homeserver = homeserver
        self._session = session
        self._password = password

    def _token(self, user: str) -> str:
        name = user.partition(":")[0].removeprefix("@")
        self._homeserver.ensure_people([(name, name.upper())], self._password)
        return str(self._homeserver.login(name, self._password)["access_token"])

    def _as(self, user: str, room_id: str, what: str, body: dict[str, Any]) -> None:
        path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/{what}"
        self._homeserver._call("POST", path, json=body, token=self._token(user))

    def leave(self, room_id: str, user: str) -> None:
        self._as(user, room_id, "leave", {})

    def invite_us(self, room_id: str, user: str) -> None:
        self._as(user, room_id, "invite", {"user_id": self.own_id})

    def leave_ourselves(self, room_id: str) -> None:
        self._session.client.leave(room_id)

    def set_membership(self, room_id: str, user: str, membership: str) -> None:
        content = {"membership": membership}
        self._session.client.put_state(room_id, "m.room.member", content, user)

    def set_level(self, room_id: str, user: str, level: int) -> None:
        client = self._session.client
        content = dict(client.state(room_id, "m.room.power_levels"))
        content["users"] = {**content.get("users", {}), user: level}
        client.put_state(room_id, "m.room.power_levels", content)

    def change_levels(self, room_id: str, **levels: int) -> None:
        client = self._session.client
        content = client.state(room_id, "m.room.power_levels")
        client.put_state(room_id, "m.room.power_levels", {**content, **levels})

    def ban_us(self, room_id: str, user: str) -> None:
        self._as(user, room_id, "ban", {"user_id": self.own_id})

    def unban_us(self, room_id: str, user: str) -> None:
        self._as(user, room_id, "unban", {"user_id": self.own_id})

    def upgrade(self, room_id: str) -> str:
        path = f"/_matrix/client/v3/rooms/{quote(room_id, safe='')}/upgrade"
        answer = self._homeserver.admin("POST", path, json={"new_version": "12"})
        return str(answer["replacement_room"])

    def room_of(self, user: str) -> str:
        body = {"preset": "private_chat", "name": "Theirs"}
        path = "/_matrix/client/v3/createRoom"
        made = self._homeserver._call("POST", path, json=body, token=self._token(user))
        return str(made.json()["room_id"])

    def suspend(self, user: str) -> None:
        path = f"/_synapse/admin/v1/suspend/{quote(user, safe='')}"
        self._homeserver.admin("PUT", path, json={"suspend": True})

    def deactivate(self, user: str) -> None:
        path = f"/_synapse/admin/v2/users/{quote(user, safe='')}"
        self._homeserver.admin("PUT", path, json={"deactivated": True})

    def close(self) -> None:
        self.backend.close()
        self._session.close()
