"""The server of Boards: dictionaries behind an API key."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

from commweb.errors import ProviderStopped, Refused, RoomGone


@dataclass
class Board:
    """A board as the server keeps it. ``people``: by number, "in" or "left"."""

    number: str
    key: str
    name: str
    topic: str
    people: dict[str, str] = field(default_factory=dict)
    locked: bool = False


@dataclass
class BoardServer:
    """``key`` is the API key it takes; ``seen`` what it was shown."""

    key: str = ""
    boards: dict[str, Board] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)
    messages: list[tuple[str, str]] = field(default_factory=list)
    passwords: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def ask(self, key: str) -> None:
        self.seen.append(key)
        if key != self.key:
            raise ProviderStopped("The board server does not take the API key.", status=401)

    def board(self, key: str, number: str | None) -> Board:
        self.ask(key)
        if number not in self.boards:
            raise RoomGone("There is no such board.", status=404)
        return self.boards[number]

    def user(self, key: str, number: str) -> str:
        self.ask(key)
        if number not in self.users:
            raise Refused("There is no such person.", status=404)
        return self.users[number]
