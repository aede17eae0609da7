"""How many people's names exist already, said by the check within its deadline."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from commweb.encryption import Secret
from commweb.errors import Unreachable
from commweb.existing_names import LOOK_UPS, checked, existing_names
from commweb.models import Account, now
from commweb.providers import Registry
from commweb.providers.base import Finding, People, ProviderContext
from commweb.providers.rooms import AccountFacts
from commweb.settings import Setting
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, site, student


class Desk(People):
    def __init__(self, provider: Named) -> None:
        self.provider = provider

    def identify(self, username: str) -> str:
        return f"@{username}:sim"

    def examine(self, remote_user_id: str) -> AccountFacts:
        self.provider.looked_for.append(remote_user_id)
        if self.provider.down:
            raise Unreachable("The homeserver does not answer.")
        there = remote_user_id in self.provider.there
        return AccountFacts(remote_user_id, usable=there, existed=there)

    def set_password(self, remote_user_id: str, password: Secret) -> None:
        raise AssertionError

    def close(self) -> None:
        pass


class Named(SimulatedProvider):
    """A provider in which people have accounts; ``there`` exist already."""

    account_page = SimulatedProvider.name
    settings = (Setting("account_mode", "create"), Setting("existing_accounts", "ask"))

    def __init__(self) -> None:
        super().__init__(SimulatedServer())
        self.there: set[str] = set()
        self.looked_for: list[str] = []
        self.findings: list[Finding] = []
        self.down = False

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        return Desk(self)

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        return self.findings


@pytest.fixture
def named() -> Named:
    return Named()


@pytest.fixture
def school(tmp_path: Path, named: Named) -> Iterator[Site]:
    with site(tmp_path, Registry([named])) as made:
        made.campus.add("1", student("ada"), student("bob"), student("cyd"))
        yield made


def found(school: Site, named: Named) -> str | None:
    finding = existing_names(school.state, named, 5.0)
    return finding.message if finding else None


def test_people_whose_names_exist_are_counted(school: Site, named: Named) -> None:
    named.there = {"@ada:sim", "@cyd:sim"}
    assert found(school, named) == (
        "At least 2 people have names that exist already as accounts. They are not added until "
        "they prove that these are theirs."
    )


def test_who_is_known_to_wait_is_counted_and_nobody_with_an_account_is_looked_for(
    school: Site, named: Named
) -> None:
    rows = [("ada", "named"), ("bob", "proven")]
    with school.state.database.write() as connection:
        for name, origin in rows:
            values = {"provider": named.id, "person_id": name, "remote_user_id": f"@{name}:sim"}
            connection.execute(insert(Account).values(**values, origin=origin, checked_at=now()))
    assert (found(school, named) or "").startswith("At least 1 person has a name")
    assert named.looked_for == ["@cyd:sim"]


def test_where_names_are_trusted_it_is_said_that_they_get_the_accounts(
    school: Site, named: Named
) -> None:
    named.there = {"@ada:sim"}
    with school.app.app_context():
        school.comm.configure(named.id, {"existing_accounts": "trust"})
    assert (found(school, named) or "").endswith("exists already as an account, and gets it.")


def test_so_many_accounts_are_looked_for_and_no_more(school: Site, named: Named) -> None:
    school.campus.add("2", *(student(f"p{number}") for number in range(100)))
    assert found(school, named) is None
    assert len(named.looked_for) == LOOK_UPS


def test_what_was_found_until_the_server_fell_silent_counts(school: Site, named: Named) -> None:
    named.down = True
    assert found(school, named) is None
    assert len(named.looked_for) == 1


def test_a_host_that_fails_and_a_deadline_that_is_over_cost_the_check_nothing(
    school: Site, named: Named
) -> None:
    named.there = {"@ada:sim"}
    assert existing_names(school.state, named, -1.0) is None
    school.campus.broken = True
    began = time.monotonic()
    assert found(school, named) is None
    assert time.monotonic() - began < 5


def test_the_check_says_it_last_and_only_when_nothing_is_wrong(school: Site, named: Named) -> None:
    named.there = {"@ada:sim"}
    named.findings = [Finding("success", "It answers.", "reached")]
    codes = [one.code for one in checked(school.state, named, 10.0)]
    assert codes == ["reached", "existing_names"]
    named.findings = [Finding("danger", "Nobody is there.", "unreachable")]
    named.looked_for.clear()
    assert [one.code for one in checked(school.state, named, 10.0)] == ["unreachable"]
    assert named.looked_for == []
