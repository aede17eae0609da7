"""A new site's tables, people, courses and key files."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from flask import Flask
from sqlalchemy import select, text

from app import create_app
from commweb.site import db
from commweb.site.config import configure
from commweb.site.models import Course, Group, User
from commweb.site.seed import prepare, seed
from tests.unit.site.conftest import Browser


def test_a_new_site_gets_people_and_courses_and_made_up_passwords_once(make_site):
    with make_site() as app:
        first, second = seed(app), seed(app)
        assert (first.people_created, first.courses_created) == (11, 3)
        assert (second.people_created, second.courses_created) == (0, 0)
        assert first.admin_password
        assert first.people_password
        assert second.admin_password is second.people_password is None
        assert Browser(app).login("admin", first.admin_password).status_code == 303
        assert Browser(app).login("student8", first.people_password).status_code == 303


def test_what_was_seeded_has_the_names_people_expect(make_site):
    with make_site() as app:
        seed(app)
        with app.app_context():
            names = {user.username: user.full_name for user in db.session.scalars(select(User))}
        assert names["admin"] == "Admin"
        assert names["teacher2"] == "Teacher Two"
        assert names["student3"] == "Student Three"
        assert len(names) == 11


def test_the_passwords_are_not_in_the_repr(make_site):
    with make_site() as app:
        seeded = seed(app)
        assert seeded.admin_password not in repr(seeded)
        assert seeded.people_password not in repr(seeded)


def test_a_password_that_is_given_is_set_again_and_the_same_one_logs_nobody_out(make_site):
    with make_site() as app:
        seed(app)
        assert seed(app, "admin password one", "people password").admin_password is None
        browser = Browser(app)
        assert browser.login("admin", "admin password one").status_code == 303
        seed(app, "admin password one", "people password")
        assert browser.get("/courses/").status_code == 200
        seed(app, "admin password two")
        assert browser.get("/courses/").status_code == 302
        assert Browser(app).login("teacher1", "people password").status_code == 303


def test_a_course_that_was_deleted_does_not_come_back(make_site):
    with make_site() as app:
        seed(app)
        with app.app_context():
            for course in db.session.scalars(select(Course)):
                db.session.delete(course)
            db.session.commit()
        assert seed(app).courses_created == 0


def test_preparing_twice_changes_nothing(make_site):
    with make_site() as app:
        seed(app)
        prepare(app)
        with app.app_context():
            assert len(db.session.scalars(select(Course)).all()) == 3


def test_the_key_files_are_for_the_owner_alone_and_stay_the_same(make_site, tmp_path):
    keys = {}
    for _ in range(2):
        with make_site() as app:
            for name in ("SECRET_KEY", "COMMWEB_SECRET_KEYS"):
                assert keys.setdefault(name, app.config[name]) == app.config[name]
    for name in ("secret_key", "commweb_secret_key"):
        assert stat.S_IMODE((tmp_path / "site" / name).stat().st_mode) == 0o600
    assert keys["SECRET_KEY"] != keys["COMMWEB_SECRET_KEYS"]
    assert not list((tmp_path / "site").glob(".*_key.*")), "no draft is left"


def test_web_and_worker_that_start_together_get_the_same_keys(tmp_path):
    apps = [Flask("app", instance_path=str(tmp_path)) for _ in range(8)]
    start = threading.Barrier(len(apps))

    def run(app: Flask) -> None:
        start.wait()
        configure(app)

    threads = [threading.Thread(target=run, args=(app,)) for app in apps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {(app.config["SECRET_KEY"], app.config["COMMWEB_SECRET_KEYS"]) for app in apps}
    assert len(found) == 1
    assert None not in found.pop()


def test_an_empty_key_file_is_told_and_not_used(tmp_path):
    (tmp_path / "secret_key").write_text("")
    with pytest.raises(RuntimeError, match="empty"):
        create_app({"INSTANCE": str(tmp_path)})


def test_the_environment_configures_the_site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INSTANCE", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("PORT", "5055")
    monkeypatch.setenv("FLASK_SITE_NAME", "Night school")
    monkeypatch.setenv("FLASK_SECRET_KEY", "from the environment")
    app = create_app({"COMMWEB_QUEUE_URL": "inline"})
    assert app.instance_path == str(tmp_path / "elsewhere")
    assert app.config["SITE_URL"] == "http://127.0.0.1:5055"
    assert app.config["SITE_NAME"] == "Night school"
    assert app.config["SECRET_KEY"] == "from the environment"
    assert not (tmp_path / "elsewhere" / "secret_key").exists()


@pytest.mark.parametrize(
    "make",
    [
        lambda: User("last", "Last One"),
        lambda: Course(full_name="Last", short_name="LAST"),
        lambda: Group(course_id=1, name="Last"),
    ],
    ids=["person", "course", "group"],
)
def test_the_id_of_what_was_deleted_is_never_used_again(make_site, make):
    with make_site() as app:
        seed(app)
        with app.app_context():
            ids = []
            for _ in range(2):
                thing = make()
                db.session.add(thing)
                db.session.commit()
                ids.append(thing.id)
                db.session.delete(thing)
                db.session.commit()
            assert ids[1] > ids[0]


def test_a_site_of_an_earlier_version_gets_what_it_lacks(make_site):
    with make_site() as app:
        seed(app)
        with app.app_context():
            db.session.execute(text("DROP TABLE login"))
            db.session.commit()
        prepare(app)
        with app.app_context():
            assert len(db.session.scalars(select(User)).all()) == 11
        seed(app, "the admins password")
        assert Browser(app).login("admin", "the admins password").status_code == 303
