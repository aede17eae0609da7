"""What a definite no about one person means for the room and for the others."""

from __future__ import annotations

from commweb.sync.known import Policy, Target
from tests.simulated import SimulatedBackend, SimulatedServer
from tests.unit.sync.given import ROOM, seat
from tests.unit.sync.ledger import Book, run


def test_whoever_has_no_usable_account_is_not_invited_with_the_room() -> None:
    server, book = SimulatedServer(), Book()
    server.unusable["@bob:sim"] = "The account is locked."
    target = Target(ROOM, (seat("ada", account="new"), seat("bob", account="new")))
    run(book, target, SimulatedBackend(server), Policy())
    (room,) = server.rooms.values()
    assert room.is_in("@ada:sim")
    assert "@bob:sim" not in room.members
    assert (book.members["bob"].state, book.members["bob"].reason) == (
        "failing",
        "The account is locked.",
    )
