"""A stored session, and a stubbed homeserver for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import responses

from commweb.providers.base import Backend
from commweb.providers.matrix.provider import MatrixProvider
from commweb.providers.rooms import RoomRef
from tests.stored_session import BASE_URL, Stored

BOT = "@bot:hs.example"
ANNA = "@anna:hs.example"
KEY = "00112233445566778899aabbccddeeff"
ROOM = RoomRef("42", "", KEY, "!room")
NEW = RoomRef("42", "", KEY, None)
R = quote("!room", safe="")
ALIAS = "/_matrix/client/v3/directory/room/" + quote("#algebra-aaisem2e:hs.example", safe="")
ADMIN = "/_synapse/admin"
CLIENT = "/_matrix/client/v3"
STATE = f"{CLIENT}/rooms/{R}/state"
ROOM_STATE = f"{ADMIN}/v1/rooms/{R}/state"


class Http:
    """The stubbed homeserver."""

    def __init__(self, mock: responses.RequestsMock) -> None:
        self.mock = mock

    def on(self, method: str, path: str, body: Any, status: int = 200) -> None:
        self.mock.add(method, BASE_URL + path, json=body, status=status)

    def refuse(
        self, method: str, path: str, status: int, errcode: str = "M_UNKNOWN", error: str = ""
    ) -> None:
        self.on(method, path, {"errcode": errcode, "error": error}, status)

    @property
    def asked(self) -> list[str]:
        return [f"{call.request.method} {call.request.path_url}" for call in self.mock.calls]

    def sent(self, number: int = -1) -> Any:
        return json.loads(self.mock.calls[number].request.body or "null")


@pytest.fixture
def http() -> Iterator[Http]:
    with responses.RequestsMock() as mock:
        yield Http(mock)


@pytest.fixture
def stored(tmp_path: Path) -> Iterator[Stored]:
    stored = Stored.open(tmp_path / "site.db")
    stored.save("access", "refresh", user_id=BOT)
    yield stored
    stored.close()


@pytest.fixture
def backend(stored: Stored) -> Iterator[Backend]:
    backend = MatrixProvider().backend(stored.context())
    yield backend
    backend.close()


def events(*, sender: str = BOT, key: str = KEY, complete: bool, age: int) -> list[dict[str, Any]]:
    found = [
        {
            "type": "m.room.create",
            "state_key": "",
            "sender": sender,
            "unsigned": {"age": age},
            "content": {"room_version": "12", "org.commweb.creation_key": key},
        }
    ]
    for kind, name, content in (
        ("m.room.member", BOT, {"membership": "join"}),
        ("m.room.power_levels", "", {}),
        ("m.room.join_rules", "", {"join_rule": "invite"}),
    ):
        if complete:
            found.append({"type": kind, "state_key": name, "sender": sender, "content": content})
    return found


def capable(http: Http) -> None:
    http.on(
        "GET", f"{CLIENT}/capabilities", {"capabilities": {"m.room_versions": {"default": "12"}}}
    )


def found_room(http: Http, state: list[dict[str, Any]]) -> None:
    http.on("GET", ALIAS, {"room_id": "!room"})
    http.on("GET", f"{ADMIN}/v1/rooms/{R}/state", {"state": state})


def limit(http: Http, size: int = 100) -> None:
    http.on("GET", "/_matrix/client/v1/media/config", {"m.upload.size": size})
