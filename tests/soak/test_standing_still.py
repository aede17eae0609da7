"""A homeserver or a worker that stands still for minutes, with acts on their way."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from sqlalchemy import select

from commweb.site import comm, db
from commweb.site.models import Course, Enrolment, Role, User
from tests.live.crew import wait_until
from tests.live.fault_proxy import Fault
from tests.soak.test_faults import tell
from tests.soak.world import World, world

JOIN = "POST .*/v1/join/"
ACTS = (JOIN, "POST .*/createRoom", "POST .*/kick", "DELETE .*/v2/rooms/")
SUSPENDED = 125.0
"""Seconds: twice a lease."""


def enrol_again(soak: World, course_name: str, username: str) -> None:
    with soak.app.app_context():
        course = db.session.scalars(select(Course).where(Course.full_name == course_name)).one()
        user = db.session.scalars(select(User).where(User.username == username)).one()
        db.session.add(Enrolment(course_id=course.id, user_id=user.id, role=Role.STUDENT))
        comm.course_changed(str(course.id))
        db.session.commit()


def delete_course(soak: World, course_name: str) -> None:
    with soak.app.app_context():
        course = db.session.scalars(select(Course).where(Course.full_name == course_name)).one()
        comm.course_deleted(str(course.id))
        db.session.delete(course)
        db.session.commit()


@pytest.mark.parametrize("seconds", [95, 130, 200])
def test_what_was_on_its_way_when_the_homeserver_stood_still_is_put_right(
    tmp_path: Path, seconds: int
) -> None:
    with world(tmp_path, lifetime="1m", workers=1, seed=seconds) as soak:
        with soak.app.app_context():
            comm.configure("matrix", {"closing_rule": "delete_room"})
        soak.people(20)
        joining, leaving, going, resting = (soak.new_course() for _number in range(4))
        soak.wait_until_quiet(120)
        # Each act waits for the others; then the homeserver stands still, and they are sent.
        all_there = threading.Barrier(len(ACTS), action=soak.freeze_homeserver)
        acts = [Fault("passed on", act, first=lambda: all_there.wait(25)) for act in ACTS]
        soak.proxy.script(*acts)
        soak.enrol_new_person(joining, "newcomer")
        gone = soak.unenrol_somebody(leaving)
        delete_course(soak, going)
        new = soak.new_course()
        wait_until("all acts are on their way", lambda: not soak.proxy.waiting(), 30)
        wait_until("it stands still", lambda: all_there.n_waiting == 0, 30)
        assert not all_there.broken
        began = time.monotonic()
        soak.unenrol(joining, ["newcomer"])
        enrol_again(soak, leaving, gone)
        delete_course(soak, new)
        soak.unenrol_somebody(resting)
        threading.Event().wait(seconds - (time.monotonic() - began))
        soak.thaw_homeserver()
        thawed = time.monotonic()
        soak.wait_until_quiet(400)
        wait_until("all is equal", lambda: not soak.differences(), 180)
        equal = round(time.monotonic() - thawed, 1)
        # Nothing comes afterwards.
        threading.Event().wait(65)
        soak.wait_until_quiet(120)
        differences, state = soak.differences(), soak.session_state()
        tell(
            f"stood still for {seconds} s",
            differences=differences,
            session=state,
            seconds_to_all_equal=equal,
        )
        assert (differences, state) == ([], "ok")


@pytest.mark.parametrize("at", ["GET .*/v2/users/", "PUT .*/v2/users/"])
def test_a_worker_that_was_suspended_past_its_lease_puts_nobody_back(
    tmp_path: Path, at: str
) -> None:
    newcomers = [f"newcomer{number}" for number in range(12)]
    with world(tmp_path, lifetime="5m", workers=1, seed=60) as soak:
        soak.people(20)
        course = soak.new_course()
        soak.wait_until_quiet(120)
        (suspended,) = soak.workers
        # In the middle: some are inside, and the next one's account is looked for or created.
        third = Fault("passed on", at, first=lambda: soak.pause(suspended))
        soak.proxy.script(Fault("passed on", at, 2), third)
        soak.enrol_new_people(course, newcomers)
        wait_until("it is suspended", third.over.is_set, 60)
        soak.unenrol(course, newcomers)
        soak.start_worker()
        began = time.monotonic()
        threading.Event().wait(SUSPENDED)
        soak.wait_until_quiet(120)
        assert soak.differences() == []
        joins = soak.proxy.count(JOIN)
        soak.go_on(suspended)
        threading.Event().wait(10)
        more = soak.proxy.count(JOIN) - joins
        soak.wait_until_quiet(200)
        differences = soak.differences()
        tell(
            f"worker suspended at {at[:3]}",
            seconds=round(time.monotonic() - began),
            people_let_in_afterwards=more,
            differences=differences,
            session=soak.session_state(),
        )
        assert (more, differences, soak.session_state()) == (0, [], "ok")
