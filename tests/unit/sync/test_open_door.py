"""Filling a new room with its door open: the door is closed after, whatever happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.errors import Unreachable
from commweb.settings import Setting
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher


class FastProvider(SimulatedProvider):
    settings = (Setting("fast_fill", True),)


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, FastProvider(server)) as made:
        made.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
        yield made


def work(school: Site, *, new: bool = False) -> None:
    with school.app.app_context():
        if new:
            school.comm.course_created("1", provider="simulated")
        else:
            school.comm.course_changed("1")
        school.db.session.commit()
    Worker(school.state).work()


def the_room(server: SimulatedServer) -> SimulatedRoom:
    (room,) = server.rooms.values()
    return room


def test_the_door_is_closed_when_everybody_is_in(school: Site, server: SimulatedServer) -> None:
    work(school, new=True)
    assert server.calls[0] == "create"
    assert server.calls[-1] == "close_door"
    assert not the_room(server).open_door
    assert len(the_room(server).members) == 4


def interrupt(school: Site, server: SimulatedServer) -> None:
    """The line breaks while the second person joins: the door stays open."""
    server.faults, server.answering = [None, None, None, None, Unreachable("No answer.")], False
    work(school, new=True)
    server.answering = True
    assert the_room(server).open_door
    server.calls.clear()


def test_a_door_that_was_left_open_is_closed_before_anything_else(
    school: Site, server: SimulatedServer
) -> None:
    interrupt(school, server)
    work(school)
    assert server.calls[:2] == ["observe", "close_door"]
    assert not the_room(server).open_door
    assert len(the_room(server).members) == 4


def test_a_room_that_is_held_is_not_left_open(school: Site, server: SimulatedServer) -> None:
    interrupt(school, server)
    school.campus.add("1")
    work(school)
    assert server.calls == ["observe", "close_door"]
    assert not the_room(server).open_door
