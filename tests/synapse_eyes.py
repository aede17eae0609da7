"""Looks at a homeserver with the admin API, apart from the engine: shares no code with it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from commweb.site.homeserver import Homeserver


@dataclass(frozen=True)
class SeenRoom:
    """A room's state as Synapse tells it."""

    name: str
    topic: str
    joined: set[str]
    members: dict[str, str]
    levels: dict[str, int]
    join_rule: str
    invite_level: int
    creator: str
    event_ids: frozenset[str]

    def inside(self, *without: str) -> dict[str, str]:
        """The membership of everybody who is in, or invited, but for these."""
        return {
            user: membership
            for user, membership in self.members.items()
            if membership in ("join", "invite") and user not in without
        }


class SynapseEyes:
    """Asks as the server's admin."""

    def __init__(self, homeserver: Homeserver) -> None:
        self._homeserver = homeserver

    def _ask(self, method: str, path: str, **more: Any) -> Any:
        return self._homeserver.admin(method, path, **more)

    def state(self, room_id: str) -> list[dict[str, Any]]:
        answer = self._ask("GET", f"/_synapse/admin/v1/rooms/{quote(room_id, safe='')}/state")
        events: list[dict[str, Any]] = answer["state"]
        return events

    def room(self, room_id: str) -> SeenRoom:
        content: dict[str, dict[str, Any]] = {}
        members: dict[str, str] = {}
        ids = set()
        creator = ""
        for event in self.state(room_id):
            ids.add(event["event_id"])
            if event["type"] == "m.room.member":
                members[event["state_key"]] = event["content"]["membership"]
            elif event["state_key"] == "":
                content[event["type"]] = event["content"]
            if event["type"] == "m.room.create":
                creator = event["sender"]
        return SeenRoom(
            name=content.get("m.room.name", {}).get("name", ""),
            topic=content.get("m.room.topic", {}).get("topic", ""),
            joined={key for key, membership in members.items() if membership == "join"},
            members=members,
            levels=dict(content["m.room.power_levels"].get("users", {})),
            join_rule=content.get("m.room.join_rules", {}).get("join_rule", ""),
            invite_level=int(content["m.room.power_levels"].get("invite", 0)),
            creator=creator,
            event_ids=frozenset(ids),
        )

    def rooms_named(self, name: str) -> list[str]:
        """The ids of every room with this name."""
        answer = self._ask("GET", f"/_synapse/admin/v1/rooms?search_term={quote(name)}&limit=500")
        return [room["room_id"] for room in answer["rooms"] if room["name"] == name]

    def display_name(self, user_id: str) -> str:
        answer = self._ask("GET", f"/_synapse/admin/v2/users/{quote(user_id, safe='')}")
        return str(answer["displayname"])

    def delete_room(self, room_id: str) -> None:
        """Delete it and wait until it is gone."""
        answer = self._ask(
            "DELETE",
            f"/_synapse/admin/v2/rooms/{quote(room_id, safe='')}",
            json={"purge": True, "block": False},
        )
        for _try in range(100):
            status = self._ask(
                "GET", f"/_synapse/admin/v2/rooms/delete_status/{answer['delete_id']}"
            )
            if status["status"] == "complete":
                return
            time.sleep(0.1)
        raise AssertionError("The room is not gone after 10 s.")

    def room_ids(self) -> set[str]:
        """Every room on the server."""
        answer = self._ask("GET", "/_synapse/admin/v1/rooms?limit=2000")
        return {room["room_id"] for room in answer["rooms"]}
