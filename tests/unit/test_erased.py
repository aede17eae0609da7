"""Accounts of people who were erased are nobody else's, whatever becomes of the keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from sqlalchemy import insert, select, update

from commweb import Person
from commweb.accounts import CLAIM, agree, link
from commweb.encryption import Sealer
from commweb.erased import ERASED, erase, erased
from commweb.errors import EncryptionError
from commweb.models import Account, AccountConsent, now
from commweb.providers import Registry
from commweb.rekey import rekey
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.identity import Rules
from commweb.sync.seats import Seating
from tests.simulated import SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, person, site

SIM = "simulated"


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with site(tmp_path, Registry([SimulatedProvider(server)])) as made:
        yield made


def seat(school: Site, who: Person, sealer: Sealer | None = None) -> str | None:
    """The account that a sync gives to the person, as if it was created since."""
    backend = SimulatedBackend(SimulatedServer())
    desired = DesiredRoom("", SIM, "A", "", "a", (DesiredMember(who, 0),))
    seating = Seating(SIM, backend, Rules(), sealer=sealer or school.state.sealer)
    (found,) = seating.target(school.state.database, desired).seats
    with school.state.database.write() as connection:
        mine = update(Account).where(Account.person_id == who.id)
        made = {"made_user_id": found.remote_user_id, "checked_at": now()}
        connection.execute(mine.values(**made))
    return found.remote_user_id


def forget(school: Site, person_id: str) -> int:
    with school.state.database.write() as connection:
        return erase(connection, school.state.sealer, person_id)


def gone(school: Site, *remote_ids: str) -> frozenset[str]:
    with school.state.database.read() as connection:
        return erased(connection, school.state.sealer, SIM, remote_ids, "sim")


def rows(school: Site) -> list[Any]:
    with school.state.database.read() as connection:
        return list(connection.execute(select(Account.__table__)))


def test_what_stays_of_an_erased_person_is_a_hash_that_nobody_else_gets_past(school: Site) -> None:
    assert seat(school, Person("7", "ada", "Ada Lovelace", external_id="x9")) == "@ada:sim"
    with school.state.database.write() as connection:
        agree(connection, SIM, "7")
    assert forget(school, "7") == 1
    assert "ada" not in str(rows(school)).lower()
    assert "x9" not in str(rows(school))
    with school.state.database.read() as connection:
        assert connection.execute(select(AccountConsent)).first() is None
    assert gone(school, "@ada:sim", "@bob:sim") == {"@ada:sim"}
    assert seat(school, person("ada")) == "@ada-2:sim"
    assert seat(school, Person("7", "ada", "Ada", external_id="x9")) == "@ada-3:sim"


def test_the_account_at_rest_is_taken_too(school: Site) -> None:
    seat(school, person("ada"))
    with school.state.database.write() as connection:
        assert link(connection, SIM, "ada", "@mine:sim", server="sim")
    forget(school, "ada")
    assert gone(school, "@ada:sim", "@mine:sim") == {"@ada:sim", "@mine:sim"}


def test_who_was_deleted_before_can_be_erased_and_nobody_with_a_like_id_is(school: Site) -> None:
    for one in ("7", "a:7", "17"):
        seat(school, Person(one, f"n{one}", "N"))
    with school.app.app_context():
        for one in ("7", "a:7"):
            school.comm.person_deleted(one)
        school.db.session.commit()
    from commweb.sync.changes import fold

    fold(school.state)
    assert forget(school, "7") == 1
    assert len([row for row in rows(school) if row.person_id.startswith(ERASED)]) == 1
    assert forget(school, "7") == 0
    assert forget(school, "a:7") == 1
    assert [row.person_id for row in rows(school) if not row.retired_at] == ["17"]


@pytest.mark.parametrize("old_keys_kept", [True, False])
def test_the_hashes_stay_good_when_the_keys_are_changed(school: Site, old_keys_kept: bool) -> None:
    seat(school, person("ada"))
    forget(school, "ada")
    old = school.state.config.secret_keys[0]
    new = Fernet.generate_key().decode()
    object.__setattr__(school.state, "sealer", Sealer([new, old]))
    rekey(school.state)
    keys = [new, old] if old_keys_kept else [new]
    object.__setattr__(school.state, "sealer", Sealer(keys))
    assert gone(school, "@ada:sim") == {"@ada:sim"}
    assert seat(school, person("ada")) == "@ada-2:sim"


def test_without_the_key_nobody_gets_a_name_that_may_be_taken(school: Site) -> None:
    seat(school, person("ada"))
    forget(school, "ada")
    with pytest.raises(EncryptionError):
        seat(school, person("ada"), Sealer([Fernet.generate_key().decode()]))


def test_a_proof_is_stronger_and_a_claim_is_not(school: Site) -> None:
    seat(school, person("ada"))
    forget(school, "ada")
    with school.state.database.write() as connection:
        row = {"provider": SIM, "server_name": "sim", "person_id": "eve", "display_name": ""}
        connection.execute(insert(Account).values(**row, remote_user_id="@ada:sim", origin=CLAIM))
    assert seat(school, Person("eve", "eve", "Eve")) == "@eve:sim"
    with school.state.database.write() as connection:
        assert link(connection, SIM, "bob", "@ada:sim", server="sim")
    assert seat(school, person("bob")) == "@ada:sim"
