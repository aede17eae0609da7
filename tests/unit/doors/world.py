"""The course site with everything in it, the people who try its doors, and its whole state."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flask import Flask
from jinja2 import StrictUndefined
from sqlalchemy import insert, select
from werkzeug.test import TestResponse

from app import create_app
from commweb.models import Account, AccountProof, CourseChoice, MemberRow, RoomRow, now
from commweb.site import comm, db
from commweb.site.models import Course, Enrolment, Group, GroupMode, Picture, User
from commweb.site.seed import prepare, seed
from tests.unit.doors.homeserver import Homeserver
from tests.unit.doors.planted import (
    ACCESS,
    ADMIN_PASSWORD,
    FIRST_ACCESS,
    PEOPLE_PASSWORD,
    PREVIOUS,
    REFRESH,
)

CHEAP = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}
# Whoever tries a door. The course is Algebra: the stranger teaches elsewhere.
PEOPLE = {
    "nobody": None,
    "stranger": "teacher2",
    "student": "student1",
    "teacher": "teacher1",
    "admin": "admin",
}
ROLES = tuple(PEOPLE)
Dump = dict[str, list[dict[str, Any]]]
# What a second look or a second save may raise without harm: trails, counters and times.
TRAILS = {"commweb_event", "commweb_change", "sqlite_sequence"}
COUNTERS = {
    "version",
    "revision",
    "confirmed_revision",
    "generation",
    "updated_at",
    "updated_by",
    "set_at",
    "expires_at",
    "next_attempt_at",
    "checked_at",
    "login_key",
    "password_hash",
}
# An administrator is in no room that could be tried again.


@dataclass(frozen=True)
class Session:
    """A browser that is logged in (or not), with a CSRF token of its session."""

    cookie: str
    token: str


@dataclass
class World:
    """The site, its folder, who is logged in to it, and the ids of what is in it."""

    app: Flask
    folder: Path
    homeserver: Homeserver
    sessions: dict[str, Session] = field(default_factory=dict)
    ids: dict[str, Any] = field(default_factory=dict)

    @property
    def database(self) -> Path:
        return self.folder / "site.db"

    def ask(
        self,
        role: str,
        method: str,
        path: str,
        data: Mapping[str, Any] | None = None,
        *,
        token: bool = True,
        **options: Any,
    ) -> TestResponse:
        """Send a request as a page of ``role`` would. ``token`` False: without a CSRF token."""
        session = self.sessions[role]
        headers = {"Cookie": session.cookie, **options.pop("headers", {})}
        if method != "GET" and token and data is not None:
            data = {"csrf_token": session.token, **data}
        client = self.app.test_client(use_cookies=False)
        with client.open(path, method=method, data=data, headers=headers, **options) as response:
            response.get_data()
            return response

    def dump(self) -> Dump:
        """Every row of every table."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.row_factory = sqlite3.Row
            names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            return {
                name: [dict(row) for row in connection.execute(f'SELECT * FROM "{name}"')]
                for (name,) in names.fetchall()
            }

    def execute(self, statement: str, *values: Any) -> None:
        """Change the database behind the site's back."""
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.execute(statement, values)

    def allow_chat_password(self, username: str) -> None:
        """The person's account was made by the site, and the admin lets people choose a password
        for theirs."""
        self.execute(
            "UPDATE commweb_account SET origin = 'created', made_user_id = ?, remote_user_id = ?, "
            "checked_at = '2030-01-01 00:00:00' WHERE person_id = ?",
            *(f"@{username}:hs.test", f"@{username}:hs.test", str(self.ids["people"][username])),
        )
        self.execute(
            "INSERT INTO commweb_setting VALUES ('provider.matrix', 'allow_chat_password', 'true', "
            "1, '2030-01-01 00:00:00', '1')"
        )

    def restore(self, on: bool = True) -> None:
        """Everything as it was furnished, with the subsystem on or off; the homeserver has
        forgotten who asked."""
        _copy(self._golden(on), self.database)
        self.homeserver.forget()

    def _golden(self, on: bool) -> Path:
        return self.folder.parent / f"{self.folder.name}-{'on' if on else 'off'}.db"

    def save(self) -> None:
        """Remember the database for `restore`. Ends with the subsystem off."""
        for on in (True, False):
            with self.app.app_context():
                comm.set_enabled(on)
            _copy(self.database, self._golden(on))

    def login(self, role: str) -> None:
        """Log in through the page and keep the session."""
        client = self.app.test_client()
        token = _token(client.get("/login").text)
        username = PEOPLE[role]
        if username is not None:
            password = ADMIN_PASSWORD if username == "admin" else PEOPLE_PASSWORD
            typed = {"csrf_token": token, "username": username, "password": password}
            assert client.post("/login", data=typed).status_code == 303
            token = _token(client.get("/courses/").text)
        cookie = client.get_cookie("session")
        assert cookie is not None
        self.sessions[role] = Session(f"session={cookie.value}", token)


def _token(page: str) -> str:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    return found[1]


def _copy(source: Path, target: Path) -> None:
    with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
        old.backup(new)


def lasting(dump: Dump) -> Dump:
    """What matters of the whole state."""
    return {
        table: [{key: value for key, value in row.items() if key not in COUNTERS} for row in rows]
        for table, rows in dump.items()
        if table not in TRAILS
    }


@contextmanager
def running(folder: Path, homeserver: Homeserver, **config: Any) -> Iterator[World]:
    """The course site on ``folder``; its tables are made, its engines closed at the end."""
    app = create_app(
        {
            "INSTANCE": str(folder),
            "PASSWORD_HASHING": CHEAP,
            "LOGIN_LIMIT": "10000 per minute",
            "LOGIN_LIMIT_BY_ADDRESS": "10000 per minute",
            "COMMWEB_ALLOWED_PRIVATE_HOSTS": "127.0.0.0/8",
            **config,
        }
    )
    app.jinja_env.undefined = StrictUndefined
    try:
        prepare(app)
        yield World(app, folder, homeserver)
    finally:
        state = app.extensions["commweb"]
        state.queue.close()
        state.database.dispose()
        with app.app_context():
            db.engine.dispose()


def furnish(world: World) -> None:
    """People, courses, groups, a picture, a connected homeserver whose session was refreshed
    once, and rooms; everybody of `PEOPLE` logged in."""
    seed(world.app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
    with world.app.app_context():
        _fill_course(world)
        comm.set_enabled(True)
        comm.configure(
            "matrix",
            {"home_server_url": world.homeserver.url, "element_web_url": "https://chat.test"},
            access_token=FIRST_ACCESS,
            refresh_token=PREVIOUS,
            expires_in_seconds=0.001,
            actor="1",
        )
        state = world.app.extensions["commweb"]
        provider = state.registry.get("matrix")
        codes = [finding.code for finding in provider.check(state.context(provider), 10.0)]
        assert "admin" in codes
        session = state.tokens(provider).read()
        assert session.pair.access.reveal() == ACCESS
        assert session.pair.refresh.reveal() == REFRESH
        assert session.previous.reveal() == PREVIOUS
        db.session.remove()
    for role in PEOPLE:
        world.login(role)
    world.save()


def _fill_course(world: World) -> None:
    course = db.session.scalars(select(Course).filter_by(short_name="ALG1")).one()
    other = db.session.scalars(select(Course).filter_by(short_name="HIST1")).one()
    course.group_mode = GroupMode.VISIBLE
    course.picture = Picture(digest="0" * 64, media_type="image/png", data=b"a picture")
    group, elsewhere = Group(name="Blue"), Group(name="Elsewhere")
    course.groups.append(group)
    other.groups.append(elsewhere)
    group.members.append(_enrolment(course, "student1"))
    db.session.flush()
    people = {name: user.id for name, user in _users().items()}
    world.ids.update(
        course_id=course.id,
        other_course_id=other.id,
        group_id=group.id,
        other_group_id=elsewhere.id,
        enrolment_id=_enrolment(course, "student1").id,
        second_enrolment_id=_enrolment(course, "student2").id,
        other_enrolment_id=_enrolment(other, "student5").id,
        person_id=people["student8"],
        provider_id="matrix",
        taken_person=people["student7"],
        taken_account="@student7:hs.test",
        people=people,
    )
    db.session.execute(
        insert(CourseChoice).values(
            course_id=str(course.id), provider="matrix", course_name=course.full_name, version=1
        )
    )
    for status, group_id in (("ready", ""), ("held", str(group.id))):
        _add_room(world, str(course.id), group_id, status)
    for username in filter(None, PEOPLE.values()):
        _add_account(username, people[username])
    db.session.add(
        Account(
            provider="matrix",
            person_id=str(people["student7"]),
            remote_user_id="@student7:hs.test",
            origin="created",
            checked_at=now(),
        )
    )
    db.session.commit()


def _add_account(username: str, person_id: int) -> None:
    """An account that the person linked, and a code that was sent to another one long ago."""
    own = {"provider": "matrix", "person_id": str(person_id)}
    db.session.add(Account(**own, remote_user_id=f"@own-{username}:hs.test", origin="linked"))
    db.session.add(
        AccountProof(
            **own,
            remote_user_id=f"@other-{username}:hs.test",
            code_hash="0" * 64,
            sent_at=now().replace(year=2020),
            expires_at=now().replace(year=2090),
            tries_left=5,
            conversation=f"!proof-{username}:hs.test",
        )
    )


def _users() -> dict[str, User]:
    return {user.username: user for user in db.session.scalars(select(User))}


def _enrolment(course: Course, username: str) -> Enrolment:
    (found,) = [each for each in course.enrolments if each.user.username == username]
    return found


def _add_room(world: World, course_id: str, group_id: str, status: str) -> None:
    row = RoomRow(
        course_id=course_id,
        group_id=group_id,
        provider="matrix",
        name="Algebra I",
        topic="Numbers",
        remote_id=f"!room{group_id}:hs.test",
        creation_key=f"key{group_id}",
        status=status,
        reason="The homeserver says that this room does not exist." if status == "held" else None,
        held_kind="room_gone" if status == "held" else "",
        held_people=["*gone"] if status == "held" else [],
        guests=[{"id": "@guest:hs.test", "by": "@student1:hs.test"}],
        expected=2,
        revision=1,
        synced_revision=1,
        updated_at=now(),
    )
    db.session.add(row)
    db.session.flush()
    world.ids["held_room_id" if status == "held" else "room_id"] = row.id
    if group_id:
        return
    for username, state in (
        ("student1", "in"),
        ("teacher1", "in"),
        ("student2", "failing"),
        ("student3", "left"),
    ):
        db.session.add(
            MemberRow(
                room_id=row.id,
                person_id=str(world.ids["people"][username]),
                display_name=username.title(),
                remote_user_id=f"@{username}:hs.test",
                state=state,
                reason="The account is locked." if state == "failing" else None,
            )
        )
