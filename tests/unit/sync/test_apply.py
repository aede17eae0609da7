"""What a run leaves on record when something in it is refused, or when it is killed."""

from __future__ import annotations

from commweb.providers.rooms import SetLevels
from commweb.sync.known import Policy, Target
from tests.simulated import INVITED, JOINED, SimulatedBackend, SimulatedServer
from tests.unit.sync.given import ROOM, record, seat
from tests.unit.sync.ledger import Book, Fault, run


def test_only_people_whose_account_was_made_just_now_are_invited_with_the_room() -> None:
    server, book = SimulatedServer(), Book()
    server.unusable["@bob:sim"] = "The account is locked."
    server.accounts["@cyd:sim"] = "Cyd"
    target = Target(ROOM, tuple(seat(name, account="new") for name in ("ada", "bob", "cyd")))
    # Accounts are calls 0 to 2, the room is 3, the first joining 4.
    run(book, target, SimulatedBackend(server), Policy(), fault=Fault(4, False, True))
    (room,) = server.rooms.values()
    assert room.members == {"@bot:sim": JOINED, "@ada:sim": INVITED}


def test_whoever_has_no_usable_account_stops_nobody_else() -> None:
    server, book = SimulatedServer(), Book()
    server.unusable["@bob:sim"] = "The account is locked."
    target = Target(ROOM, tuple(seat(name, account="new") for name in ("ada", "bob")))
    run(book, target, SimulatedBackend(server), Policy())
    (room,) = server.rooms.values()
    assert room.is_in("@ada:sim")
    assert "@bob:sim" not in room.members
    assert (book.members["bob"].state, book.members["bob"].reason) == (
        "failing",
        "The account is locked.",
    )


def test_a_room_from_a_killed_try_is_set_right_however_often_that_is_interrupted_too() -> None:
    server, book = SimulatedServer(), Book({"creation_key": "key"})
    backend, killed = SimulatedBackend(server), Fault(at=0, after=False, kill=True)
    server.accounts["@ada:sim"] = "Ada"
    # A student when the room was made, a teacher when the next worker was killed.
    run(book, Target(ROOM, (seat("ada"),)), backend, Policy(), fault=Fault(0, True, True))
    (room,) = server.rooms.values()
    assert room.levels == {}
    book.members["ada"] = record("adding", 0, intended_level=50)
    target = Target(ROOM, (seat("ada", 50),))
    run(book, target, backend, Policy(), fault=killed)
    seen = run(book, target, backend, Policy(), fault=killed)
    assert any(isinstance(action, SetLevels) for action in seen.actions)
    run(book, target, backend, Policy())
    assert room.levels == {"@ada:sim": 50}
    assert room.is_in("@ada:sim")
    assert book.room["name"] == "Algebra"


def test_somebody_put_in_with_a_level_set_by_hand_has_that_on_record_at_once() -> None:
    server, book = SimulatedServer(), Book()
    backend, nobody = SimulatedBackend(server), Target(ROOM, ())
    server.accounts["@ada:sim"] = "Ada"
    run(book, nobody, backend, Policy())
    (room,) = server.rooms.values()
    room.levels["@ada:sim"] = 30
    run(book, Target(ROOM, (seat("ada"),)), backend, Policy())
    assert room.is_in("@ada:sim")
    assert book.members["ada"].reason == "The power level 30 was set by hand."
