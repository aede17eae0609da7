"""A stored session, and a stubbed homeserver for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import responses

from tests.stored_session import BASE_URL, Stored

BOT = "@bot:hs.example"


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
