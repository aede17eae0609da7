"""Another server: everything is asked for anew there, and what is on the first one rests."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select, update

from commweb.accounts import account_of
from commweb.errors import AnotherServer, Unreachable
from commweb.models import Account, Change, RoomRow
from commweb.models import Connection as Row
from commweb.servers import elsewhere, require_connected
from commweb.sync.records import due
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def provider(server: SimulatedServer) -> SimulatedProvider:
    return SimulatedProvider(server)


@pytest.fixture
def school(tmp_path: Path, provider: SimulatedProvider, database_url: str) -> Iterator[Site]:
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        connect(made, "sim")
        made.campus.add("1", teacher("ada"), student("bob"))
        with made.app.app_context():
            made.comm.course_created("1")
            made.db.session.commit()
        work(made)
        yield made


def connect(school: Site, name: str, access: str = "a token", **more: bool) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {}, access_token=access, user_id=f"@bot:{name}", **more)


def move(school: Site, provider: SimulatedProvider, server: SimulatedServer) -> None:
    provider.server = server
    connect(school, server.name, allow_new_server=True)


def work(school: Site) -> int:
    return Worker(school.state).work()


def rows(school: Site) -> dict[str, RoomRow]:
    """The rows of the course, by the server they are on."""
    with school.app.app_context():
        found = school.db.session.execute(select(RoomRow)).scalars().all()
        school.db.session.expunge_all()
        return {row.server_name: row for row in found}


def accounts(school: Site) -> set[tuple[str, str, str]]:
    with school.state.database.read() as connection:
        query = select(Account.server_name, Account.person_id, Account.remote_user_id)
        return {tuple(row) for row in connection.execute(query)}


def inside(server: SimulatedServer) -> set[str]:
    (room,) = server.rooms.values()
    return people(room)


def people(room: SimulatedRoom) -> set[str]:
    """Who is in, by name: the simulated server's accounts are all called alike."""
    return {
        key.removeprefix("@").partition(":")[0]
        for key, member in room.members.items()
        if member.membership == "join" and not key.startswith("@bot:")
    }


def test_rooms_and_accounts_bear_the_name_of_the_server_they_are_on(school: Site) -> None:
    assert set(rows(school)) == {"sim"}
    assert accounts(school) == {("sim", "ada", "@ada:sim"), ("sim", "bob", "@bob:sim")}


def test_tokens_of_another_server_are_refused_with_the_numbers(school: Site) -> None:
    with pytest.raises(AnotherServer, match="2 accounts are on sim") as caught:
        connect(school, "new")
    assert (caught.value.rooms, caught.value.accounts) == (1, 2)
    session = school.state.tokens(school.state.registry.get("simulated")).read()
    assert session is not None
    assert session.user_id == "@bot:sim"
    assert rows(school)["sim"].wanted


def test_everybody_is_in_the_new_rooms_of_a_confirmed_server_and_still_in_the_old(
    school: Site, provider: SimulatedProvider, server: SimulatedServer
) -> None:
    new = SimulatedServer(name="new")
    move(school, provider, new)
    before = list(server.calls)
    work(school)
    assert inside(new) == {"ada", "bob"}
    assert inside(server) == {"ada", "bob"}
    assert server.calls == before
    kept = rows(school)
    assert set(kept) == {"sim", "new"}
    assert (kept["sim"].wanted, kept["sim"].status) == (False, "off")
    assert kept["sim"].synced_revision == kept["sim"].revision
    assert "This room is on sim." in (kept["sim"].reason or "")
    assert kept["new"].status == "ready"


def test_going_back_finds_the_old_room_and_brings_it_up_to_date(
    school: Site, provider: SimulatedProvider, server: SimulatedServer
) -> None:
    move(school, provider, SimulatedServer(name="new"))
    work(school)
    school.campus.add("1", teacher("ada"), student("cyd"))
    move(school, provider, server)
    work(school)
    assert inside(server) == {"ada", "cyd"}
    kept = rows(school)
    assert (kept["sim"].wanted, kept["sim"].status, kept["sim"].reason) == (True, "ready", None)
    assert not kept["new"].wanted
    assert len(server.rooms) == 1


def test_a_course_that_ended_meanwhile_loses_its_old_room_when_its_server_is_back(
    school: Site, provider: SimulatedProvider, server: SimulatedServer
) -> None:
    move(school, provider, SimulatedServer(name="new"))
    work(school)
    del school.campus.course_table["1"]
    with school.app.app_context():
        school.comm.course_deleted("1")
        school.db.session.commit()
    work(school)
    move(school, provider, server)
    work(school)
    kept = rows(school)["sim"]
    assert not kept.wanted
    assert kept.status in ("off", "held")
    assert inside(server) == set() or kept.status == "held"


def test_a_room_of_another_server_is_never_worked_on(
    school: Site, provider: SimulatedProvider, server: SimulatedServer
) -> None:
    move(school, provider, SimulatedServer(name="new"))
    work(school)
    with school.state.database.write() as connection:
        connection.execute(
            update(RoomRow)
            .where(RoomRow.server_name == "sim")
            .values(revision=RoomRow.revision + 1, wanted=True)
        )
        assert due(connection, ["simulated"]) == 0
    assert work(school) == 0


def test_a_run_on_the_old_server_writes_nothing_for_the_new_one(
    school: Site, provider: SimulatedProvider
) -> None:
    move(school, provider, SimulatedServer(name="new"))
    with school.state.database.write() as connection:
        with pytest.raises(Unreachable, match="changed meanwhile"):
            require_connected(connection, "simulated", "sim")
        require_connected(connection, "simulated", "new")
        assert account_of(connection, "simulated", "ada") is None


def test_rows_from_before_the_name_was_known_are_on_the_server_that_is_there(
    school: Site, server: SimulatedServer
) -> None:
    with school.state.database.write() as connection:
        for model in (RoomRow, Account):
            connection.execute(update(model).values(server_name=""))
        connection.execute(update(Row).values(server_name=None, user_id=None))
    school.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    work(school)
    assert set(rows(school)) == {""}
    tokens = school.state.tokens(school.state.registry.get("simulated"))
    tokens.set_identity(1, "@bot:sim", "sim")
    assert set(rows(school)) == {"sim"}
    assert {name for name, _person, _remote in accounts(school)} == {"sim"}
    assert inside(server) == {"ada", "bob", "cyd"}
    assert work(school) == 0


def test_a_session_that_turns_out_to_be_of_another_server_is_not_used(school: Site) -> None:
    with school.app.app_context():
        school.comm.configure("simulated", {}, access_token="of nobody known")
    tokens = school.state.tokens(school.state.registry.get("simulated"))
    session = tokens.read()
    assert session is not None
    assert (session.user_id, session.server_name) == (None, "sim")
    tokens.set_identity(session.generation, "@bot:new", "new")
    session = tokens.read()
    assert session is not None
    assert session.state == "sign_in_needed"
    assert "1 room and 2 accounts are on sim." in (session.reason or "")
    assert rows(school)["sim"].wanted


def test_clearing_the_tokens_keeps_the_name_of_the_server_the_rooms_are_on(school: Site) -> None:
    tokens = school.state.tokens(school.state.registry.get("simulated"))
    with school.state.database.write() as connection:
        tokens.clear(connection)
    with pytest.raises(AnotherServer):
        connect(school, "new")
    connect(school, "sim")


def test_without_rooms_or_accounts_another_server_needs_no_question(
    tmp_path: Path, provider: SimulatedProvider
) -> None:
    with switched_on(tmp_path, provider) as made:
        connect(made, "localhost")
        connect(made, "new")
        session = made.state.tokens(provider).read()
        assert session is not None
        assert session.server_name == "new"


def test_what_is_said_names_both_servers_and_counts_what_is_on_the_old(school: Site) -> None:
    with school.state.database.write() as connection:
        connection.execute(
            update(Account).where(Account.person_id == "bob").values(origin="linked")
        )
        found = elsewhere(connection, "simulated", "sim", "new")
        assert elsewhere(connection, "simulated", "sim", "sim") is None
    assert found is not None
    assert [str(one) for one in found.sentences()] == [
        "1 room and 1 account are on sim.",
        "They will be created anew on new.",
        "The old rooms stay as they are.",
        "1 person linked an account there and has to link one on new.",
    ]
    assert replace(found, linked=0).sentences()[-1] == "The old rooms stay as they are."


def test_every_course_is_reported_when_the_server_changes(
    school: Site, provider: SimulatedProvider
) -> None:
    move(school, provider, SimulatedServer(name="new"))
    with school.state.database.read() as connection:
        reported = connection.execute(select(Change.course_id, Change.kind)).all()
    assert [tuple(row) for row in reported] == [("1", "course")]
