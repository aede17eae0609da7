"""Which account each person uses: linked, named by the host, or made from the template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from commweb import Person, Role
from commweb.account_rows import account_of, store_accounts
from commweb.accounts import agree, link, retire, unlink
from commweb.models import Account, now
from commweb.providers import Registry
from commweb.providers.rooms import ObservedRoom
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.identity import Rules, capped, level_map
from commweb.sync.known import Seat, Target
from commweb.sync.seats import Seating
from tests.simulated import OWN, SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, person, site

SIM = "simulated"
CREATE = Rules(page="My account")


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with site(tmp_path, Registry([SimulatedProvider(server)])) as made:
        yield made


def room(people: Sequence[Person], level: int = 0) -> DesiredRoom:
    members = tuple(DesiredMember(each, level) for each in people)
    return DesiredRoom("", SIM, "Algebra", "", "algebra", members)


def seats(school: Site, *people: Person, rules: Rules = CREATE) -> dict[str, Seat]:
    """As one run of the worker does it."""
    seating = Seating(SIM, SimulatedBackend(SimulatedServer()), rules)
    desired = room(people)
    with school.state.database.read() as connection:
        choices = seating.choose(connection, desired)
    if not choices.new:
        target = seating.seat(None, desired, choices)
    else:
        with school.state.database.write() as connection:
            target = seating.seat(connection, desired, choices)
    return {seat.person_id: seat for seat in target.seats}


def looked_at(school: Site, person_id: str, *, made: bool = False) -> None:
    """As after a run: the account exists and has the person's name."""
    with school.state.database.write() as connection:
        record = account_of(connection, SIM, person_id, "sim")
        assert record is not None
        row = {"provider": SIM, "person_id": person_id, "remote_user_id": record.remote_user_id}
        row |= {"display_name": person_id.title(), "checked_at": now()}
        store_accounts(
            connection, [{**row, "made_user_id": row["remote_user_id"] if made else None}]
        )


def linked(school: Site, person_id: str, remote: str) -> bool:
    with school.state.database.write() as connection:
        return link(connection, SIM, person_id, remote, server="sim")


def account(school: Site, person_id: str) -> Any:
    with school.state.database.read() as connection:
        return account_of(connection, SIM, person_id, "sim")


def test_without_anything_else_the_user_name_makes_the_account(school: Site) -> None:
    seat = seats(school, person("Ada"))["Ada"]
    assert (seat.remote_user_id, seat.account) == ("@ada:sim", "new")
    assert (seat.make, seat.rename, seat.by_invitation) == (True, True, False)


def test_what_the_host_names_comes_before_the_user_name(school: Site) -> None:
    named = person("ada", accounts={SIM: "@countess:sim"})
    seat = seats(school, named)["ada"]
    assert (seat.remote_user_id, seat.account, seat.make) == ("@countess:sim", "stale", True)
    assert account(school, "ada").origin == "host"


def test_what_the_person_linked_comes_before_everything(school: Site) -> None:
    linked(school, "ada", "@mine:sim")
    seat = seats(school, person("ada", accounts={SIM: "@countess:sim"}))["ada"]
    assert (seat.remote_user_id, seat.make, seat.rename) == ("@mine:sim", False, False)


@pytest.mark.parametrize("named", [None, "@countess:sim"])
def test_an_account_of_ones_own_is_never_renamed(school: Site, named: str | None) -> None:
    if named is None:
        linked(school, "ada", "@mine:sim")
    ada = person("ada", accounts={SIM: named} if named else {})
    seats(school, ada)
    looked_at(school, "ada")
    renamed = replace(ada, display_name="Ada the Second")
    seat = seats(school, renamed)["ada"]
    assert (seat.account, seat.rename) == ("known", False)


def test_an_account_from_the_template_is_renamed_with_the_person(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    assert seats(school, person("ada"))["ada"].account == "known"
    renamed = replace(person("ada"), display_name="Ada the Second")
    assert seats(school, renamed)["ada"].account == "renamed"


def test_the_host_may_name_another_account_later_and_take_it_back(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    assert seats(school, person("ada", accounts={SIM: "@c:sim"}))["ada"].remote_user_id == "@c:sim"
    assert account(school, "ada").made_user_id == "@ada:sim"
    seat = seats(school, person("ada"))["ada"]
    assert (seat.remote_user_id, account(school, "ada").origin) == ("@ada:sim", "created")


def test_a_name_of_the_host_that_is_no_user_id_is_a_reason(school: Site) -> None:
    seat = seats(school, person("ada", accounts={SIM: "ada"}))["ada"]
    assert seat.remote_user_id == "@ada:sim"
    assert seat.reason == "The account ada given by the site is not a valid user ID."


def test_one_account_named_for_several_people_is_nobodys(school: Site) -> None:
    both = [person(name, accounts={SIM: "@one:sim"}) for name in ("ada", "bob")]
    found = seats(school, *both)
    assert [found[key].remote_user_id for key in ("ada", "bob")] == ["@ada:sim", "@bob:sim"]
    assert found["bob"].reason == "The site gives the account @one:sim to 2 people."


def test_an_account_named_for_a_second_person_stays_the_first_ones(school: Site) -> None:
    seats(school, person("ada", accounts={SIM: "@one:sim"}))
    seat = seats(school, person("bob", accounts={SIM: "@one:sim"}))["bob"]
    assert seat.remote_user_id == "@bob:sim"
    assert seat.reason == "The account @one:sim belongs to another person already."


def test_a_new_name_never_takes_an_account_that_somebody_linked_or_left_at_rest(
    school: Site,
) -> None:
    linked(school, "ada", "@cyd:sim")
    seats(school, person("bob"))
    looked_at(school, "bob", made=True)
    linked(school, "bob", "@elsewhere:other.example")
    found = seats(school, person("cyd"), person("Bob"))
    assert found["cyd"].remote_user_id == "@cyd-2:sim"
    assert found["Bob"].remote_user_id == "@bob-2:sim"


def test_unlinking_goes_back_to_the_account_that_was_made(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    linked(school, "ada", "@mine:sim")
    assert seats(school, person("ada"))["ada"].remote_user_id == "@mine:sim"
    with school.state.database.write() as connection:
        assert unlink(connection, SIM, "ada", "sim")
    assert seats(school, person("ada"))["ada"].remote_user_id == "@ada:sim"


@pytest.mark.parametrize(
    ("template", "remote"),
    [
        ("s-{id}", "@s-7:sim"),
        ("{external_id}.{username}", "@x9.ada:sim"),
        ("{username}{id}", "@ada7:sim"),
    ],
)
def test_the_template_makes_the_name(school: Site, template: str, remote: str) -> None:
    ada = Person("7", "Ada", "Ada", external_id="X9")
    found = seats(school, ada, rules=Rules(template=template))
    assert found["7"].remote_user_id == remote


def test_a_user_name_that_looks_like_a_place_stays_what_it_is(school: Site) -> None:
    odd = Person("7", "{id}", "Odd")
    assert seats(school, odd)["7"].remote_user_id == "@{id}:sim"


def test_a_template_that_needs_what_nobody_knows_is_a_reason(school: Site) -> None:
    seat = seats(school, person("ada"), rules=Rules(template="{external_id}"))["ada"]
    assert seat.remote_user_id is None
    assert seat.reason == "No external ID, so no user ID can be generated."


def test_another_template_leaves_the_accounts_there_are(school: Site) -> None:
    seats(school, person("ada"))
    found = seats(school, person("ada"), person("bob"), rules=Rules(template="s-{id}"))
    assert [seat.remote_user_id for seat in found.values()] == ["@ada:sim", "@s-bob:sim"]


def test_invite_mode_makes_no_account_and_renames_none(school: Site) -> None:
    seat = seats(school, person("ada"), rules=Rules("invite"))["ada"]
    assert (seat.remote_user_id, seat.account) == ("@ada:sim", "stale")
    assert (seat.make, seat.rename, seat.by_invitation) == (False, False, True)


def test_linked_mode_seats_only_who_has_an_account_of_his_own(school: Site) -> None:
    linked(school, "ada", "@mine:sim")
    rules = Rules("linked", page="My Matrix account")
    bob = person("bob", accounts={SIM: "@bob:sim"})
    found = seats(school, person("ada"), bob, person("cyd"), rules=rules)
    assert found["ada"].remote_user_id == "@mine:sim"
    assert (found["bob"].remote_user_id, found["bob"].make) == ("@bob:sim", False)
    assert found["cyd"].remote_user_id is None
    assert found["cyd"].reason == "Has to link an account on the page “My Matrix account”."


def test_an_account_of_another_server_is_invited(school: Site) -> None:
    linked(school, "ada", "@ada:other.example")
    assert seats(school, person("ada"))["ada"].by_invitation


def test_with_consent_asked_for_nobody_gets_an_account_unasked(school: Site) -> None:
    rules = replace(CREATE, ask_consent=True)
    seat = seats(school, person("ada"), rules=rules)["ada"]
    assert (seat.remote_user_id, account(school, "ada")) == (None, None)
    assert seat.reason == "Has to agree on the page “My account” that an account is created."
    with school.state.database.write() as connection:
        agree(connection, SIM, "ada")
    assert seats(school, person("ada"), rules=rules)["ada"].remote_user_id == "@ada:sim"


def test_consent_is_not_asked_for_an_account_that_is_there(school: Site) -> None:
    seats(school, person("ada"), person("bob"))
    looked_at(school, "ada")
    linked(school, "cyd", "@cyd:sim")
    rules = replace(CREATE, ask_consent=True)
    found = seats(school, person("ada"), person("bob"), person("cyd"), rules=rules)
    assert {key for key, seat in found.items() if seat.remote_user_id} == {"ada", "cyd"}


def test_an_account_looked_at_long_ago_is_looked_at_again(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    with school.state.database.write() as connection:
        connection.execute(update(Account).values(checked_at=now().replace(year=2020)))
    assert seats(school, person("ada"))["ada"].account == "stale"


def test_an_account_that_somebody_took_meanwhile_is_not_used(school: Site) -> None:
    seating = Seating(SIM, SimulatedBackend(SimulatedServer()), CREATE)
    desired = room([person("ada")])
    with school.state.database.read() as connection:
        choices = seating.choose(connection, desired)
    with school.state.database.write() as connection:
        values = {"provider": SIM, "server_name": "sim", "person_id": "bob"}
        values["remote_user_id"] = "@ada:sim"
        connection.execute(insert(Account).values(**values, origin="created", display_name=""))
    with school.state.database.write() as connection, pytest.raises(KeyError):
        seating.seat(connection, desired, choices)


def test_a_run_that_is_late_does_not_undo_a_link(school: Site) -> None:
    seats(school, person("ada"))
    linked(school, "ada", "@mine:sim")
    row = {"provider": SIM, "person_id": "ada", "remote_user_id": "@ada:sim"}
    row |= {"display_name": "Ada", "checked_at": now(), "made_user_id": "@ada:sim"}
    with school.state.database.write() as connection:
        store_accounts(connection, [row])
    record = account(school, "ada")
    assert (record.remote_user_id, record.origin, record.checked_at) == (
        "@mine:sim",
        "proven",
        None,
    )


def test_the_roles_have_the_levels_of_the_settings() -> None:
    assert level_map({}) == {Role.PARTICIPANT: 0, Role.MODERATOR: 50, Role.ADMIN: 50}
    assert level_map({"level_student": 5, "level_admin": 100})[Role.ADMIN] == 100


@pytest.mark.parametrize(
    ("older", "observed", "level"),
    [
        (False, None, 100),
        (True, None, 99),
        (False, ObservedRoom("!1", creators=frozenset({OWN}), own_id=OWN), 100),
        (False, ObservedRoom("!1", levels={OWN: 100}, own_id=OWN), 99),
    ],
)
def test_nobody_gets_the_acting_accounts_level_where_it_could_not_be_taken_away(
    older: bool, observed: ObservedRoom | None, level: int
) -> None:
    target = Target(room([person("ada")]), (Seat("ada", "Ada", "@ada:sim", 100),))
    backend = SimulatedBackend(SimulatedServer(older=older))
    assert capped(target, observed, backend).seats[0].level == level


def stored(school: Site, person_id: str, **values: Any) -> None:
    """An account as it is in the tables."""
    row = {"provider": SIM, "server_name": "sim", "person_id": person_id, "display_name": ""}
    with school.state.database.write() as connection:
        connection.execute(insert(Account).values(**{**row, **values}))


def test_the_name_of_the_acting_account_becomes_another_one(school: Site) -> None:
    assert seats(school, person("bot"))["bot"].remote_user_id == "@bot-2:sim"


def test_an_account_of_their_name_that_is_not_theirs_leaves_them_waiting(school: Site) -> None:
    stored(school, "ada", remote_user_id="@ada:sim", origin="named", checked_at=now())
    seat = seats(school, person("ada"))["ada"]
    assert seat.remote_user_id is None
    assert seat.reason == (
        "The account @ada:sim exists already. They have to prove on the page “My account” that "
        "it is theirs."
    )


def test_where_names_are_trusted_an_account_of_their_name_is_looked_at_again(
    school: Site,
) -> None:
    stored(school, "ada", remote_user_id="@ada:sim", origin="named", checked_at=now())
    seat = seats(school, person("ada"), rules=replace(CREATE, trust_names=True))["ada"]
    assert (seat.remote_user_id, seat.account, seat.theirs) == ("@ada:sim", "new", False)
    assert seat.trust_names


def test_an_account_taken_by_name_before_keeps_its_seat_and_its_row(school: Site) -> None:
    stored(school, "ada", remote_user_id="@ada:sim", origin="created", checked_at=now())
    seat = seats(school, person("ada"))["ada"]
    assert (seat.remote_user_id, seat.theirs, seat.rename) == ("@ada:sim", True, False)
    assert account(school, "ada").by_name_before


def test_a_refused_name_is_followed_by_the_next_one_and_never_by_an_earlier(
    school: Site,
) -> None:
    for name in ("ada", "u-ada", "u-ada-2", "u-ada-3"):
        with school.state.database.write() as connection:
            connection.execute(update(Account).values(origin="refused"))
        assert seats(school, person("ada"))["ada"].remote_user_id == f"@{name}:sim"


def test_the_wish_to_create_an_account_is_stored_with_its_time(school: Site) -> None:
    before = now()
    seat = seats(school, person("ada"))["ada"]
    assert before.timestamp() <= (seat.intended_at_seconds or 0) <= now().timestamp()
    assert account(school, "ada").intended_at.timestamp() == seat.intended_at_seconds


def test_who_proves_an_account_gets_it_and_the_other_person_gets_another(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    assert linked(school, "bob", "@ada:sim")
    found = seats(school, person("ada"), person("bob"))
    assert found["bob"].remote_user_id == "@ada:sim"
    assert found["ada"].remote_user_id == "@ada-2:sim"


def test_what_the_host_names_takes_an_account_from_a_guess(school: Site) -> None:
    stored(school, "ada", remote_user_id="@one:sim", origin="trusted_name", checked_at=now())
    named = person("bob", accounts={SIM: "@one:sim"})
    for _again in range(2):
        target = Seating(SIM, SimulatedBackend(SimulatedServer()), CREATE).target(
            school.state.database, room([person("ada"), named])
        )
        found = {seat.person_id: seat.remote_user_id for seat in target.seats}
        assert found == {"ada": "@ada:sim", "bob": "@one:sim"}


def looking(school: Site, server: SimulatedServer, *people: Person) -> dict[str, Seat]:
    target = Seating(SIM, SimulatedBackend(server), CREATE).target(
        school.state.database, room(people)
    )
    return {seat.person_id: seat for seat in target.seats}


def test_an_account_that_does_not_exist_never_replaces_one_that_works(school: Site) -> None:
    server = SimulatedServer()
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    named = person("ada", accounts={SIM: "@gone:sim"})
    seat = looking(school, server, named)["ada"]
    assert (seat.remote_user_id, seat.reason) == ("@ada:sim", "There is no such account.")
    server.accounts["@gone:sim"] = "Ada"
    assert looking(school, server, named)["ada"].remote_user_id == "@gone:sim"


def test_the_same_external_id_after_a_deletion_is_the_same_person(school: Site) -> None:
    seats(school, Person("1", "ada", "Ada", external_id="x"))
    looked_at(school, "1", made=True)
    with school.state.database.write() as connection:
        retire(connection, "1")
    seat = seats(school, Person("2", "ada", "Ada", external_id="x"))["2"]
    assert (seat.remote_user_id, seat.rename) == ("@ada:sim", True)
    assert account(school, "2").made_user_id == "@ada:sim"


@pytest.mark.parametrize("gone", [True, False])
def test_an_external_id_given_twice_moves_no_account_while_the_first_person_is_there(
    school: Site, gone: bool
) -> None:
    seats(school, Person("1", "ada", "Ada", external_id="x"))
    looked_at(school, "1", made=True)
    seating = Seating(SIM, SimulatedBackend(SimulatedServer()), CREATE, lambda _id: gone)
    desired = room([Person("2", "eve", "Eve", external_id="x")])
    seat = seating.target(school.state.database, desired).seats[0]
    assert seat.remote_user_id == ("@ada:sim" if gone else "@eve:sim")


def test_whoever_is_there_keeps_the_account_whatever_their_id_looks_like(school: Site) -> None:
    seats(school, Person("retired:1", "ada", "Ada", external_id="x"))
    looked_at(school, "retired:1", made=True)
    seating = Seating(SIM, SimulatedBackend(SimulatedServer()), CREATE, lambda _id: False)
    desired = room([Person("2", "eve", "Eve", external_id="x")])
    assert seating.target(school.state.database, desired).seats[0].remote_user_id == "@eve:sim"


def test_an_id_used_again_by_another_person_inherits_nothing(school: Site) -> None:
    seats(school, Person("7", "ada", "Ada"))
    looked_at(school, "7", made=True)
    with school.state.database.write() as connection:
        retire(connection, "7")
    assert seats(school, Person("7", "bob", "Bob"))["7"].remote_user_id == "@bob:sim"
    assert seats(school, Person("8", "ada", "Ada"))["8"].remote_user_id == "@ada-2:sim"


def test_an_unreported_new_person_with_the_old_id_inherits_nothing(school: Site) -> None:
    seats(school, Person("7", "ada", "Ada", external_id="x"))
    looked_at(school, "7", made=True)
    ben = seats(school, Person("7", "ben", "Ben", external_id="y"))["7"]
    assert ben.remote_user_id == "@ben:sim"
    renamed = Person("7", "benjamin", "Ben", external_id="y")
    assert seats(school, renamed)["7"].remote_user_id == "@ben:sim"


def test_accounts_of_another_server_wait_there_until_it_is_connected_again(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    other = SimulatedBackend(SimulatedServer(name="new"))
    desired = room([person("ada")])
    seat = Seating(SIM, other, CREATE).target(school.state.database, desired).seats[0]
    assert (seat.account, seat.theirs) == ("new", False)
    assert seats(school, person("ada"))["ada"].account == "known"


def test_a_row_without_a_server_is_the_connected_servers(school: Site) -> None:
    stored(school, "ada", server_name="", remote_user_id="@x:sim", origin="proven")
    assert seats(school, person("ada"))["ada"].remote_user_id == "@x:sim"
    assert account(school, "ada").server_name == "sim"
