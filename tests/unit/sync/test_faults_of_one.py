"""A fault of one person or one detail costs that one only, and is tried again by itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from commweb import CourseImage, Member, Role
from commweb.errors import (
    ProviderError,
    ProviderStopped,
    Refused,
    RoomUnsettled,
    Unreachable,
    UserLimitReached,
)
from commweb.models import now
from commweb.providers.rooms import ObservedMember
from commweb.sync.patience import LONGEST_RETRY_SECONDS, retry_seconds
from tests.simulated import SimulatedBackend, SimulatedProvider, SimulatedServer
from tests.sites import Site, person, student, switched_on, teacher
from tests.unit.sync.engine import Course

Trouble = Callable[[Any], ProviderError | None]


class Troubled(SimulatedBackend):
    """Raises what ``server.trouble`` says of a call (its name and action)."""

    def __init__(self, server: SimulatedServer, trouble: dict[str, Trouble]) -> None:
        super().__init__(server)
        self.trouble = trouble

    def _raise(self, name: str, action: Any) -> None:
        found = self.trouble.get(name)
        error = found(action) if found else None
        if error is not None:
            self.server.calls.append(f"{name}!")
            raise error

    def observe(self, room: Any) -> Any:
        self._raise("observe", room)
        return super().observe(room)

    def join(self, room: Any, action: Any) -> None:
        self._raise("join", action)
        super().join(room, action)

    def remove(self, room: Any, action: Any) -> None:
        self._raise("remove", action)
        super().remove(room, action)

    def ensure_account(self, action: Any) -> Any:
        self._raise("ensure_account", action)
        return super().ensure_account(action)

    def upload(self, picture: Any) -> str:
        self._raise("upload", picture)
        return super().upload(picture)

    def set_name(self, room: Any, action: Any) -> None:
        self._raise("set_name", action)
        super().set_name(room, action)

    def set_levels(self, room: Any, action: Any) -> None:
        self._raise("set_levels", action)
        super().set_levels(room, action)


class TroubledProvider(SimulatedProvider):
    def __init__(self, server: SimulatedServer) -> None:
        super().__init__(server)
        self.trouble: dict[str, Trouble] = {}
        self.stopped = False

    def backend(self, context: Any) -> SimulatedBackend:
        return Troubled(self.server, self.trouble)


@pytest.fixture
def server() -> SimulatedServer:
    return SimulatedServer()


@pytest.fixture
def provider(server: SimulatedServer) -> TroubledProvider:
    return TroubledProvider(server)


@pytest.fixture
def school(tmp_path: Path, provider: TroubledProvider) -> Iterator[Site]:
    with switched_on(tmp_path, provider) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"), student("ben"))
    return made


def picture(school: Site, read: Callable[[], bytes] = lambda: b"picture") -> None:
    old = school.campus.course_table["1"]
    image = CourseImage("d1", "image/png", read)
    school.campus.course_table["1"] = replace(old, image=image)


def unreachable(_action: Any) -> ProviderError:
    return Unreachable("The homeserver has a fault (HTTP 500).", status=500)


FAULTS = [
    unreachable,
    lambda _action: Refused("Too large.", status=413),
    lambda _action: Unreachable("127.0.0.1 did not answer within 30 seconds."),
]


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("call", ["upload", "set_name", "set_levels"])
def test_a_detail_that_cannot_be_set_holds_up_nobody(
    course: Course, provider: TroubledProvider, call: str, fault: Trouble
) -> None:
    provider.trouble[call] = fault
    course.site.campus.add("1", teacher("ada"), teacher("dora"), name="Geometry")
    picture(course.site)
    course.report()
    course.work()
    assert course.inside == {"ada", "dora"}
    row = course.row
    assert row.status == "ready"
    assert len(row.undone) == 1
    assert row.reason == str(fault(None))
    assert row.next_attempt_at is not None
    assert now() < row.next_attempt_at <= now() + timedelta(seconds=60)
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert (course.row.undone, course.row.reason) == ([], None)
    assert course.room.name == "Geometry"
    assert course.room.picture_uri is not None
    assert course.room.levels["@dora:sim"] == 50


class Elapsed(BaseException):
    """As libraries for greenlets raise theirs."""


@pytest.mark.parametrize("error", [OSError("the disk is away"), SystemExit(1), Elapsed()])
def test_a_picture_that_the_site_cannot_read_holds_up_nobody(
    course: Course, error: BaseException
) -> None:
    def read() -> bytes:
        raise error

    course.site.campus.add("1", teacher("ada"), student("dora"))
    picture(course.site, read)
    course.report()
    course.work()
    assert course.inside == {"ada", "dora"}
    assert course.row.undone == ["picture"]
    kind = type(error).__name__
    assert course.row.reason == f"The site could not read the picture ({kind})."


@pytest.mark.parametrize("fault", FAULTS)
def test_one_person_who_cannot_come_in_holds_up_nobody(
    course: Course, provider: TroubledProvider, fault: Trouble
) -> None:
    provider.trouble["join"] = lambda action: fault(action) if action.person_id == "bea" else None
    course.enrol(student("abe"), student("bea"), student("cyd"), teacher("ada"))
    assert course.inside == {"abe", "cyd", "ada"}
    assert course.states["bea"] == "failing"
    assert course.reason("bea") == str(fault(None))
    assert course.row.undone == ["person:bea"]
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert "bea" in course.inside
    assert course.row.undone == []


def test_one_person_who_cannot_be_taken_out_holds_up_nobody(
    course: Course, provider: TroubledProvider
) -> None:
    course.enrol(teacher("ada"), student("ben"), student("cyd"), student("dan"))
    provider.trouble["remove"] = lambda action: (
        unreachable(action) if action.person_id == "ben" else None
    )
    course.enrol(teacher("ada"), student("dan"), student("eve"))
    assert course.inside == {"ada", "ben", "dan", "eve"}
    assert course.row.undone == ["person:ben"]
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert course.inside == {"ada", "dan", "eve"}


def test_a_server_that_stopped_answering_ends_the_run(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    provider.trouble["join"] = unreachable
    server.answering = False
    course.enrol(teacher("ada"), student("ben"), student("cyd"), student("dan"))
    assert server.calls.count("join!") == 1
    assert course.states["cyd"] == "adding", "nothing is said of people nobody tried"


def test_after_five_acts_without_an_answer_the_run_ends(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    provider.trouble["join"] = unreachable
    course.enrol(teacher("ada"), *(student(f"p{number}") for number in range(9)))
    assert server.calls.count("join!") == 5
    assert course.row.next_attempt_at is not None


def test_people_of_a_homeserver_that_does_not_answer_wait_and_others_come_in(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    def dead(action: Any) -> ProviderError | None:
        return unreachable(action) if action.remote_user_id.endswith(":dead") else None

    for name in ("abe", "bea", "cyd"):
        server.accounts[f"@{name}:dead"] = name
    provider.trouble["join"] = dead
    away = [
        replace(student(name), person=person(name, accounts={"simulated": f"@{name}:dead"}))
        for name in ("abe", "bea", "cyd")
    ]
    course.enrol(*away, teacher("ada"), student("zoe"))
    assert course.inside == {"ada", "zoe"}, "ben left, and zoe came in after the others"
    assert server.calls.count("join!") == 1
    assert {course.states[name] for name in ("abe", "bea", "cyd")} == {"failing"}
    assert course.row.undone == ["person:abe", "person:bea", "person:cyd"]


def test_a_retry_waits_longer_each_time_but_not_for_something_new() -> None:
    assert [retry_seconds(number) for number in (1, 2, 3)] == [30, 60, 120]
    assert retry_seconds(50) == LONGEST_RETRY_SECONDS


def test_what_fails_again_and_again_is_tried_less_often(
    course: Course, provider: TroubledProvider
) -> None:
    provider.trouble["set_name"] = unreachable
    course.site.campus.add("1", teacher("ada"), student("ben"), name="Geometry")
    course.report()
    course.work()
    for attempts, seconds in ((2, 60), (3, 120)):
        course.time_passes(20_000)
        course.work()
        row = course.row
        assert row.attempts == attempts
        assert row.next_attempt_at is not None
        assert seconds - 5 < (row.next_attempt_at - now()).total_seconds() <= seconds
    provider.trouble["join"] = unreachable
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert course.row.attempts == 1, "something else is tried soon"


def test_a_full_server_lets_nobody_in_and_everybody_out(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    full = "The homeserver has reached its user limit. Ask admin@example.org."
    provider.trouble["ensure_account"] = lambda action: (
        None if action.known else UserLimitReached(full, errcode="M_RESOURCE_LIMIT_EXCEEDED")
    )
    course.site.campus.add("1", teacher("ada"), student("cyd"), student("dan"), name="Geometry")
    course.report()
    course.work()
    assert course.inside == {"ada"}
    assert (course.states["cyd"], course.reason("cyd")) == ("waiting", full)
    assert server.calls.count("ensure_account!") == 1
    assert course.room.name == "Geometry"
    assert (course.row.status, course.row.reason) == ("ready", full)
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert course.inside == {"ada", "cyd", "dan"}


STOPPED = ProviderStopped("The acting account is suspended.", errcode="M_USER_SUSPENDED")


def test_a_stopped_provider_is_booked_on_nobody_and_goes_on_by_itself(
    course: Course, provider: TroubledProvider
) -> None:
    before = course.row
    provider.trouble["join"] = lambda _action: STOPPED
    course.enrol(teacher("ada"), student("ben"), student("ian"))
    assert course.states["ian"] == "adding"
    row = course.row
    assert (row.reason, row.attempts, row.undone, row.status) == (
        before.reason,
        0,
        [],
        before.status,
    )
    assert row.lease is None
    assert row.synced_revision < row.revision
    provider.trouble.clear()
    course.work()
    assert "ian" in course.inside


def test_an_account_the_server_forgot_is_created_again(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    """A homeserver restored from a backup does not know the accounts made since."""

    def forgotten(action: Any) -> ProviderError | None:
        if action.remote_user_id in server.accounts:
            return None
        return Refused("@ben:sim has no account.", status=404, errcode="M_NOT_FOUND")

    provider.trouble["join"] = forgotten
    del server.accounts["@ben:sim"]
    server.made.discard("@ben:sim")
    del course.room.members["@ben:sim"]
    course.sync()
    assert "ben" in course.inside
    assert "@ben:sim" in server.accounts


def test_the_room_itself_is_waited_for(course: Course, provider: TroubledProvider) -> None:
    gone = RoomUnsettled("The acting account is not in the room.", retry_after_seconds=9.0)
    provider.trouble["join"] = lambda _action: gone
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert course.states["cyd"] == "adding"
    assert course.row.reason == "The acting account is not in the room."


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[2]])
def test_an_account_that_cannot_be_asked_about_holds_up_nobody(
    course: Course, provider: TroubledProvider, fault: Trouble
) -> None:
    """Ben went, and nobody knows whether his account was closed."""
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    course.room.members["@ben:sim"] = ObservedMember("leave", by_self=True, by="@ben:sim")
    provider.trouble["ensure_account"] = lambda action: (
        fault(action) if action.remote_user_id == "@ben:sim" else None
    )
    course.enrol(teacher("ada"), student("ben"), student("dan"))
    assert course.inside == {"ada", "dan"}
    assert course.states["cyd"] == "removed"
    assert course.row.undone == ["person:ben"]
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert course.states["ben"] == "left"
    assert course.row.undone == []


@pytest.mark.parametrize("fault", FAULTS)
def test_an_account_that_the_site_names_and_that_cannot_be_asked_about_waits(
    course: Course, provider: TroubledProvider, fault: Trouble
) -> None:
    """Ben goes on with the account that works."""
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    provider.trouble["ensure_account"] = lambda action: (
        fault(action) if action.remote_user_id == "@other:sim" else None
    )
    named = Member(person("ben", accounts={"simulated": "@other:sim"}), Role.PARTICIPANT)
    course.enrol(teacher("ada"), named, student("dan"))
    assert course.inside == {"ada", "ben", "dan"}
    course.server.accounts["@other:sim"] = "Ben"
    provider.trouble.clear()
    course.sync()
    assert course.inside == {"ada", "other", "dan"}


def test_a_server_that_stopped_answering_says_nothing_about_accounts(
    course: Course, provider: TroubledProvider, server: SimulatedServer
) -> None:
    course.enrol(teacher("ada"), student("ben"))
    course.room.members["@ben:sim"] = ObservedMember("leave", by_self=True, by="@ben:sim")
    provider.trouble["ensure_account"] = unreachable
    server.answering = False
    course.enrol(teacher("ada"), student("ben"))
    assert course.states["ben"] == "in"
    assert course.row.undone == []
    assert course.row.synced_revision < course.row.revision


@pytest.mark.parametrize("fault", FAULTS)
def test_a_replaced_room_that_cannot_be_shown_does_not_hold_up_the_one_in_use(
    course: Course, provider: TroubledProvider, server: SimulatedServer, fault: Trouble
) -> None:
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    old = server.new_id()
    server.rooms[old] = replace(course.room, id=old, members=dict(course.room.members))
    course.set(chain=[old])
    provider.trouble["observe"] = lambda room: fault(room) if room.remote_id == old else None
    course.enrol(teacher("ada"), student("ben"), student("dan"))
    assert course.inside == {"ada", "ben", "dan"}
    assert course.row.undone == [f"chain:{old}"]
    assert server.rooms[old].is_in("@cyd:sim")
    provider.trouble.clear()
    course.time_passes(61)
    course.work()
    assert not server.rooms[old].is_in("@cyd:sim")
    assert course.row.undone == []


@pytest.mark.parametrize("error", [SystemExit(1), Elapsed()])
def test_a_provider_that_leaves_costs_one_room_and_not_the_worker(
    course: Course, provider: TroubledProvider, error: BaseException
) -> None:
    provider.trouble["join"] = lambda _action: error  # type: ignore[assignment,return-value]
    course.enrol(teacher("ada"), student("dan"))
    assert course.row.reason == "Unexpected error. See the worker log."
    assert course.row.lease is None
    provider.trouble.clear()
    course.sync()
    assert course.inside == {"ada", "dan"}
