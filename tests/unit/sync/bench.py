"""One room and the hands of one run on it, for tests that do one action after the other."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from commweb.providers.rooms import (
    AccountFacts,
    Action,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    Remove,
    RoomRef,
    SetName,
)
from commweb.sync.apply import Hands
from commweb.sync.closing import Deletions
from tests.simulated import JOINED, OWN, SimulatedBackend, SimulatedRoom, SimulatedServer
from tests.unit.sync.ledger import Book, Ledger


class Noted(SimulatedBackend):
    """Writes down what it is given, and raises what ``faults`` says of a call."""

    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server)
        self.given: list[tuple[Any, ...]] = []
        self.faults: dict[str, list[Exception | None]] = {}
        self.facts: list[AccountFacts] = []

    def _note(self, name: str, *given: Any) -> None:
        self.given.append((name, *given))
        faults = self.faults.get(name)
        fault = faults.pop(0) if faults else None
        if fault is not None:
            raise fault

    def named(self, name: str) -> list[tuple[Any, ...]]:
        return [given for called, *given in self.given if called == name]

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        self._note("create", room, action)
        return super().create(room, action)

    def find(self, room: RoomRef, slug: str, started_at_seconds: float) -> FoundRoom | None:
        self._note("find", room, slug, started_at_seconds)
        return super().find(room, slug, started_at_seconds)

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        self._note("delete", room, action)
        return super().delete(room, action)

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        self._note("ensure_account", action)
        return self.facts.pop(0) if self.facts else super().ensure_account(action)

    def join(self, room: RoomRef, action: Join) -> None:
        self._note("join", room, action)
        super().join(room, action)

    def remove(self, room: RoomRef, action: Remove) -> None:
        self._note("remove", room, action)
        super().remove(room, action)

    def set_name(self, room: RoomRef, action: SetName) -> None:
        self._note("set_name", room, action)
        super().set_name(room, action)


REF = RoomRef("1", "", "key", "!room")


@dataclass
class Bench:
    """One room with the acting account in it, and the hands of one run on it."""

    server: SimulatedServer = field(default_factory=SimulatedServer)
    book: Book = field(default_factory=Book)
    ref: RoomRef = REF
    pending: str | None = None
    lease: Any = None

    def __post_init__(self) -> None:
        self.room = SimulatedRoom("!room", "key", "Algebra", "")
        self.room.members[OWN] = JOINED
        self.server.rooms["!room"] = self.room
        self.backend = Noted(self.server)
        self.ledger = Ledger(self.book, eager=True)
        deletions = Deletions(self.pending)
        self.hands = Hands(self.backend, self.ref, self.ledger, deletions, self.lease)

    def do(self, *actions: Action) -> None:
        for action in actions:
            self.hands.do(action)

    def state(self, person_id: str) -> tuple[str, str | None]:
        found = self.book.members[person_id]
        return found.state, found.reason


def join(name: str, home: str = "sim") -> Join:
    return Join(name, f"@{name}:{home}", name.title())


def creation(**more: Any) -> CreateRoom:
    plain = CreateRoom("Algebra", "Numbers", "algebra", "key", None, {}, None, {})
    return replace(plain, **more)
