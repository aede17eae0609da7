"""The JSON web service for a course's room."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from commweb.models import Connection, FoldRow, RoomRow
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on, teacher

URL = "/communication/api/v1/courses/1/room"


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(SimulatedServer())) as made:
        made.campus.add("1", teacher("ada"), student("bob"))
        yield made


def ask(school: Site, name: str | None, url: str = URL) -> tuple[int, dict[str, object]]:
    headers = {"X-Person": name} if name else {}
    reply = school.app.test_client().get(url, headers=headers)
    return reply.status_code, reply.get_json()


def make_room(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_created("1")
        school.db.session.commit()
    Worker(school.state).work()


def test_nobody_gets_a_problem_and_no_redirect(school: Site) -> None:
    reply = school.app.test_client().get(URL)
    assert reply.status_code == 401
    assert reply.content_type == "application/problem+json"


def test_somebody_who_is_not_in_the_course_is_refused(school: Site) -> None:
    assert ask(school, "eve")[0] == 403


def test_an_unknown_course_is_not_found_for_an_admin(school: Site) -> None:
    assert ask(school, "admin", URL.replace("1/room", "99/room"))[0] == 404


def test_no_room_wanted_reads_as_null(school: Site) -> None:
    status, told = ask(school, "ada")
    assert (status, told["status"], told["rooms"]) == (200, None, [])


def test_a_room_that_was_asked_for_is_pending_before_the_worker_saw_it(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_created("1")
        school.db.session.commit()
    told = ask(school, "ada")[1]
    assert told["status"] == "pending"
    assert told["message"] == "Your Simulated room will be ready soon."


def test_a_ready_room_tells_its_id_its_url_and_its_people(school: Site) -> None:
    make_room(school)
    told = ask(school, "ada")[1]
    assert told["status"] == "ready"
    assert told["message"] == "Your Simulated room is ready."
    assert told["url"] == f"https://chat.example/#/room/{told['remote_id']}"
    assert (told["members"], told["expected"]) == (2, 2)


@pytest.mark.parametrize("status", ["ready", "read_only", "held"])
def test_what_could_not_be_done_for_others_is_told_to_teachers_only(
    school: Site, status: str
) -> None:
    make_room(school)
    reason = "@bob:sim cannot be removed."
    with school.state.database.write() as connection:
        values = {"status": status, "reason": reason, "undone": ["person:bob"]}
        connection.execute(update(RoomRow).values(**values))
    assert reason in str(ask(school, "ada")[1])
    told = ask(school, "bob")[1]
    assert told["status"] in ("ready", "read_only")
    assert "@bob:sim" not in str(told)
    assert told["reason"] is None


def test_while_the_subsystem_is_off_it_is_not_found(school: Site) -> None:
    with school.app.app_context():
        school.comm.set_enabled(False)
    assert ask(school, "ada")[0] == 404


def test_health_and_readiness_answer_without_a_person(school: Site) -> None:
    assert ask(school, None, "/communication/api/healthz") == (200, {"status": "ok"})
    assert ask(school, None, "/communication/api/readyz") == (200, {"status": "ok"})


def test_readiness_names_what_is_stopped_and_how_much_waits_but_nobody(school: Site) -> None:
    make_room(school)
    trouble = {"trouble_code": "suspended", "trouble": "@bot:sim is suspended."}
    with school.state.database.write() as connection:
        connection.execute(insert(Connection).values(provider="simulated", **trouble))
        connection.execute(insert(FoldRow).values(course_id="9", failures=2, reason="No answer."))
        connection.execute(update(RoomRow).values(status="held"))
    assert ask(school, None, "/communication/api/readyz") == (
        200,
        {
            "status": "degraded",
            "stopped": {"simulated": "suspended"},
            "courses_failing": 1,
            "rooms_held": 1,
        },
    )
