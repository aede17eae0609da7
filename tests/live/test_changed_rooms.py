"""Rooms that people changed in the chat, and parts of a real Synapse that fail."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from commweb import CourseImage, Member, Role
from commweb.site.homeserver import Homeserver
from tests.live.conftest import AdminSession
from tests.live.watched import BOT, COURSE, Watched, watched
from tests.sites import person, student, teacher

MakeHomeserver = Callable[..., Homeserver]
SignIn = Callable[[Homeserver], AdminSession]


@pytest.fixture
def school(
    tmp_path: Path,
    homeserver: Homeserver,
    sign_in: SignIn,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Watched]:
    lift_limits(homeserver)
    with watched(tmp_path, homeserver, sign_in) as made:
        yield made


def test_who_was_removed_and_is_invited_again_in_the_chat_is_removed_and_guests_stay(
    school: Watched, unique: str
) -> None:
    anna, ben, tina, guest = (f"{unique}-{name}" for name in ("anna", "ben", "tina", "guest"))
    school.site.campus.add(COURSE, teacher(tina), student(anna), student(ben))
    school.sync(kind="course_created")
    school.server.ensure_people([(guest, "A Guest")], unique)
    student_client, teacher_client = school.chatter(anna), school.chatter(tina)
    ben_id, guest_id = school.server.user_id(ben), school.server.user_id(guest)
    assert (
        student_client.room(school.room_id, "POST", "invite", user_id=guest_id).status_code == 403
    )
    assert teacher_client.room(school.room_id, "POST", "invite", user_id=guest_id).ok
    school.site.campus.add(COURSE, teacher(tina), student(anna))
    school.sync()
    assert school.inside() == {anna, tina, guest}
    assert teacher_client.room(school.room_id, "POST", "invite", user_id=ben_id).ok
    school.sync()
    assert school.inside() == {anna, tina, guest}
    assert guest_id in str(school.row.guests)
    assert school.server.user_id(tina) in str(school.row.guests)


def test_who_may_write_is_put_back_to_what_it_was_when_the_course_is_shown_again(
    school: Watched, unique: str
) -> None:
    name = f"{unique}-anna"
    school.site.campus.add(COURSE, student(name))
    school.sync(kind="course_created")
    school.set_levels(events_default=50)
    school.sync()
    course = school.site.campus.course_table[COURSE]
    for visible in (False, True):
        school.site.campus.course_table[COURSE] = replace(course, visible=visible)
        school.sync()
    assert school.content("m.room.power_levels")["events_default"] == 50


def test_a_picture_that_cannot_be_stored_keeps_nobody_in_and_nobody_out(
    tmp_path: Path,
    make_homeserver: MakeHomeserver,
    sign_in: SignIn,
    lift_limits: Callable[[Homeserver], None],
) -> None:
    server = make_homeserver()
    lift_limits(server)
    (tmp_path / "site").mkdir()
    with watched(tmp_path / "site", server, sign_in) as school:
        campus = school.site.campus
        campus.add(COURSE, student("anna"), student("ben"))
        school.sync(kind="course_created")
        blocked = server.folder / "media" / "local_content"
        blocked.parent.mkdir(exist_ok=True)
        blocked.write_text("a file where Synapse wants a folder")
        data = b"\x89PNG\r\n\x1a\n" + bytes(60)
        campus.add(COURSE, student("anna"), student("dora"))
        picture = CourseImage("image/png", hashlib.sha256(data).hexdigest(), lambda: data)
        campus.course_table[COURSE] = replace(campus.course_table[COURSE], image=picture)
        school.sync()
        assert school.inside() == {"anna", "dora"}
        assert school.row.status == "ready"
        assert school.row.undone == ["picture"]
        blocked.unlink()
        school.sync()
        assert school.content("m.room.avatar")["url"].startswith("mxc://localhost/")
        assert (school.row.undone, school.row.reason) == ([], None)


def test_an_upgraded_room_is_followed_when_its_teacher_invites_the_sites_account(
    tmp_path: Path,
    make_homeserver: MakeHomeserver,
    sign_in: SignIn,
    lift_limits: Callable[[Homeserver], None],
) -> None:
    server = make_homeserver(config={"default_room_version": "10"})
    lift_limits(server)
    (tmp_path / "site").mkdir()
    with watched(tmp_path / "site", server, sign_in) as school:
        school.site.campus.add(COURSE, teacher("tina"), student("anna"))
        school.sync(kind="course_created")
        tina, old = school.chatter("tina"), school.room_id
        school.level(tina.user_id, 100)
        upgraded = tina.room(old, "POST", "upgrade", new_version="11")
        new = upgraded.json()["replacement_room"]
        school.sync()
        assert school.room_id == old
        assert str(school.row.reason)
        assert tina.room(new, "POST", "invite", user_id=BOT).ok
        school.sync()
        school.sync()
        assert school.room_id == new
        assert school.inside() == {"tina", "anna"}
        # Who leaves the course leaves the old room too.
        school.site.campus.add(COURSE, teacher("tina"))
        school.sync()
        assert school.inside() == {"tina"}
        assert "@anna:localhost" not in school.eyes.room(old).joined


def test_a_dead_homeserver_of_one_person_keeps_nobody_else_in_or_out(
    tmp_path: Path,
    make_homeserver: MakeHomeserver,
    sign_in: SignIn,
    lift_limits: Callable[[Homeserver], None],
) -> None:
    # Nothing listens on port 9; Synapse tries it and answers 502 for the person.
    dead = "127.0.0.1:9"
    server = make_homeserver(
        config={
            "federation_domain_whitelist": [dead],
            "ip_range_whitelist": ["127.0.0.1"],
            "federation": {"max_short_retries": 0, "max_long_retries": 0},
        }
    )
    lift_limits(server)
    (tmp_path / "site").mkdir()
    with watched(tmp_path / "site", server, sign_in, federate=True) as school:
        campus = school.site.campus
        campus.add(COURSE, teacher("tina"), student("ben"))
        school.sync(kind="course_created")
        far = Member(person("aaron", accounts={"matrix": f"@aaron:{dead}"}), Role.PARTICIPANT)
        campus.add(COURSE, far, teacher("tina"), student("zoe"))
        school.sync()
        assert school.inside() == {"tina", "zoe"}
        state, reason = school.states()["aaron"]
        assert state != "in"
        assert dead in reason
