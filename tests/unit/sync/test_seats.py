"""Which account each person uses: linked, named by the host, or made from the template."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, update

from commweb import Person, Role
from commweb.accounts import account_of, agree, link, store_accounts, unlink
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
        record = account_of(connection, SIM, person_id)
        assert record is not None
        row = {"provider": SIM, "person_id": person_id, "remote_user_id": record.remote_user_id}
        row |= {"display_name": person_id.title(), "checked_at": now()}
        store_accounts(
            connection, [{**row, "made_user_id": row["remote_user_id"] if made else None}]
        )


def linked(school: Site, person_id: str, remote: str) -> bool:
    with school.state.database.write() as connection:
        return link(connection, SIM, person_id, remote)


def account(school: Site, person_id: str) -> Any:
    with school.state.database.read() as connection:
        return account_of(connection, SIM, person_id)


def test_without_anything_else_the_user_name_makes_the_account(school: Site) -> None:
    seat = seats(school, person("Ada"))["Ada"]
    assert (seat.remote_user_id, seat.account) == ("@ada:sim", "new")
    assert (seat.make, seat.rename, seat.by_invitation) == (True, True, False)


def test_what_the_host_names_comes_before_the_user_name(school: Site) -> None:
    named = person("ada", matrix_user_id="@countess:sim")
    seat = seats(school, named)["ada"]
    assert (seat.remote_user_id, seat.account, seat.make) == ("@countess:sim", "stale", True)
    assert account(school, "ada").origin == "host"


def test_what_the_person_linked_comes_before_everything(school: Site) -> None:
    linked(school, "ada", "@mine:sim")
    seat = seats(school, person("ada", matrix_user_id="@countess:sim"))["ada"]
    assert (seat.remote_user_id, seat.make, seat.rename) == ("@mine:sim", False, False)


@pytest.mark.parametrize("named", [None, "@countess:sim"])
def test_an_account_of_ones_own_is_never_renamed(school: Site, named: str | None) -> None:
    if named is None:
        linked(school, "ada", "@mine:sim")
    ada = person("ada", matrix_user_id=named)
    seats(school, ada)
    looked_at(school, "ada")
    renamed = replace(ada, display_name="Ada the Second")
    seat = seats(school, renamed)["ada"]
    assert (seat.account, seat.rename) == ("known", False)


def test_an_account_from_the_template_is_renamed_with_the_person(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada")
    assert seats(school, person("ada"))["ada"].account == "known"
    renamed = replace(person("ada"), display_name="Ada the Second")
    assert seats(school, renamed)["ada"].account == "renamed"


def test_the_host_may_name_another_account_later_and_take_it_back(school: Site) -> None:
    seats(school, person("ada"))
    looked_at(school, "ada", made=True)
    assert seats(school, person("ada", matrix_user_id="@c:sim"))["ada"].remote_user_id == "@c:sim"
    assert account(school, "ada").made_user_id == "@ada:sim"
    seat = seats(school, person("ada"))["ada"]
    assert (seat.remote_user_id, account(school, "ada").origin) == ("@ada:sim", "created")


def test_a_name_of_the_host_that_is_no_user_id_is_a_reason(school: Site) -> None:
    seat = seats(school, person("ada", matrix_user_id="ada"))["ada"]
    assert seat.remote_user_id is None
    assert seat.reason == "The site names the account ada, which is no user ID."


def test_two_people_named_the_same_account_do_not_share_it(school: Site) -> None:
    both = [person(name, matrix_user_id="@one:sim") for name in ("ada", "bob")]
    found = seats(school, *both)
    assert found["ada"].remote_user_id == "@one:sim"
    assert found["bob"].remote_user_id is None
    assert found["bob"].reason == "The account @one:sim belongs to another person already."


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
        assert unlink(connection, SIM, "ada")
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
    assert seat.reason == "Has no external ID, from which the user ID is made."


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
    bob = person("bob", matrix_user_id="@bob:sim")
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
    assert seat.reason == "Has to agree on the page “My account” that an account is made."
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
    looked_at(school, "ada")
    with school.state.database.write() as connection:
        connection.execute(update(Account).values(checked_at=now().replace(year=2020)))
    assert seats(school, person("ada"))["ada"].account == "stale"


def test_an_account_that_somebody_took_meanwhile_is_not_used(school: Site) -> None:
    seating = Seating(SIM, SimulatedBackend(SimulatedServer()), CREATE)
    desired = room([person("ada")])
    with school.state.database.read() as connection:
        choices = seating.choose(connection, desired)
    with school.state.database.write() as connection:
        values = {"provider": SIM, "person_id": "bob", "remote_user_id": "@ada:sim"}
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
        "linked",
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
