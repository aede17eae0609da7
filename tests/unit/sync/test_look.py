"""What a room is believed to be: banned, upgraded, gone, closed in the chat, put back."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import case, delete, insert, select, update

from commweb.models import CourseChoice, MemberRow, RoomRow, now
from commweb.settings import Setting
from commweb.sync.look import DEPARTURES_ASKED
from tests.simulated import OWN, SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.simulated import ObservedMember as Seen
from tests.sites import Site, student, switched_on, teacher
from tests.unit.sync.engine import Course


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server)) as made:
        yield made


@pytest.fixture
def course(school: Site, server: SimulatedServer) -> Course:
    made = Course(school, server)
    made.create(teacher("ada"), student("ben"))
    return made


# The acting account is banned.


def test_a_banned_acting_account_is_said_and_nothing_is_changed(
    course: Course, server: SimulatedServer
) -> None:
    course.room.members[OWN] = Seen("ban", by="@ada:sim")
    server.calls.clear()
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert server.calls == ["observe"]
    row = course.row
    assert row.status == "failing"
    assert row.reason == (
        "@ada:sim banned the site's account @bot:sim from the room. Lift the ban in the chat; "
        "the room is synced again then."
    )
    course.room.members[OWN] = Seen("invite", by="@ada:sim")
    course.sync()
    assert course.inside == {"ada", "ben", "cyd"}
    assert course.row.status == "ready"


# Upgrades.


def upgraded(course: Course, by: str = "@ada:sim", **values: object) -> SimulatedRoom:
    old = course.room
    new = SimulatedRoom("!newer", "", old.name, old.topic, creator=by, made_by=by)
    new.members = {by: Seen("join", by_self=True)}
    new.predecessor, new.levels = old.id, {"@ada:sim": 50}
    old.replaced_by, old.replaced_by_sender = new.id, by
    for name, value in values.items():
        setattr(new, name, value)
    course.server.rooms[new.id] = new
    return new


def test_the_invitation_into_the_room_that_replaces_ours_is_accepted(course: Course) -> None:
    new = upgraded(course)
    new.members[OWN] = Seen("invite", by="@ada:sim")
    new.levels[OWN] = 100
    course.sync()
    row = course.row
    assert (row.remote_id, row.chain, row.made_by_us) == ("!newer", ["!sim1"], False)
    assert course.inside == {"ada", "ben"}
    assert row.status == "ready"


def test_a_room_without_power_for_us_is_left_again(course: Course) -> None:
    new = upgraded(course)
    new.members[OWN] = Seen("invite", by="@ada:sim")
    course.sync()
    assert not new.is_in(OWN)
    assert (course.row.remote_id, course.row.status, course.row.held_kind) == (
        "!sim1",
        "held",
        "upgraded",
    )


@pytest.mark.parametrize(
    "values",
    [
        {"predecessor": None},
        {"predecessor": "!elsewhere"},
        {"made_by": "@somebody:sim"},
    ],
)
def test_an_invitation_into_any_other_room_is_never_accepted(
    course: Course, values: dict[str, object]
) -> None:
    new = upgraded(course, **values)
    new.members[OWN] = Seen("invite", by="@ada:sim")
    new.levels[OWN] = 100
    course.sync()
    assert new.members[OWN].membership == "invite"
    assert course.row.status == "held"


def test_a_room_that_another_course_has_is_not_taken_over(course: Course) -> None:
    new = upgraded(course)
    new.members[OWN] = Seen("join")
    new.levels[OWN] = 100
    with course.site.state.database.write() as connection:
        connection.execute(
            insert(RoomRow).values(
                course_id="2", provider="simulated", remote_id="!newer", synced_revision=1
            )
        )
    course.report()
    course.work()
    with course.site.state.database.read() as connection:
        rows = connection.execute(RoomRow.__table__.select().order_by(RoomRow.id)).all()
    assert [(row.course_id, row.remote_id) for row in rows] == [("1", "!sim1"), ("2", "!newer")]
    assert (rows[0].status, rows[0].held_kind) == ("held", "upgraded")
    assert not new.is_in("@ben:sim")


def test_who_leaves_later_leaves_every_room_of_the_chain(course: Course) -> None:
    old = course.room
    new = upgraded(course)
    new.members[OWN] = Seen("invite", by="@ada:sim")
    new.levels[OWN] = 100
    course.sync()
    course.enrol(teacher("ada"))
    assert not new.is_in("@ben:sim")
    assert not old.is_in("@ben:sim")
    assert old.is_in("@ada:sim")


def test_while_an_upgrade_is_a_question_who_leaves_still_leaves(course: Course) -> None:
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    upgraded(course)
    course.enrol(teacher("ada"), student("ben"))
    assert course.row.held_kind == "upgraded"
    assert course.inside == {"ada", "ben"}


def test_the_room_of_an_upgrade_is_emptied_and_never_deleted(
    school: Site, server: SimulatedServer
) -> None:
    made = Course(school, server)
    made.create(teacher("ada"), student("ben"))
    new = upgraded(made)
    new.members[OWN] = Seen("invite", by="@ada:sim")
    new.levels[OWN] = 100
    made.sync()
    provider = school.state.registry.get("simulated")
    assert provider is not None
    provider.settings = (Setting("closing_rule", "delete_room"),)
    made.set(wanted=False, confirmed_people=["*"])
    with school.state.database.write() as connection:
        connection.execute(update(CourseChoice).values(provider=""))
    made.sync()
    assert "!newer" in server.rooms
    assert not new.is_in("@ben:sim")


# Gone.


def test_one_room_that_is_gone_is_created_anew(course: Course, server: SimulatedServer) -> None:
    server.rooms.clear()
    course.sync()
    assert course.inside == {"ada", "ben"}
    assert course.row.gone_at is not None


def test_a_room_that_was_created_anew_goes_on_counting_after_later_syncs(
    course: Course, server: SimulatedServer
) -> None:
    server.rooms.clear()
    course.sync()
    found = course.row.gone_at
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert course.inside == {"ada", "ben", "cyd"}
    assert course.row.gone_at == found


def test_a_room_held_as_gone_that_answers_again_is_no_longer_counted(
    course: Course, server: SimulatedServer
) -> None:
    others = [
        {"course_id": str(number), "provider": "simulated", "gone_at": now(), "synced_revision": 1}
        for number in range(2, 5)
    ]
    with course.site.state.database.write() as connection:
        connection.execute(insert(RoomRow), others)
    away = dict(server.rooms)
    server.rooms.clear()
    assert synced(course) == ("held", "room_gone", True)
    server.rooms.update(away)
    assert synced(course) == ("ready", "", False)
    assert server.rooms == away, "nothing was created"


def synced(course: Course) -> tuple[str, str, bool]:
    """Course 1 is synced: the status of its room, what it asks, and whether it counts as gone."""
    first = RoomRow.course_id == "1"
    with course.site.state.database.write() as connection:
        again = {"next_attempt_at": None, "revision": RoomRow.revision + 1}
        connection.execute(update(RoomRow).where(first).values(**again))
    course.work()
    with course.site.state.database.read() as connection:
        query = select(RoomRow.status, RoomRow.held_kind, RoomRow.gone_at.is_not(None))
        row = connection.execute(query.where(first)).one()
    return row[0], row[1], row[2]


# Read-only, and back to what it was.


def hide(course: Course, hidden: bool = True) -> None:
    old = course.site.campus.course_table["1"]
    course.site.campus.course_table["1"] = replace(old, visible=not hidden)
    course.report()
    course.work()


@pytest.mark.parametrize("before", [0, 10, 50, 60])
def test_who_may_write_is_put_back_to_what_it_was(course: Course, before: int) -> None:
    course.room.message_level = before
    hide(course)
    assert course.room.read_only
    assert course.row.status == "read_only"
    hide(course, hidden=False)
    assert course.room.message_level == before
    assert course.row.status == "ready"


def test_what_the_chat_says_meanwhile_is_kept(course: Course) -> None:
    hide(course)
    course.room.message_level = 70
    hide(course, hidden=False)
    assert course.room.message_level == 70
    assert course.row.reason == "Posting permissions were changed in the chat."


def test_a_worker_that_is_killed_between_closing_and_writing_it_down_forgets_nothing(
    course: Course,
) -> None:
    course.room.message_level = 10
    hide(course)
    # As it was recorded before the act: what is intended, and what to go back to.
    course.set(read_only=False, intended={"read_only": True})
    hide(course, hidden=False)
    assert course.room.message_level == 10


def test_a_room_hidden_from_the_start_goes_back_to_what_its_server_gave_it(
    school: Site, server: SimulatedServer
) -> None:
    made = Course(school, server)
    school.campus.add("1", teacher("ada"))
    old = school.campus.course_table["1"]
    school.campus.course_table["1"] = replace(old, visible=False)
    made.report("course_created")
    made.work()
    assert made.room.read_only
    assert made.row.open_level == 0


# Inviting.


def test_only_moderators_may_invite_and_what_the_chat_says_later_is_kept(course: Course) -> None:
    assert course.room.invite_level == 50
    course.room.invite_level = 0
    course.sync()
    assert course.room.invite_level == 0
    assert course.row.reason == "Who may invite was changed in the chat."


def test_a_room_of_before_gets_the_level_at_its_next_sync(course: Course) -> None:
    course.room.invite_level = 0
    course.set(intended={})
    course.sync()
    assert course.room.invite_level == 50


# Guests, and who comes back.


def test_guests_are_recorded_with_who_let_them_in(course: Course) -> None:
    course.room.members["@gil:sim"] = Seen("invite", by="@ada:sim")
    course.sync()
    assert course.row.guests == [{"id": "@gil:sim", "by": "@ada:sim"}]
    assert course.row.synced_at is not None


def test_somebody_the_course_removed_is_removed_again_whoever_invited_them(course: Course) -> None:
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    course.enrol(teacher("ada"), student("ben"))
    course.room.members["@cyd:sim"] = Seen("join")
    course.sync()
    assert course.inside == {"ada", "ben"}
    assert course.row.guests == []


def test_unenrolling_and_enrolling_again_brings_back_somebody_who_had_left(course: Course) -> None:
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    course.room.members["@cyd:sim"] = Seen("leave", by_self=True, by="@cyd:sim")
    course.sync()
    assert course.states["cyd"] == "left"
    course.enrol(teacher("ada"), student("ben"))
    course.enrol(teacher("ada"), student("ben"), student("cyd"))
    assert "cyd" in course.inside


def test_an_account_that_was_closed_is_not_said_to_have_left(
    course: Course, server: SimulatedServer
) -> None:
    reason = "The account @ben:sim is deactivated on the homeserver."
    server.unusable["@ben:sim"] = reason
    course.room.members["@ben:sim"] = Seen("leave", by_self=True, by="@ben:sim")
    course.sync()
    assert (course.states["ben"], course.reason("ben")) == ("failing", reason)
    assert course.row.next_attempt_at is not None, "it is asked again without a report"
    server.unusable.clear()
    course.time_passes(61)
    course.work()
    assert "ben" in course.inside


def went_and_closed(course: Course, server: SimulatedServer, *, by_self: bool = True) -> None:
    """Ben went by himself, or his account was deactivated: the room shows the same."""
    server.unusable["@ben:sim"] = "The account @ben:sim is deactivated on the homeserver."
    course.room.members["@ben:sim"] = Seen("leave", by_self=by_self, by="@ben:sim")
    server.calls.clear()


@pytest.mark.parametrize("state", [None, "adding", "in", "waiting", "failing", "removed", "banned"])
def test_an_account_that_left_is_asked_about_before_it_is_joined_and_not_joined_when_closed(
    course: Course, server: SimulatedServer, state: str | None
) -> None:
    went_and_closed(course, server)
    with course.site.state.database.write() as connection:
        ben = MemberRow.person_id == "ben"
        if state is None:
            connection.execute(delete(MemberRow).where(ben))
        else:
            connection.execute(update(MemberRow).where(ben).values(state=state))
    course.sync()
    assert server.calls == ["observe", "ensure_account"]
    assert (course.states["ben"], course.reason("ben")) == (
        "failing",
        server.unusable["@ben:sim"],
    )


@pytest.mark.parametrize("state", ["left", "kicked"])
def test_nobody_asks_about_the_account_of_somebody_who_is_not_joined_anyway(
    course: Course, server: SimulatedServer, state: str
) -> None:
    went_and_closed(course, server)
    with course.site.state.database.write() as connection:
        ben = MemberRow.person_id == "ben"
        connection.execute(update(MemberRow).where(ben).values(state=state))
    course.sync()
    assert "ensure_account" not in server.calls
    assert course.inside == {"ada"}


def test_somebody_a_moderator_took_out_did_not_go_because_an_account_was_closed(
    course: Course, server: SimulatedServer
) -> None:
    went_and_closed(course, server, by_self=False)
    course.sync()
    assert "ensure_account" not in server.calls


@pytest.mark.parametrize(
    ("states", "asked"),
    [
        (("in", "in"), DEPARTURES_ASKED),
        (("in", "failing"), DEPARTURES_ASKED + 1),
        (("failing", "in"), DEPARTURES_ASKED + 1),
        (("failing", "failing"), DEPARTURES_ASKED + 1),
    ],
)
def test_who_is_not_joined_is_asked_about_up_to_a_number_and_who_is_joined_always(
    school: Site, server: SimulatedServer, states: tuple[str, str], asked: int
) -> None:
    made = Course(school, server)
    names = [f"s{number:02}" for number in range(DEPARTURES_ASKED + 1)]
    made.create(teacher("ada"), *map(student, names))
    for name in names:
        made.room.members[f"@{name}:sim"] = Seen("leave", by_self=True, by=f"@{name}:sim")
        server.unusable[f"@{name}:sim"] = "The account is deactivated on the homeserver."
    first, last = states
    state = case((MemberRow.person_id == names[-1], last), else_=first)
    with school.state.database.write() as connection:
        students = MemberRow.person_id != "ada"
        connection.execute(update(MemberRow).where(students).values(state=state))
    server.calls.clear()
    made.sync()
    assert server.calls.count("ensure_account") == asked
    assert made.inside == {"ada"}
