"""Who may invite people to rooms: by the levels of the settings, in new rooms and old ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.settings import Setting
from commweb.sync.once import plans
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import student, switched_on, teacher
from tests.unit.sync.engine import Course

SIM = "simulated"


class WithLevels(SimulatedProvider):
    settings = (
        Setting("who_may_invite", "moderators"),
        Setting("level_student", 0),
        Setting("level_teacher", 50),
        Setting("level_admin", 50),
    )
    reapplied = ("who_may_invite", "level_teacher")


@pytest.fixture
def course(tmp_path: Path, server: SimulatedServer) -> Iterator[Course]:
    with switched_on(tmp_path, WithLevels(server)) as made:
        yield Course(made, server)


def choose(course: Course, **values: str | int) -> None:
    with course.site.app.app_context():
        course.site.comm.configure(SIM, values)


def planned(course: Course) -> list[str]:
    with course.site.app.app_context():
        (room,) = plans(course.site.state, ())
    return list(room["actions"])


@pytest.mark.parametrize(
    ("teachers", "needed"), [(50, 50), (51, 50), (100, 50), (49, 49), (30, 30), (1, 1), (0, 1)]
)
def test_inviting_needs_the_lower_of_50_and_the_teachers_level_and_at_least_1(
    course: Course, teachers: int, needed: int
) -> None:
    choose(course, level_teacher=teachers)
    course.create(teacher("ada"), student("bob"))
    assert course.room.invite_level == needed


def test_an_old_room_in_which_everybody_invites_is_shown_in_the_plan_and_then_changed(
    course: Course,
) -> None:
    course.create(teacher("ada"), student("bob"))
    course.room.invite_level = 0
    course.set(intended={})
    assert planned(course) == ["Let only moderators invite people"]
    assert course.room.invite_level == 0
    course.sync()
    assert course.room.invite_level == 50
    assert planned(course) == []


def test_the_setting_reaches_rooms_there_and_back(course: Course) -> None:
    choose(course, who_may_invite="everybody")
    course.create(teacher("ada"), student("bob"))
    assert course.room.invite_level == 0
    for chosen, needed in (("moderators", 50), ("everybody", 0), ("moderators", 50)):
        choose(course, who_may_invite=chosen)
        course.work()
        assert course.room.invite_level == needed
        assert planned(course) == []


def test_what_somebody_chose_in_the_chat_is_kept_and_said(course: Course) -> None:
    course.create(teacher("ada"), student("bob"))
    course.room.invite_level = 100
    course.sync()
    assert course.room.invite_level == 100
    assert course.row.reason == "Who may invite was changed in the chat."
