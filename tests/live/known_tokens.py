"""Real tokens, known because they came by, and a search for them or a piece of them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from tests.live.fault_proxy import FaultProxy
from tests.live.fault_relay import Reply
from tests.unit.doors.planted import spellings

PIECE = 16
"""Whoever has a piece of this length of a token's random part has been told the token."""


@dataclass
class KnownTokens:
    """Tokens of a Synapse, ``sy?_localpart_random_checksum``, by a name that may be shown."""

    _tokens: dict[str, str] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, kind: str, token: str) -> None:
        """Know this token too; ``kind`` is "access", "refresh" or the like."""
        with self._lock:
            self._tokens.setdefault(token, f"{kind} token {len(self._tokens)}")

    def add_secret(self, name: str, value: str) -> None:
        """Know something that is looked for as a whole, such as a password."""
        with self._lock:
            self._tokens.setdefault(value, name)

    def knows(self, token: str) -> bool:
        with self._lock:
            return token in self._tokens

    def count(self, kind: str) -> int:
        """How many of this kind came by."""
        with self._lock:
            return sum(name.startswith(f"{kind} ") for name in self._tokens.values())

    def found_in(self, *places: str | bytes) -> set[str]:
        """The names of those that stand in any of ``places``, whole or a piece of them, in
        base64 too."""
        with self._lock:
            wanted = [(name, _needles(token)) for token, name in self._tokens.items()]
        data = [p.encode("utf-8", "replace") if isinstance(p, str) else p for p in places]
        return {
            name
            for name, needles in wanted
            if any(needle in place for needle in needles for place in data)
        }


def _needles(token: str) -> tuple[bytes, ...]:
    """What every leak of the token holds. Of a random part of 20 characters, each piece of 16
    holds the 12 in the middle."""
    parts = token.split("_")
    if len(parts) != 4 or not token.startswith("sy"):
        return tuple(spellings(token))
    middle = parts[2][len(parts[2]) - PIECE : PIECE]
    if len(middle) < 8:
        raise ValueError("The random part of a token is shorter than expected.")
    return (middle.encode(), *spellings(parts[2]))


class TellingProxy(FaultProxy):
    """Learns every token that a homeserver gives out, and can repeat what it is sent."""

    def __init__(self, target: str) -> None:
        super().__init__(target)
        self.known = KnownTokens()
        self.repeating = False

    def relay(self, method: str, path: str, body: bytes | None, headers: dict[str, str]) -> Reply:
        """Ask the homeserver; while ``repeating``, answer what was sent instead."""
        if self.repeating:
            said = "\n".join([path, *map(str, headers.items()), (body or b"").decode("latin-1")])
            return Reply(403, json.dumps({"errcode": said, "error": said}).encode())
        reply = super().relay(method, path, body, headers)
        if path.endswith(("/login", "/refresh")):
            for kind, token in _tokens_in(reply.body):
                self.known.add(kind, token)
        return reply


def _tokens_in(body: bytes) -> Iterator[tuple[str, str]]:
    with suppress(ValueError, AttributeError):
        content = json.loads(body)
        for kind in ("access", "refresh"):
            if isinstance(content.get(f"{kind}_token"), str):
                yield kind, content[f"{kind}_token"]
