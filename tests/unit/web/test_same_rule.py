"""The page on which people see their account, and the sync, choose it by one rule."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, insert

from commweb import Person
from commweb.account_rows import account_of
from commweb.accounts import link
from commweb.i18n import lazy_gettext
from commweb.models import Account, now
from commweb.providers import Registry
from commweb.providers.names import Names
from commweb.settings import Setting
from commweb.sync.choose_account import INTENDED, ORDER
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.identity import rules_of
from commweb.sync.seats import Seating
from commweb.web.own_account import Visit, situation
from tests.simulated import SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, site
from tests.unit.web.conftest import Visitor

CHOICES = {
    "origin": (None, *(one for one in ORDER if one != INTENDED), INTENDED, "refused"),
    "made": (None, "@ada:sim", "@created:sim"),
    "named": (None, "@free:sim", "@bobs:sim", "no id", "@ada:away", "@bot:sim"),
    "mode": ("create", "invite", "linked"),
    "existing_accounts": ("ask", "trust"),
    "federate": (True, False),
    "ask_consent": (False, True),
    "checked": (True, False),
}


class WithAccounts(SimulatedProvider):
    account_page = lazy_gettext("My account")
    settings = (
        Setting("account_mode", "create"),
        Setting("existing_accounts", "ask"),
        Setting("federate", False),
        Setting("ask_consent", False),
        Setting("allow_chat_password", False),
    )

    def names(self, own_id: str, server_name: str) -> Names:
        return SimulatedBackend(self.server)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with site(tmp_path, Registry([WithAccounts(server)])) as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
        yield made


@dataclass(frozen=True)
class Case:
    origin: str | None
    made: str | None
    named: str | None
    mode: str
    existing_accounts: str
    federate: bool
    ask_consent: bool
    checked: bool

    @property
    def values(self) -> dict[str, Any]:
        names = ("existing_accounts", "federate", "ask_consent")
        return {"account_mode": self.mode, **{name: getattr(self, name) for name in names}}

    @property
    def row(self) -> dict[str, Any]:
        """As it is stored: what was created and is used is the account that was created."""
        made = "@ada:sim" if self.origin == "created" else self.made
        origin = "created" if self.origin == INTENDED else self.origin
        if self.origin == INTENDED and made == "@ada:sim":
            made = None
        return {
            "provider": "simulated",
            "person_id": "ada",
            "remote_user_id": "@ada:sim",
            "origin": origin,
            "made_user_id": made,
            "intended_at": now() if self.origin == INTENDED else None,
            "checked_at": now() if self.checked and self.origin != INTENDED else None,
        }


def chosen_by_the_sync(school: Site, case: Case, ada: Person) -> tuple[str | None, bool]:
    """The account, and whether a server is asked first, or its name is made up only now."""
    (provider,) = school.state.registry
    backend = SimulatedBackend(SimulatedServer())
    desired = DesiredRoom("", "simulated", "A", "", "a", (DesiredMember(ada, 0),))
    seating = Seating("simulated", backend, rules_of(provider, case.values))
    with school.state.database.read() as connection:
        choices = seating.choose(connection, desired)
    pick = choices.picks["ada"]
    made_up = pick.origin == INTENDED and case.origin not in (INTENDED, "named")
    return pick.user_id, made_up or pick.user_id in choices.doubtful


def shown(school: Site, case: Case, ada: Person) -> str | None:
    (provider,) = school.state.registry
    with school.app.test_request_context():
        return situation(Visit(school.state, provider, ada, case.values)).account


def test_the_page_shows_the_account_that_the_next_sync_uses(school: Site) -> None:
    cases = [Case(*one) for one in itertools.product(*CHOICES.values())]
    with school.state.database.write() as connection:
        link(connection, "simulated", "bob", "@bobs:sim")
    for case in random.Random(7).sample(cases, 400):
        ada = Person("ada", "ada", "Ada", accounts={"simulated": case.named} if case.named else {})
        with school.state.database.write() as connection:
            connection.execute(delete(Account).where(Account.person_id == "ada"))
            if case.origin is not None:
                connection.execute(insert(Account).values(**case.row, display_name="Ada"))
        used, only_then = chosen_by_the_sync(school, case, ada)
        page = shown(school, case, ada)
        with school.state.database.read() as connection:
            record = account_of(connection, "simulated", "ada")
        stored = {record.remote_user_id, record.made_user_id} if record else set()
        if only_then:
            assert page in {None, *stored}, case
        else:
            assert page == used, case


@pytest.mark.parametrize("changed", ["external_id", "both"])
def test_whoever_gets_an_id_that_was_somebody_elses_sees_and_changes_nothing_of_theirs(
    school: Site, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {"allow_chat_password": True})
    row = Case("created", None, None, "create", "ask", False, False, True).row
    with school.state.database.write() as connection:
        connection.execute(insert(Account).values(**row, external_id="x"))
    name = "ada" if changed == "external_id" else "eve"
    new = Person("ada", name, "Eve", external_id="y")
    monkeypatch.setattr(school.campus, "current_person", lambda: new)
    page = Visitor(school, "ada").get("/communication/account").text
    assert ("@ada:sim" in page) is (changed == "external_id")
    assert ("Set a chat password" in page) is (changed == "external_id")
    visitor = Visitor(school, "ada")
    visitor.post(
        "/communication/account/unlink", csrf_token=visitor.token("/communication/account")
    )
    with school.state.database.read() as connection:
        record = account_of(connection, "simulated", "ada")
    assert (record is None) is (changed == "both")
