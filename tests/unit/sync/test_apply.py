"""What a run leaves on record when something in it is refused, or when it is killed."""

from __future__ import annotations

from dataclasses import replace

import pytest

from commweb.errors import (
    HostError,
    LeaseLost,
    Refused,
    RoomGone,
    RoomUnsettled,
    SignInNeeded,
    Unreachable,
    UserLimitReached,
)
from commweb.providers.rooms import (
    AccountFacts,
    Action,
    CloseDoor,
    DeleteRoom,
    EnsureAccount,
    Picture,
    Remove,
    RepairPower,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.apply import MOST_FAULTS, key_of
from commweb.sync.choose_account import EXTERNAL_ID
from commweb.sync.known import Policy, Target
from commweb.sync.leases import Lease
from tests.simulated import INVITED, JOINED, SimulatedBackend, SimulatedServer
from tests.unit.sync.bench import Bench, creation, join
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


@pytest.mark.parametrize(
    ("action", "key"),
    [
        (EnsureAccount("ada", "@ada:sim", "Ada"), "person:ada"),
        (join("ada"), "person:ada"),
        (Remove("ada", "@ada:sim", "Ada"), "person:ada"),
        (Remove("", "@gil:sim", "Gil"), "account:@gil:sim"),
        (SetName("x"), "name"),
        (SetTopic("x"), "topic"),
        (SetPicture(None), "picture"),
        (SetLevels({}), "levels"),
        (CloseDoor(), "door"),
        (creation(), ""),
        (RepairPower(), ""),
        (DeleteRoom(), ""),
    ],
)
def test_what_could_not_be_done_has_a_name(action: Action, key: str) -> None:
    assert key_of(action) == key


def test_an_act_whose_lease_was_over_when_its_answer_came_ends_the_run() -> None:
    class Over(Lease):
        def confirm(self) -> None:
            raise LeaseLost("over")

    bench = Bench(lease=Over(None, 1, "me"))  # type: ignore[arg-type]
    bench.server.accounts["@ada:sim"] = "Ada"
    with pytest.raises(LeaseLost):
        bench.do(join("ada"))
    assert bench.book.members == {}


def test_an_act_without_an_answer_is_remembered_though_others_go_on() -> None:
    bench = Bench()
    assert bench.hands.late is False
    bench.backend.faults["set_name"] = [Unreachable("No answer.")]
    bench.do(SetName("Geometry"), SetTopic("Shapes"))
    assert bench.hands.late is True
    assert bench.ledger.undone_keys == ("name",)
    assert bench.book.room == {"topic": "Shapes"}


def test_a_refusal_is_no_late_act() -> None:
    bench = Bench()
    bench.backend.faults["set_name"] = [Refused("No.", status=403)]
    bench.do(SetName("Geometry"))
    assert bench.hands.late is False


def test_after_so_many_acts_without_an_answer_the_run_ends() -> None:
    bench = Bench()
    bench.backend.faults["remove"] = [Unreachable("No answer.")] * MOST_FAULTS
    for number in range(MOST_FAULTS - 1):
        bench.do(Remove(f"p{number}", f"@p{number}:sim", "P"))
    with pytest.raises(Unreachable):
        bench.do(Remove("last", "@last:sim", "P"))


def test_the_first_act_without_an_answer_ends_the_run_when_the_server_is_away() -> None:
    bench = Bench()
    bench.server.answering = False
    bench.backend.faults["set_name"] = [Unreachable("No answer.")]
    with pytest.raises(Unreachable):
        bench.do(SetName("Geometry"))


def test_a_bug_is_nobodys_own_fault_except_in_reading_a_picture() -> None:
    bench = Bench()
    bench.backend.faults["join"] = [KeyError("bug")]
    with pytest.raises(KeyError):
        bench.do(join("ada"))

    def unreadable() -> bytes:
        raise OSError("no such file")

    bench.do(SetPicture(Picture("d1", "image/png", unreadable)))
    assert bench.ledger.undone_keys == ("picture",)
    assert bench.ledger.notes == ("The site could not read the picture (OSError).",)


def test_a_picture_that_the_host_refuses_to_give_says_what_the_host_says() -> None:
    def refused() -> bytes:
        raise HostError("The course picture is 9 MB; 5 MB are allowed.")

    bench = Bench()
    bench.do(SetPicture(Picture("d1", "image/png", refused)))
    assert bench.ledger.notes == ("The course picture is 9 MB; 5 MB are allowed.",)


def test_who_could_not_be_removed_has_the_reason_and_others_are_noted() -> None:
    bench = Bench()
    no = Refused("You cannot kick this account.", status=403)
    bench.backend.faults["remove"] = [no, no]
    bench.do(Remove("ada", "@ada:sim", "Ada"), Remove("", "@gil:sim", "Gil"))
    assert bench.state("ada") == ("failing", no.sentence)
    assert bench.ledger.undone_keys == ("account:@gil:sim", "person:ada")
    assert bench.ledger.notes == (no.sentence,)


def test_what_the_server_says_of_an_account_is_noted() -> None:
    bench = Bench()
    bench.backend.facts = [
        AccountFacts("@ada:sim", note="The display name could not be set."),
        AccountFacts("@ben:sim", usable=False),
    ]
    accounts = [EnsureAccount(name, f"@{name}:sim", name.title()) for name in ("ada", "ben")]
    bench.server.accounts |= {"@ada:sim": "Ada", "@ben:sim": "Ben"}
    bench.do(*accounts, join("ada"), join("ben"))
    assert bench.ledger.notes == ("The display name could not be set.",)
    assert bench.state("ada") == ("in", None)
    assert bench.state("ben") == ("failing", "The account cannot be used.")
    assert len(bench.backend.named("join")) == 1


def test_another_homeserver_that_does_not_answer_is_asked_once() -> None:
    bench = Bench()
    bench.backend.faults["join"] = [Unreachable("No answer.")]
    bench.server.accounts |= {"@cyd:other": "Cyd", "@dan:sim": "Dan"}
    bench.do(join("ada", "dead"), join("ben", "dead"), join("cyd", "other"), join("dan"))
    assert len(bench.backend.named("join")) == 3
    assert bench.state("ada") == bench.state("ben")
    assert bench.state("ben")[0] == "failing"
    said = "dead, the homeserver of this account, does not answer. It is tried again."
    assert bench.state("ben")[1] == said
    assert bench.state("cyd") == bench.state("dan") == ("in", None)


def test_whoever_is_invited_is_on_record_as_invited() -> None:
    bench = Bench()
    bench.server.accounts["@ada:sim"] = "Ada"
    bench.do(replace(join("ada"), by_invitation=True))
    assert bench.state("ada") == ("invited", "Was invited and has not accepted yet.")


FORGOTTEN = Refused("There is no such account.", status=404, errcode="M_NOT_FOUND")


def test_an_account_of_ours_that_the_server_forgot_is_created_again_as_it_was() -> None:
    bench = Bench()
    bench.ledger.seated([seat("ada"), seat("ben")])
    known = EnsureAccount("ada", "@ada:sim", "Ada", "sso-1", known=True, last_name="A.")
    bench.backend.facts = [AccountFacts("@ada:sim", existed=True)]
    bench.do(known, join("ada"), join("ben"))
    assert bench.backend.named("ensure_account") == [
        [known],
        [replace(known, known=False)],
        [EnsureAccount("ben", "@ben:sim", "Ben")],
    ]
    assert bench.state("ada") == bench.state("ben") == ("in", None)
    assert bench.server.made == {"@ada:sim", "@ben:sim"}


def test_an_account_that_is_not_ours_is_never_created_again() -> None:
    bench = Bench()
    bench.ledger.seated([seat("ada", make=False)])
    bench.do(join("ada"))
    assert bench.state("ada") == ("failing", FORGOTTEN.sentence)
    assert bench.backend.named("ensure_account") == []


def test_an_account_that_was_created_just_now_is_not_created_twice() -> None:
    bench = Bench()
    bench.ledger.seated([seat("ada")])
    bench.backend.facts = [AccountFacts("@ada:sim", made=True)]
    bench.do(EnsureAccount("ada", "@ada:sim", "Ada"), join("ada"))
    assert len(bench.backend.named("ensure_account")) == 1
    assert bench.state("ada") == ("failing", FORGOTTEN.sentence)


@pytest.mark.parametrize("errcode", ["M_FORBIDDEN", "M_NOT_FOUND"])
def test_only_an_account_that_is_not_there_is_created_again(errcode: str) -> None:
    bench = Bench()
    bench.ledger.seated([seat("ada")])
    bench.backend.faults["join"] = [Refused("No.", status=403, errcode=errcode)]
    bench.do(join("ada"))
    again = errcode == "M_NOT_FOUND"
    assert bool(bench.backend.named("ensure_account")) is again
    assert bench.state("ada") == (("in", None) if again else ("failing", "No."))


def test_an_account_that_cannot_be_created_again_is_not_joined_again() -> None:
    bench = Bench()
    bench.ledger.seated([seat("ada")])
    bench.backend.facts = [AccountFacts("@ada:sim", usable=False, reason="The name is taken.")]
    bench.do(join("ada"))
    assert len(bench.backend.named("join")) == 1
    assert bench.state("ada")[0] == "failing"


@pytest.mark.parametrize(
    "fault", [SignInNeeded("Sign in."), RoomUnsettled("Wait."), RoomGone("Gone."), LeaseLost("x")]
)
def test_what_concerns_more_than_one_person_ends_the_run(fault: Exception) -> None:
    bench = Bench()
    bench.backend.faults["join"] = [fault]
    with pytest.raises(type(fault)):
        bench.do(join("ada"))
    assert bench.book.members == {}


def test_one_lost_answer_of_our_own_server_costs_that_person_only() -> None:
    bench = Bench()
    bench.server.accounts["@ben:sim"] = "Ben"
    bench.backend.faults["join"] = [Unreachable("No answer.")]
    bench.do(join("ada"), join("ben"))
    assert len(bench.backend.named("join")) == 2
    assert bench.state("ada") == ("failing", "No answer.")
    assert bench.state("ben") == ("in", None)


def test_people_wait_for_a_server_that_takes_no_more_and_it_is_not_asked_again() -> None:
    bench = Bench()
    full = UserLimitReached("The server is full.")
    bench.backend.faults["ensure_account"] = [full]
    new = [EnsureAccount(name, f"@{name}:sim", name.title()) for name in ("ada", "ben")]
    known = EnsureAccount("cyd", "@cyd:sim", "Cyd", known=True, theirs=True)
    bench.server.accounts["@cyd:sim"] = "Cyd"
    bench.do(*new, known, join("ada"), join("ben"), join("dan"))
    assert bench.backend.named("ensure_account") == [[new[0]], [known]]
    assert bench.backend.named("join") == []
    for name in ("ada", "ben", "dan"):
        assert bench.state(name) == ("waiting", full.sentence)
    assert bench.ledger.notes == (full.sentence,)
    assert bench.ledger.undone_keys == ("person:ada", "person:ben", "person:dan")


def test_who_leaves_is_on_record_as_removed() -> None:
    server, book = SimulatedServer(), Book()
    backend = SimulatedBackend(server)
    run(book, Target(ROOM, (seat("ada"), seat("ben"))), backend, Policy())
    run(book, Target(ROOM, (seat("ada"),)), backend, Policy())
    (room,) = server.rooms.values()
    assert room.is_in("@ada:sim")
    assert not room.is_in("@ben:sim")
    assert book.members["ben"].state == "removed"
    assert book.members["ben"].removed_at is not None
    assert book.members["ada"].removed_at is None


@pytest.mark.parametrize("state", ["in", "failing"])
def test_an_old_account_goes_only_once_its_person_is_inside(state: str) -> None:
    bench = Bench(book=Book(members={"ada": record(state)}))
    bench.room.members["@old:sim"] = JOINED
    bench.do(Remove("", "@old:sim", "@old:sim", after="ada"))
    assert bench.room.is_in("@old:sim") is (state == "failing")


@pytest.mark.parametrize("free", [True, False])
def test_an_account_that_the_single_sign_on_opens_is_used_unless_somebody_has_proven_it(
    free: bool,
) -> None:
    bench = Bench()
    asked: list[tuple[str, str, str]] = []
    bench.ledger.takes = lambda *given: asked.append(given) or free  # type: ignore[method-assign, assignment, func-returns-value]
    said = "Their single sign-on opens @sso:sim: the next sync uses it."
    opened = AccountFacts("@sso:sim", False, said, existed=True, origin=EXTERNAL_ID)
    bench.backend.facts = [opened, AccountFacts("@ada:sim", made=True)]
    action = EnsureAccount("ada", "@ada:sim", "Ada", "sso-1")
    bench.do(action)
    assert asked == [("ada", "@sso:sim", "sim")]
    again = [] if free else [[replace(action, external_id=None)]]
    assert bench.backend.named("ensure_account") == [[action], *again]
    words = "The single sign-on of Ada already opens another account than @ada:sim."
    assert bench.ledger.notes == (() if free else (words,))
    assert bench.ledger.undone_keys == (("person:ada",) if free else ())


@pytest.mark.parametrize(
    "facts",
    [
        AccountFacts("@ada:sim", existed=True, origin=EXTERNAL_ID),
        AccountFacts("@other:sim", existed=True, origin="created"),
    ],
    ids=["the one that was meant", "found otherwise"],
)
def test_any_other_account_is_taken_from_nobody(facts: AccountFacts) -> None:
    bench = Bench()
    bench.backend.facts = [facts]
    bench.do(EnsureAccount("ada", "@ada:sim", "Ada", "sso-1"))
    assert len(bench.backend.named("ensure_account")) == 1
    assert bench.ledger.notes == ()
