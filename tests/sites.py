"""A small foreign host for tests: courses in dictionaries, a database in a file."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from flask import Flask, request
from flask_sqlalchemy import SQLAlchemy
from jinja2 import StrictUndefined
from sqlalchemy import Engine, event

from commweb import CommWeb, Course, Group, Host, Member, Permission, Person, Role
from commweb.providers import Registry
from commweb.providers.base import Provider
from commweb.state import State, state_of


@dataclass
class Campus(Host):
    """A host whose courses are what a test puts into it; ``broken`` makes every read raise,
    ``after_members`` happens once, just after the members of a course were read."""

    course_table: dict[str, Course] = field(default_factory=dict)
    member_table: dict[str, list[Member]] = field(default_factory=dict)
    group_table: dict[str, list[Group]] = field(default_factory=dict)
    password_table: dict[str, str] = field(default_factory=dict)
    suspended: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    broken: bool = False
    after_members: Callable[[], None] | None = None

    def _check(self) -> None:
        if self.broken:
            raise RuntimeError("the host's database is away")

    def current_person(self) -> Person | None:
        name = request.headers.get("X-Person") if request else None
        return person(name) if name else None

    def login_url(self, next: str) -> str | None:
        return f"/login?next={next}"

    def can(self, person: Person, permission: Permission, course_id: str | None = None) -> bool:
        if person.id == "admin":
            return True
        members = self.member_table.get(course_id or "", [])
        mine = [member for member in members if member.person.id == person.id]
        if permission is Permission.VIEW_COURSE:
            return bool(mine)
        teaches = any(member.role is not Role.PARTICIPANT for member in mine)
        return permission is Permission.CONFIGURE_COURSE and teaches

    def course(self, id: str) -> Course | None:
        self._check()
        return self.course_table.get(id)

    def courses(self) -> Iterable[Course]:
        self._check()
        return list(self.course_table.values())

    def groups(self, course_id: str) -> Iterable[Group]:
        self._check()
        return list(self.group_table.get(course_id, []))

    def members(self, course_id: str) -> Iterable[Member]:
        self._check()
        answer = list(self.member_table.get(course_id, []))
        meanwhile, self.after_members = self.after_members, None
        if meanwhile is not None:
            meanwhile()
        return answer

    def person(self, id: str) -> Person | None:
        self._check()
        return None if id in self.gone else person(id, active=id not in self.suspended)

    def check_password(self, person: Person, password: str) -> bool | None:
        known = self.password_table.get(person.id)
        return None if known is None else password == known

    def add(self, course_id: str, *members: Member, name: str = "Algebra") -> None:
        self.course_table[course_id] = Course(
            course_id, name, name[:8], f"http://lms.example/courses/{course_id}"
        )
        self.member_table[course_id] = list(members)


def person(name: str, **values: Any) -> Person:
    """Somebody whose id and user name are ``name``."""
    return Person(name, name, name.title(), **values)


def student(name: str, **values: Any) -> Member:
    return Member(person(name), Role.PARTICIPANT, **values)


def teacher(name: str, **values: Any) -> Member:
    return Member(person(name), Role.MODERATOR, **values)


@dataclass
class Site:
    """One app with commweb, and the handles a test needs."""

    app: Flask
    db: SQLAlchemy
    comm: CommWeb
    campus: Campus

    @property
    def state(self) -> State:
        return state_of(self.app)


class OpenConnections:
    """Counts the database connections each thread has out, on the engines it watches, and
    refuses to let a thread send anything to a homeserver while it has one."""

    def __init__(self) -> None:
        self._out: Counter[int] = Counter()

    def watch(self, engine: Engine) -> None:
        event.listen(engine, "checkout", self._checkout)
        event.listen(engine, "checkin", self._checkin)

    def _checkout(self, _connection: object, record: Any, _proxy: object) -> None:
        record.info["thread"] = threading.get_ident()
        self._out[threading.get_ident()] += 1

    def _checkin(self, _connection: object, record: Any) -> None:
        self._out[record.info.pop("thread", threading.get_ident())] -= 1

    def refuse(self) -> None:
        if self._out[threading.get_ident()]:
            raise AssertionError("A request is sent while a database connection is out.")


@contextmanager
def site(folder: Path, registry: Registry | None = None, **config: Any) -> Iterator[Site]:
    """A site on a SQLite file in ``folder``, or on the database that ``config`` names; tables
    made; closed at the end."""
    app = Flask("campus", instance_path=str(folder))
    app.config.update(
        SECRET_KEY="not-a-secret",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{folder / 'campus.db'}",
        COMMWEB_SECRET_KEYS=[Fernet.generate_key().decode()],
        COMMWEB_QUEUE_URL="inline",
    )
    app.config.update(config)
    app.jinja_env.undefined = StrictUndefined
    db = SQLAlchemy(app)
    comm = CommWeb()
    campus = Campus()
    comm.init_app(app, db=db, host=campus, registry=registry)
    state = state_of(app)
    out = OpenConnections()
    with app.app_context():
        comm.upgrade()
        out.watch(db.engine)
    out.watch(state.database.engine)
    state.network = replace(state.network, before_send=out.refuse)
    try:
        yield Site(app, db, comm, campus)
    finally:
        state.database.dispose()
        with app.app_context():
            db.session.remove()
            db.engine.dispose()


@contextmanager
def switched_on(folder: Path, *providers: Provider, **config: Any) -> Iterator[Site]:
    """`site` with these providers (all that are installed when none is given) and the subsystem
    on."""
    with site(folder, Registry(providers) if providers else None, **config) as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
        yield made
