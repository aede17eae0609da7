"""A course site on a file of its own, seeded, and a browser without a window."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from jinja2 import StrictUndefined
from sqlalchemy import select, text
from werkzeug.test import TestResponse

from app import create_app
from commweb.site import db
from commweb.site.models import Course, User
from commweb.site.seed import prepare, seed

ADMIN_PASSWORD = "correct horse battery"
PEOPLE_PASSWORD = "staple of the people"
CHEAP = {"time_cost": 1, "memory_cost": 8, "parallelism": 1}

MakeSite = Callable[..., AbstractContextManager[Flask]]


@contextmanager
def running(folder: Path, **config: Any) -> Iterator[Flask]:
    """A prepared site in ``folder`` whose engines are closed at the end."""
    app = create_app(
        {
            "INSTANCE": str(folder),
            "TESTING": True,
            "PASSWORD_HASHING": CHEAP,
            "COMMWEB_QUEUE_URL": "inline",
            **config,
        }
    )
    app.jinja_env.undefined = StrictUndefined
    try:
        prepare(app)
        yield app
    finally:
        with app.app_context():
            db.engine.dispose()
        app.extensions["commweb"].database.dispose()


class Browser:
    """Sends forms as a page would: with the token the page holds."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        self.token = ""

    def get(self, path: str) -> TestResponse:
        return self._seen(self.client.get(path))

    def post(self, path: str, **fields: Any) -> TestResponse:
        return self._seen(self.client.post(path, data={"csrf_token": self.token, **fields}))

    def login(
        self, username: str, password: str | None = None, path: str = "/login"
    ) -> TestResponse:
        if password is None:
            password = ADMIN_PASSWORD if username == "admin" else PEOPLE_PASSWORD
        self.get(path)
        answer = self.post(path, username=username, password=password)
        self.get("/courses/")
        return answer

    def _seen(self, answer: TestResponse) -> TestResponse:
        if answer.mimetype == "text/html":
            found = re.search(r'name="csrf_token" value="([^"]+)"', answer.text)
            self.token = found[1] if found else self.token
        return answer


class Site:
    """The seeded site of a test."""

    def __init__(self, app: Flask) -> None:
        self.app = app

    def browser(self, username: str | None = None) -> Browser:
        browser = Browser(self.app)
        if username:
            assert browser.login(username).status_code == 303
        return browser

    def person_id(self, username: str) -> int:
        with self.app.app_context():
            return db.session.scalars(select(User.id).where(User.username == username)).one()

    def course_id(self, short_name: str) -> int:
        with self.app.app_context():
            return db.session.scalars(
                select(Course.id).where(Course.short_name == short_name)
            ).one()

    def enrolled(self, short_name: str) -> dict[str, int]:
        """User names and the numbers of their enrolments."""
        with self.app.app_context():
            course = db.session.scalars(select(Course).filter_by(short_name=short_name)).one()
            return {enrolment.user.username: enrolment.id for enrolment in course.enrolments}

    def reports(self) -> list[tuple[str, str]]:
        """What was reported to commweb: kind, and whose id."""
        query = "SELECT kind, course_id || person_id FROM commweb_change ORDER BY id"
        with self.app.app_context():
            return [(row[0], row[1]) for row in db.session.execute(text(query))]

    def forget_reports(self) -> None:
        with self.app.app_context():
            db.session.execute(text("DELETE FROM commweb_change"))
            db.session.commit()


@pytest.fixture
def make_site(tmp_path: Path) -> MakeSite:
    def make(name: str = "site", **config: Any) -> AbstractContextManager[Flask]:
        return running(tmp_path / name, **config)

    return make


@pytest.fixture
def school(make_site: MakeSite) -> Iterator[Site]:
    with make_site() as app:
        seed(app, ADMIN_PASSWORD, PEOPLE_PASSWORD)
        yield Site(app)
