"""Linking accounts, the codes that prove them, and what both leave in the tables."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from commweb import account_rows, accounts, places, proofs
from commweb.models import Account, AccountProof, Event, MemberRow, RoomRow, now
from commweb.sync.choose_account import CLAIM, CREATED, PROVEN
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

SIM = "simulated"
KEY = "a key of the site"
MINE = "@mine:sim"
Do = Callable[..., Any]


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(SimulatedServer())) as made:
        yield made


@pytest.fixture
def write(school: Site) -> Callable[[Do], Any]:
    def write(do: Do) -> Any:
        with school.state.database.write() as connection:
            return do(connection)

    return write


def linking(person: str, remote: str = MINE) -> Do:
    return lambda connection: accounts.link(connection, SIM, person, remote)


def record(person: str) -> Do:
    return lambda connection: accounts.account_of(connection, SIM, person)


def starting(remote: str = MINE, person: str = "ada") -> Do:
    return lambda connection: proofs.start(connection, KEY, SIM, person, remote)


def arriving(remote: str = MINE, person: str = "ada", room: str = "!dm") -> Do:
    return lambda connection: proofs.sent(connection, SIM, person, remote, room)


def typing(code: str, person: str = "ada", key: str = KEY) -> Do:
    return lambda connection: proofs.redeem(connection, key, SIM, person, code)


def pending(connection: Connection) -> proofs.Pending | None:
    return proofs.pending(connection, SIM, "ada")


def wrong(code: str) -> str:
    return f"{(int(code) + 1) % 10**proofs.DIGITS:0{proofs.DIGITS}d}"


def later(**spans: timedelta) -> Do:
    """Let time pass: what is stored happened earlier."""

    def move(connection: Connection) -> None:
        row = connection.execute(select(AccountProof.__table__)).mappings().one()
        moved = {name: row[name] - span for name, span in spans.items()}
        connection.execute(update(AccountProof).values(**moved))

    return move


def test_an_account_is_linked_by_one_person_only(write: Any) -> None:
    assert write(linking("ada"))
    assert not write(linking("bob"))
    assert write(linking("ada"))
    assert write(record("ada")).origin == PROVEN
    assert write(record("bob")) is None


def test_the_account_made_for_somebody_is_nobody_elses_while_it_rests(write: Any) -> None:
    write(
        lambda connection: account_rows.add_accounts(
            connection,
            [
                {
                    "provider": SIM,
                    "person_id": "ada",
                    "remote_user_id": "@ada:sim",
                    "origin": "created",
                    "display_name": "Ada",
                    "made_user_id": "@ada:sim",
                }
            ],
        )
    )
    assert write(linking("ada"))
    claim = {"server": "", "origin": CLAIM}
    assert not write(lambda c: accounts.link(c, SIM, "bob", "@ada:sim", **claim))
    assert write(lambda connection: accounts.unlink(connection, SIM, "ada"))
    back = write(record("ada"))
    assert (back.remote_user_id, back.origin) == ("@ada:sim", CREATED)


def test_unlinking_an_account_that_replaced_nothing_leaves_none(write: Any) -> None:
    write(linking("ada"))
    assert write(lambda connection: accounts.unlink(connection, SIM, "ada"))
    assert write(record("ada")) is None
    assert not write(lambda connection: accounts.unlink(connection, SIM, "ada"))


def test_who_linked_and_unlinked_is_on_record(school: Site, write: Any) -> None:
    write(linking("ada"))
    write(lambda connection: accounts.unlink(connection, SIM, "ada"))
    with school.state.database.read() as connection:
        told = connection.execute(select(Event.actor, Event.action, Event.detail)).all()
    assert [tuple(row) for row in told][-2:] == [
        ("ada", "account.linked", {"account": MINE}),
        ("ada", "account.unlinked", {"account": MINE}),
    ]


def test_the_rooms_of_the_person_are_looked_at_again_and_no_others(
    school: Site, write: Any
) -> None:
    from commweb.sync.worker import Worker

    school.campus.add("1", teacher("ada"))
    school.campus.add("2", student("bob"))
    with school.app.app_context():
        for course in ("1", "2"):
            school.comm.course_created(course)
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()
    write(linking("ada"))
    dirty = select(RoomRow.course_id).where(RoomRow.synced_revision < RoomRow.revision)
    with school.state.database.read() as connection:
        assert connection.execute(dirty).scalars().all() == ["1"]
    write(lambda connection: places.look_at_all(connection, SIM))
    with school.state.database.read() as connection:
        assert sorted(connection.execute(dirty).scalars()) == ["1", "2"]
        (place,) = places.places(connection, SIM, "ada")
    assert (place.course_name, place.state, place.remote_user_id) == ("Algebra", "in", "@ada:sim")


def test_agreeing_is_remembered_once(school: Site, write: Any) -> None:
    for _time in range(2):
        write(lambda connection: accounts.agree(connection, SIM, "ada"))
    found = write(lambda connection: accounts.agreed(connection, SIM, ["ada", "bob"]))
    assert found == {"ada"}
    with school.state.database.read() as connection:
        told = select(Event.action).where(Event.action == "account.agreed")
        assert len(connection.execute(told).all()) == 1


def test_the_right_code_proves_the_account_once(write: Any) -> None:
    code = write(starting()).code
    assert write(arriving())
    verdict = write(typing(code))
    assert (verdict.right, verdict.remote_user_id, verdict.conversation) == (True, MINE, "!dm")
    assert not write(typing(code)).right
    assert write(pending) is None


def test_a_code_has_eight_digits_and_is_never_stored(school: Site, write: Any) -> None:
    started = write(starting())
    assert len(started.code) == 8
    assert started.code.isdigit()
    assert started.code not in repr(started)
    with school.state.database.read() as connection:
        row = connection.execute(select(AccountProof.__table__)).mappings().one()
    assert started.code not in str(dict(row))


def test_a_code_is_good_for_five_tries(write: Any) -> None:
    code = write(starting()).code
    write(arriving())
    left = [write(typing(wrong(code))).tries_left for _try in range(6)]
    assert left == [4, 3, 2, 1, 0, 0]
    assert not write(typing(code)).right
    assert not write(pending).alive


def test_a_code_is_good_for_a_quarter_of_an_hour(write: Any) -> None:
    code = write(starting()).code
    write(arriving())
    write(later(expires_at=timedelta(minutes=14, seconds=50)))
    assert write(pending).alive
    write(later(expires_at=timedelta(seconds=11)))
    assert not write(pending).alive
    assert not write(typing(code)).right


def test_a_code_that_was_not_sent_yet_cannot_be_typed(write: Any) -> None:
    code = write(starting()).code
    assert not write(pending).alive
    assert not write(typing(code)).right


def test_a_code_is_good_for_one_person_one_account_and_one_site(write: Any) -> None:
    code = write(starting()).code
    write(arriving())
    write(starting(person="bob"))
    write(arriving(person="bob"))
    assert not write(typing(code, person="bob")).right
    assert not write(typing(code, key="another key")).right
    write(
        lambda connection: connection.execute(
            update(AccountProof)
            .where(AccountProof.person_id == "ada")
            .values(remote_user_id="@other:sim")
        )
    )
    assert not write(typing(code)).right


def test_another_code_can_be_had_after_a_minute(write: Any) -> None:
    first = write(starting())
    write(arriving())
    again = write(starting())
    assert (again.code, 0 < again.wait_seconds <= 60) == ("", True)
    assert write(typing(first.code)).right
    first = write(starting())
    write(arriving())
    write(later(sent_at=timedelta(seconds=61)))
    second = write(starting("@other:sim"))
    assert second.replaces == "!dm"
    assert not write(typing(first.code)).right


def test_giving_up_a_code_does_not_shorten_the_minute(write: Any) -> None:
    code = write(starting()).code
    write(arriving())
    room = write(lambda connection: proofs.revoke(connection, SIM, "ada"))
    assert room == "!dm"
    assert not write(typing(code)).right
    assert write(starting()).code == ""


def test_a_code_that_is_given_up_while_it_is_sent_stays_given_up(write: Any) -> None:
    write(starting())
    write(lambda connection: proofs.forget(connection, SIM, "ada"))
    assert not write(arriving())


def test_what_was_found_out_keeps_the_account_that_was_made(write: Any) -> None:
    row = {"provider": SIM, "person_id": "ada", "remote_user_id": "@ada:sim"}
    add = {**row, "origin": "created", "display_name": "", "made_user_id": None}
    write(lambda connection: account_rows.add_accounts(connection, [add]))
    seen = {**row, "display_name": "Ada", "checked_at": now()}
    for made in ("@ada:sim", None):
        rows = [{**seen, "made_user_id": made}]
        write(lambda connection, rows=rows: account_rows.store_accounts(connection, rows))
    assert write(record("ada")).made_user_id == "@ada:sim"


def test_a_room_that_is_not_wanted_is_no_place(school: Site, write: Any) -> None:
    def fill(connection: Connection) -> None:
        for number, (wanted, state) in enumerate([(True, "in"), (False, "in"), (True, "removed")]):
            connection.execute(
                RoomRow.__table__.insert().values(
                    id=number + 1, course_id=str(number), provider=SIM, wanted=wanted
                )
            )
            connection.execute(
                MemberRow.__table__.insert().values(
                    room_id=number + 1, person_id="ada", state=state, display_name=""
                )
            )

    write(fill)
    found = write(lambda connection: places.places(connection, SIM, "ada"))
    assert [place.course_id for place in found] == ["0"]


def test_the_columns_of_an_account_are_in_the_tables(school: Site) -> None:
    with school.state.database.read() as connection:
        assert connection.execute(select(Account.made_user_id)).all() == []
