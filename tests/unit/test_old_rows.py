"""Rows of an older version: after the upgrade everybody keeps the seat they had."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import text

from commweb.migrate import FOLDER
from commweb.names_taken import taken_by_name
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

BEFORE = "0005"


def downgraded(school: Site) -> None:
    """The tables as the older version left them."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    with school.state.database.write() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, BEFORE)
        # An account that was there already was taken for the person of that name.
        connection.execute(
            text("UPDATE commweb_account SET made_user_id = NULL WHERE person_id = 'ben'")
        )


def synced(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_changed("1")
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()


def test_after_the_upgrade_nobody_leaves_and_accounts_taken_by_name_are_listed(
    tmp_path: Path, database_url: str
) -> None:
    server = SimulatedServer()
    provider = SimulatedProvider(server)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as school:
        school.campus.add("1", teacher("tina"), student("anna"), student("ben"))
        with school.app.app_context():
            school.comm.course_created("1")
            school.db.session.commit()
        synced(school)
        (room,) = server.rooms.values()
        before = {name for name in server.accounts if room.is_in(name)}
        assert len(before) == 3
        downgraded(school)
        with school.app.app_context():
            school.comm.upgrade()
        synced(school)
        assert {name for name in server.accounts if room.is_in(name)} == before
        assert len(server.rooms) == 1
        with school.state.database.read() as connection:
            taken = taken_by_name(connection, provider.id, server.name)
        assert [one.person_id for one in taken] == ["ben"]
        # The three of them still follow the course.
        school.campus.add("1", teacher("tina"), student("anna"))
        synced(school)
        inside = {name for name in server.accounts if room.is_in(name)}
        assert {name.partition(":")[0][1:] for name in inside} == {"tina", "anna"}
