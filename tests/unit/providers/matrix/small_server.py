"""A stateful homeserver behind `responses`: what the engine asks of one, and nothing else."""

from __future__ import annotations

import copy
import itertools
import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import responses

from commweb.providers.matrix import calls
from commweb.providers.matrix.calls import Call, call_of
from tests.stored_session import BASE_URL

BOT = "@bot:hs.example"
Reply = tuple[int, Any]
NOT_FOUND: Reply = (404, {"errcode": "M_NOT_FOUND", "error": "Not found"})
OPEN = [calls.VERSIONS, calls.LOGIN, calls.REFRESH]


@dataclass
class Kept:
    """What the server keeps: names of accounts, aliases, and rooms as their state by key."""

    users: dict[str, str] = field(default_factory=lambda: {BOT: "Bot"})
    aliases: dict[str, str] = field(default_factory=dict)
    rooms: dict[str, dict[tuple[str, str], dict[str, Any]]] = field(default_factory=dict)


@dataclass
class SmallServer:
    """``odd``: the call that is answered by ``says`` instead. ``asked``: every call that came."""

    kept: Kept = field(default_factory=Kept)
    odd: Call | None = None
    says: Callable[[], tuple[int, dict[str, str], str]] | None = None
    access: str = "access-0"
    asked: list[Call] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def serve(self, mock: responses.RequestsMock) -> None:
        """Answer everything that is sent to the server's address."""
        anything = re.compile(re.escape(BASE_URL) + "/.*")
        for method in ("GET", "PUT", "POST", "DELETE"):
            mock.add_callback(method, anything, callback=self._answer)

    def inside(self, room_id: str) -> set[str]:
        """Who is joined, without the acting account."""
        return {
            key
            for (kind, key), event in self.kept.rooms[room_id].items()
            if kind == "m.room.member" and event["content"]["membership"] == "join" and key != BOT
        }

    def copy_of_kept(self) -> Kept:
        return copy.deepcopy(self.kept)

    def _answer(self, request: Any) -> tuple[int, dict[str, str], str]:
        path = urlsplit(request.url).path
        call = call_of(request.method, path)
        self.asked.append(call)
        if call == self.odd and self.says is not None:
            return self.says()
        if call not in OPEN and request.headers.get("Authorization") != f"Bearer {self.access}":
            return 401, {}, json.dumps({"errcode": "M_UNKNOWN_TOKEN", "error": "Unknown token"})
        body = request.body if isinstance(request.body, bytes) else b""
        pattern = re.sub(r"\\\{\\\}", "([^/]*)", re.escape(call.path))
        match = re.fullmatch(pattern, path)
        assert match, f"{request.method} {path} is in no table"
        names = [unquote(name) for name in match.groups()]
        content = json.loads(body) if body[:1] == b"{" else {}
        status, said = self._say(call, names, content)
        return status, {}, json.dumps(said)

    def _say(self, call: Call, names: list[str], content: dict[str, Any]) -> Reply:
        known: dict[Call, Callable[..., Reply]] = {
            calls.VERSIONS: lambda _: (200, {"versions": ["v1.15"]}),
            calls.AUTH_METADATA: lambda _: (404, {"errcode": "M_UNRECOGNIZED", "error": "x"}),
            calls.REFRESH: self._refresh,
            calls.LIMITS: lambda _, __: (200, {"messages_per_second": 0, "burst_count": 0}),
            calls.ROOMS: lambda _: (200, {"rooms": []}),
            calls.DEVICES: lambda _, __: (200, {"devices": []}),
            calls.USER_OF_EXTERNAL_ID: lambda _, __, ___: NOT_FOUND,
            calls.WHOAMI: lambda _: (200, {"user_id": BOT, "device_id": "D"}),
            calls.CAPABILITIES: lambda _: (
                200,
                {"capabilities": {"m.room_versions": {"default": "12"}}},
            ),
            calls.USER: self._user,
            calls.PUT_USER: self._put_user,
            calls.CREATE_ROOM: self._create,
            calls.ALIAS: self._alias,
            calls.DELETE_ALIAS: self._delete_alias,
            calls.ROOM_STATE: self._state,
            calls.ROOM_MEMBERS: self._members,
            calls.ROOM_DETAILS: lambda _, room: (200, {"room_id": room, "creator": BOT}),
            calls.STATE: self._one_state,
            calls.PUT_STATE: self._put_state,
            calls.ADMIN_JOIN: self._join,
            calls.KICK: self._kick,
            calls.DELETE_ROOM: self._delete,
            calls.DELETION: lambda _, __: (200, {"status": "complete"}),
            calls.LARGEST_UPLOAD: lambda _: (200, {"m.upload.size": 1_000_000}),
            calls.UPLOAD: lambda _: (200, {"content_uri": f"mxc://hs/{next(self.numbers)}"}),
        }
        return known[call](content, *names)

    def _refresh(self, _content: Any) -> Reply:
        self.access = f"access-{next(self.numbers)}"
        return 200, {
            "access_token": self.access,
            "refresh_token": f"refresh-{next(self.numbers)}",
            "expires_in_ms": 3_600_000,
        }

    def _user(self, _content: Any, name: str) -> Reply:
        if name not in self.kept.users:
            return NOT_FOUND
        return 200, {"name": name, "displayname": self.kept.users[name], "admin": name == BOT}

    def _put_user(self, content: Any, name: str) -> Reply:
        status = 200 if name in self.kept.users else 201
        self.kept.users[name] = content.get("displayname") or self.kept.users.get(name, "")
        return status, {"name": name, "displayname": self.kept.users[name]}

    def _create(self, content: Any) -> Reply:
        alias = f"#{content['room_alias_name']}:hs.example"
        if alias in self.kept.aliases:
            return 400, {"errcode": "M_ROOM_IN_USE", "error": "Room alias already taken"}
        room_id = f"!room{next(self.numbers)}"
        self.kept.aliases[alias], self.kept.rooms[room_id] = room_id, {}
        create = {**content["creation_content"], "room_version": "12"}
        self._write(room_id, "m.room.create", "", create)
        self._write(room_id, "m.room.member", BOT, {"membership": "join"})
        levels = {"invite": 50, **content["power_level_content_override"]}
        self._write(room_id, "m.room.power_levels", "", levels)
        self._write(room_id, "m.room.join_rules", "", {"join_rule": "invite"})
        self._write(room_id, "m.room.name", "", {"name": content["name"]})
        for event in content["initial_state"]:
            self._write(room_id, event["type"], event["state_key"], event["content"])
        return 200, {"room_id": room_id}

    def _write(self, room: str, kind: str, key: str, content: Any, sender: str = BOT) -> str:
        event = {"type": kind, "state_key": key, "sender": sender, "content": content}
        self.kept.rooms[room][kind, key] = event
        return f"$event{next(self.numbers)}"

    def _alias(self, _content: Any, alias: str) -> Reply:
        found = self.kept.aliases.get(alias)
        return (200, {"room_id": found, "servers": []}) if found else NOT_FOUND

    def _delete_alias(self, _content: Any, alias: str) -> Reply:
        return (200, {}) if self.kept.aliases.pop(alias, None) else NOT_FOUND

    def _state(self, _content: Any, room: str) -> Reply:
        if room not in self.kept.rooms:
            return NOT_FOUND
        return 200, {"state": list(self.kept.rooms[room].values())}

    def _members(self, _content: Any, room: str) -> Reply:
        if room not in self.kept.rooms:
            return NOT_FOUND
        members = sorted({BOT, *self.inside(room)})
        return 200, {"members": members, "total": len(members)}

    def _one_state(self, _content: Any, room: str, kind: str, key: str) -> Reply:
        event = self.kept.rooms[room].get((kind, key))
        return (200, event["content"]) if event else NOT_FOUND

    def _put_state(self, content: Any, room: str, kind: str, key: str) -> Reply:
        return 200, {"event_id": self._write(room, kind, key, content)}

    def _join(self, content: Any, room: str) -> Reply:
        name = content["user_id"]
        if name not in self.kept.users:
            return NOT_FOUND
        if room not in self.kept.rooms:
            return 404, {"errcode": "M_UNKNOWN", "error": "Can't join remote room because"}
        self._write(room, "m.room.member", name, {"membership": "join"}, name)
        return 200, {"room_id": room}

    def _kick(self, content: Any, room: str) -> Reply:
        self._write(room, "m.room.member", content["user_id"], {"membership": "leave"})
        return 200, {}

    def _delete(self, _content: Any, room: str) -> Reply:
        self.kept.rooms.pop(room, None)
        return 200, {"delete_id": "d1"}
