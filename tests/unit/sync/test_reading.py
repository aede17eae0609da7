"""Reading a course while the host takes its time."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commweb.errors import HostError, LeaseLost
from commweb.sync.reading import read_course
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Site, student, switched_on


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        made.campus.add("1", student("ada"))
        yield made


def slow(school: Site, seconds: float, error: Exception | None = None) -> None:
    """The host's members take so long to read."""

    def wait() -> None:
        time.sleep(seconds)
        if error is not None:
            raise error

    school.campus.after_members = wait


def test_the_lease_is_kept_while_the_host_is_read_and_not_after(school: Site) -> None:
    beats: list[int] = []
    slow(school, 0.5)
    read = read_course(school.state, "1", lambda: beats.append(1), every=0.1)
    assert [member.person.id for member in read.members] == ["ada"]
    assert 2 <= len(beats) <= 5
    count = len(beats)
    time.sleep(0.3)
    assert len(beats) == count


def test_a_quick_read_beats_not_at_all_and_leaves_no_thread(school: Site) -> None:
    before = threading.active_count()
    read_course(school.state, "1", lambda: pytest.fail("a beat"), every=10)
    assert threading.active_count() == before


@pytest.mark.parametrize("error", [None, ValueError("no members")])
def test_an_answer_that_came_after_the_lease_was_lost_is_not_used(
    school: Site, error: Exception | None
) -> None:
    beats: list[int] = []

    def lost() -> None:
        beats.append(1)
        raise LeaseLost("The lease of room 1 was lost.")

    slow(school, 0.3, error)
    with pytest.raises(LeaseLost):
        read_course(school.state, "1", lost, every=0.05)
    assert beats == [1]


def test_a_bug_of_the_host_is_logged_with_its_place_and_without_its_words(
    school: Site, caplog: pytest.LogCaptureFixture
) -> None:
    slow(school, 0, KeyError("ada@example.org"))
    with pytest.raises(HostError, match="KeyError") as raised:
        read_course(school.state, "1")
    assert "KeyError in test_reading.py, line" in caplog.text
    assert "ada@example.org" not in caplog.text + str(raised.value)
