"""Rooms taken for a worker process: many with one statement, handed to its threads one by one.

No thread has several rooms waiting while another has none.
"""

from __future__ import annotations

import itertools
import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from commweb.database import Database
from commweb.sync.records import claim, due, release

__all__ = ["Claim", "Claims"]

SHARE = 8
"""A claim takes this part of what is due, so that other worker processes find something too."""


@dataclass(frozen=True)
class Claim:
    """A room, and the name its lease is held under. Each statement that claims uses a name of
    its own: a room that was lost and claimed again is never taken for the first claim's."""

    room_id: int
    holder: str


class Claims:
    """What one process has claimed and nobody has begun. ``name`` is the process's own."""

    def __init__(self, database: Database, name: str) -> None:
        self._database = database
        self._name = name
        self._lock = threading.Lock()
        self._numbers = itertools.count(1)
        self._waiting: deque[Claim] = deque()

    def take(self, providers: Sequence[str]) -> Claim | None:
        """The next room to run; claims more when none is waiting. None: nothing is due."""
        with self._lock:
            if not self._waiting and providers:
                self._claim(providers)
            return self._waiting.popleft() if self._waiting else None

    def _claim(self, providers: Sequence[str]) -> None:
        with self._database.read() as connection:
            count = due(connection, providers)
        if not count:
            return
        holder = f"{self._name}-{next(self._numbers)}"
        limit = -(-count // SHARE)
        with self._database.write() as connection:
            found = claim(connection, holder, providers, limit)
        self._waiting.extend(Claim(room_id, holder) for room_id in found)

    def give_back(self, *claims: Claim) -> None:
        """Let others have rooms that were not finished."""
        with self._database.write() as connection:
            for given in claims:
                release(connection, given.room_id, given.holder)

    def give_back_waiting(self) -> None:
        """Let others have every room that nobody here has begun."""
        with self._lock:
            waiting = list(self._waiting)
            self._waiting.clear()
        if waiting:
            self.give_back(*waiting)
