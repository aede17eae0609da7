"""``flask commweb ...``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import Result
from sqlalchemy import update

from commweb.errors import Unreachable
from commweb.models import RoomRow
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        with made.app.app_context():
            made.campus.add("1", teacher("ada"), student("bob"))
        yield made


def run(school: Site, *words: str) -> Result:
    return school.app.test_cli_runner().invoke(args=["commweb", *words])


def test_sync_makes_the_rooms_of_courses_that_chose_one(
    school: Site, server: SimulatedServer
) -> None:
    assert run(school, "backfill").output == "1 course.\n"
    result = run(school, "sync", "--json")
    assert result.exit_code == 0
    assert json.loads(result.output)["unfinished"] == []
    assert len(server.rooms) == 1


def test_sync_that_cannot_finish_says_what_and_exits_with_one(
    school: Site, server: SimulatedServer
) -> None:
    run(school, "backfill")
    server.faults = [Unreachable("The homeserver does not answer.")]
    server.answering = False
    result = run(school, "sync")
    assert result.exit_code == 1
    assert "The homeserver does not answer." in result.output


def test_plan_says_what_would_be_done_and_does_nothing(
    school: Site, server: SimulatedServer
) -> None:
    run(school, "backfill")
    run(school, "sync")
    school.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
    before = [dict(room.members) for room in server.rooms.values()]
    result = run(school, "plan")
    assert result.exit_code == 0
    assert "course 1: Make sure Cyd has an account; Add Cyd" in result.output
    assert [dict(room.members) for room in server.rooms.values()] == before


def test_a_held_room_is_confirmed_with_a_flag(school: Site, server: SimulatedServer) -> None:
    run(school, "backfill")
    run(school, "sync")
    school.campus.add("1")
    assert run(school, "sync").exit_code == 1
    assert run(school, "sync", "--confirm").exit_code == 0
    (room,) = server.rooms.values()
    assert room.members["@bob:sim"].membership == "leave"


def test_a_dry_run_of_backfill_counts_only(school: Site) -> None:
    assert json.loads(run(school, "backfill", "--dry-run", "--json").output) == {
        "courses": 1,
        "dry_run": True,
    }
    assert run(school, "backfill", "--dry-run").output == "1 course.\n"


def test_wrong_use_exits_with_two(school: Site) -> None:
    assert run(school, "check", "--provider", "smoke").exit_code == 2
    assert run(school, "dance").exit_code == 2


def test_upgrade_can_be_repeated(school: Site) -> None:
    assert run(school, "upgrade").exit_code == 0


def test_rooms_that_are_gone_are_counted_and_created_anew_by_a_flag(school: Site) -> None:
    run(school, "backfill")
    run(school, "sync")
    assert run(school, "gone").output == "0 rooms.\n"
    values = {"status": "held", "held_kind": "room_gone", "held_people": ["*gone"]}
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).values(**values))
    assert run(school, "gone").output == "1 room.\n"
    created = json.loads(run(school, "gone", "--create-anew", "--json").output)
    assert created == {"rooms": 1, "created_anew": True}
    assert run(school, "gone").output == "0 rooms.\n"
