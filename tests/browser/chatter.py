"""Somebody in front of a chat app: speaks the homeserver's client API with a token of his own."""

from __future__ import annotations

import re
import secrets
from typing import Any
from urllib.parse import quote

import requests

from tests.browser.running import RunningSite
from tests.browser.synapse import NotedHomeserver

__all__ = ["Chatter"]

CLIENT = "/_matrix/client/v3"


class Chatter:
    """A signed-in account."""

    def __init__(self, site: RunningSite, token: str) -> None:
        self._base_url = site.note()["base_url"]
        self._token = token
        self.user_id = str(self.ask("GET", "/account/whoami")["user_id"])

    @classmethod
    def new(cls, site: RunningSite, name: str) -> Chatter:
        """An account that commweb has never seen, just made."""
        user, password = f"@{name}:localhost", secrets.token_urlsafe(12)
        path = f"/_synapse/admin/v2/users/{quote(user, safe='')}"
        NotedHomeserver(site).admin("PUT", path, json={"password": password, "displayname": name})
        return cls.signed_in(site, name, password)

    @classmethod
    def signed_in(cls, site: RunningSite, name: str, password: str) -> Chatter:
        """Signed in as everybody does. Raises `requests.HTTPError` for a wrong password."""
        who = {"type": "m.id.user", "user": name}
        answer = requests.post(
            f"{site.note()['base_url']}{CLIENT}/login",
            json={"type": "m.login.password", "identifier": who, "password": password},
            timeout=30,
        )
        answer.raise_for_status()
        return cls(site, answer.json()["access_token"])

    @classmethod
    def standing_in(cls, site: RunningSite, user_id: str) -> Chatter:
        """In the shoes of somebody whose password nobody knows."""
        path = f"/_synapse/admin/v1/users/{quote(user_id, safe='')}/login"
        return cls(site, NotedHomeserver(site).admin("POST", path, json={})["access_token"])

    def ask(self, method: str, path: str, **more: Any) -> Any:
        answer = requests.request(
            method,
            f"{self._base_url}{CLIENT}{path}",
            headers={"Authorization": f"Bearer {self._token}"},
            timeout=30,
            **more,
        )
        assert answer.ok, answer.text
        return answer.json()

    def _room(self, room_id: str, action: str) -> str:
        return f"/rooms/{quote(room_id, safe='')}/{action}"

    def leave(self, room_id: str) -> None:
        self.ask("POST", self._room(room_id, "leave"), json={})

    def joined(self) -> list[str]:
        return list(self.ask("GET", "/joined_rooms")["joined_rooms"])

    def read_code(self) -> str:
        """Accept the one invitation to a direct message and read the code that is written there.
        Asked twice, the invitation is answered from a cache."""
        rooms = self.ask("GET", "/sync?timeout=0").get("rooms", {})
        ((room_id, room),) = rooms["invite"].items()
        own = [e for e in room["invite_state"]["events"] if e.get("state_key") == self.user_id]
        assert own[0]["content"]["is_direct"] is True
        self.ask("POST", self._room(room_id, "join"), json={})
        events = self.ask("GET", self._room(room_id, "messages?dir=b&limit=10"))["chunk"]
        (message,) = [event for event in events if event["type"] == "m.room.message"]
        found = re.search(r"\b\d{6,8}\b", message["content"]["body"])
        assert found
        return found[0]

    def set_level(self, room_id: str, user_id: str, level: int) -> None:
        """Give somebody a power level in a room, by hand."""
        path = self._room(room_id, "state/m.room.power_levels/")
        content = self.ask("GET", path)
        content.setdefault("users", {})[user_id] = level
        self.ask("PUT", path, json=content)
