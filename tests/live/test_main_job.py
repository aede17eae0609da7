"""The main job on a real Synapse: a course's room equals the course."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.models import RoomRow
from commweb.site.homeserver import Homeserver
from commweb.sync.worker import Worker
from tests.live.conftest import AdminSession
from tests.sites import Site, person, site, student, teacher
from tests.synapse_eyes import SynapseEyes

ALLOW = {"COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8"}


@pytest.fixture
def school(
    tmp_path: Path,
    admin_session: AdminSession,
    homeserver: Homeserver,
    lift_limits: Callable[[Homeserver], None],
) -> Iterator[Site]:
    lift_limits(homeserver)
    with site(tmp_path, **ALLOW) as made:
        connect(made, admin_session)
        yield made


@pytest.fixture
def eyes(homeserver: Homeserver, admin_session: AdminSession) -> SynapseEyes:
    return SynapseEyes(homeserver)


def connect(school: Site, session: AdminSession) -> None:
    with school.app.app_context():
        school.comm.set_enabled(True)
        school.comm.configure(
            "matrix",
            {"home_server_url": session.base_url, "element_web_url": "https://app.element.io"},
            access_token=session.access_token,
            refresh_token=session.refresh_token,
        )


def work(school: Site, course_id: str, change: Callable[..., None], **more: Any) -> RoomRow:
    with school.app.app_context():
        change(course_id, **more)
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()
    with school.app.app_context():
        row = school.db.session.execute(
            select(RoomRow).where(RoomRow.course_id == course_id)
        ).scalar_one()
        school.db.session.expunge(row)
        return row


def test_a_new_course_gets_its_room_with_people_moderators_name_and_topic(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    ada, bob = f"{unique}-ada", f"{unique}-bob"
    school.campus.add(unique, teacher(ada), student(bob), name="Algebra I")
    row = work(school, unique, school.comm.course_created)
    assert (row.status, row.reason) == ("ready", None)
    seen = eyes.room(row.remote_id or "")
    assert seen.name == "Algebra I"
    assert seen.joined == {"@admin:localhost", f"@{ada}:localhost", f"@{bob}:localhost"}
    assert seen.levels.get(f"@{ada}:localhost") == 50
    assert f"@{bob}:localhost" not in seen.levels
    assert seen.join_rule == "invite"


def test_enrolling_unenrolling_renaming_and_suspending_follow(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    names = [f"{unique}-{letter}" for letter in "abcd"]
    school.campus.add(unique, teacher(names[0]), student(names[1]), student(names[2]))
    work(school, unique, school.comm.course_created)
    school.campus.add(
        unique,
        student(names[0]),
        student(names[1], active=False),
        teacher(names[3]),
        name="Geometry",
    )
    row = work(school, unique, school.comm.course_changed)
    seen = eyes.room(row.remote_id or "")
    assert seen.name == "Geometry"
    inside = {"@admin:localhost", f"@{names[0]}:localhost", f"@{names[3]}:localhost"}
    assert seen.joined == inside
    assert {key: seen.levels[key] for key in seen.levels if unique in key} == {
        f"@{names[3]}:localhost": 50
    }


def test_a_person_who_is_renamed_is_renamed_on_the_homeserver(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    name = f"{unique}-eve"
    school.campus.add(unique, student(name))
    work(school, unique, school.comm.course_created)
    renamed = student(name)
    renamed = type(renamed)(person(name), renamed.role)
    object.__setattr__(renamed.person, "display_name", "Eve the Second")
    school.campus.add(unique, renamed)
    with school.app.app_context():
        school.comm.person_changed(name)
        school.db.session.commit()
    worker = Worker(school.state)
    worker.work()
    worker.close()
    assert eyes.display_name(f"@{name}:localhost") == "Eve the Second"


def test_an_unchanged_room_gets_no_event(school: Site, eyes: SynapseEyes, unique: str) -> None:
    school.campus.add(unique, teacher(f"{unique}-a"), student(f"{unique}-b"))
    row = work(school, unique, school.comm.course_created)
    before = eyes.room(row.remote_id or "").event_ids
    work(school, unique, school.comm.course_changed)
    assert eyes.room(row.remote_id or "").event_ids == before


def test_a_reply_lost_after_create_room_makes_no_second_room(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    school.campus.add(unique, teacher(f"{unique}-a"), name=f"Lost {unique}")
    row = work(school, unique, school.comm.course_created)
    first = row.remote_id
    # As after a reply that never came: the key and the start of the creation are all we have.
    # Meanwhile the course got another name, and with it another word for new aliases.
    school.campus.add(unique, teacher(f"{unique}-a"), name=f"Found {unique}")
    with school.state.database.write() as connection:
        connection.execute(
            update(RoomRow)
            .where(RoomRow.course_id == unique)
            .values(remote_id=None, creation_started_at=row.updated_at)
        )
    row = work(school, unique, school.comm.course_changed)
    assert row.remote_id == first
    assert eyes.rooms_named(f"Found {unique}") == [first]
    assert eyes.rooms_named(f"Lost {unique}") == []


def test_a_room_somebody_deleted_is_made_again(
    school: Site, eyes: SynapseEyes, unique: str
) -> None:
    school.campus.add(unique, teacher(f"{unique}-a"))
    first = work(school, unique, school.comm.course_created).remote_id or ""
    eyes.delete_room(first)
    second = work(school, unique, school.comm.course_changed).remote_id or ""
    assert second != first
    assert f"@{unique}-a:localhost" in eyes.room(second).joined
