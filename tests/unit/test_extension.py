"""Reporting in the host's session, and what the extension refuses."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from flask import Flask
from flask_sqlalchemy import SQLAlchemy
from sqlalchemy import select

import commweb
from commweb import CommWeb
from commweb.errors import MisuseError
from commweb.models import Change
from commweb.providers import Registry
from commweb.queue import Queue
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.sites import Campus, Site, site


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, Registry([SimulatedProvider(SimulatedServer())])) as made:
        yield made


class Counter(Queue):
    """A queue that counts."""

    def __init__(self) -> None:
        super().__init__(None)
        self.woken = 0

    def wake(self, times: int = 1) -> None:
        self.woken += times


def changes(school: Site) -> list[tuple[str, str, str]]:
    rows = school.db.session.execute(select(Change.kind, Change.course_id, Change.person_id))
    return [(row[0], row[1], row[2]) for row in rows]


def test_the_public_names_are_these() -> None:
    assert sorted(commweb.__all__) == [
        "CommWeb", "Consequences", "Course", "CourseImage", "CourseStatus", "DEFAULT", "Group",
        "Host", "Member", "MenuItem", "Permission", "Person", "Role",
    ]  # fmt: skip


def test_a_report_goes_with_the_hosts_own_transaction(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_changed("7")
        school.comm.person_changed("ada")
        school.db.session.rollback()
        assert changes(school) == []
        school.comm.course_changed("7")
        school.comm.person_changed("ada")
        school.db.session.commit()
        assert changes(school) == [("course", "7", ""), ("person", "", "ada")]


def test_the_worker_is_woken_once_after_the_outermost_commit(school: Site) -> None:
    counter = Counter()
    school.state.queue = counter
    with school.app.app_context():
        with school.db.session.begin_nested():
            school.comm.course_changed("7")
        assert counter.woken == 0
        school.db.session.commit()
        assert counter.woken == 1
        school.db.session.commit()
        assert counter.woken == 1


def test_a_queue_that_fails_never_fails_the_hosts_commit(school: Site) -> None:
    def broken() -> None:
        raise OSError("disk full")

    school.state.queue = Queue(broken)
    with school.app.app_context():
        school.comm.course_changed("7")
        school.db.session.commit()
        assert changes(school) == [("course", "7", "")]


@pytest.mark.parametrize("given", [7, "", None])
def test_an_id_that_is_no_string_is_refused_with_what_to_do(school: Site, given: object) -> None:
    with school.app.app_context(), pytest.raises(MisuseError, match=r"str\(id\)"):
        school.comm.course_changed(given)  # type: ignore[arg-type]


def test_without_an_application_context_it_says_so(school: Site) -> None:
    with pytest.raises(MisuseError, match="application context"):
        school.comm.course_changed("7")


def test_registering_twice_is_refused(school: Site) -> None:
    with pytest.raises(MisuseError, match="registered with this app already"):
        CommWeb(school.app, db=school.db, host=Campus())


def test_without_a_key_it_refuses_to_start(tmp_path: Path) -> None:
    app = Flask("bare", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    with pytest.raises(MisuseError, match="COMMWEB_SECRET_KEYS"):
        CommWeb(app, db=SQLAlchemy(app), host=Campus())


def test_without_a_host_it_refuses_to_start(tmp_path: Path) -> None:
    app = Flask("bare", instance_path=str(tmp_path))
    app.config["SQLALCHEMY_DATABASE_URI"] = "sqlite://"
    app.config["COMMWEB_SECRET_KEYS"] = Fernet.generate_key().decode()
    with pytest.raises(MisuseError, match=r"commweb\.Host"):
        CommWeb(app, db=SQLAlchemy(app), host=object())  # type: ignore[arg-type]


def test_without_flask_sqlalchemy_it_refuses_to_start(tmp_path: Path) -> None:
    app = Flask("bare", instance_path=str(tmp_path))
    with pytest.raises(MisuseError, match=r"db\.init_app"):
        CommWeb(app, db=SQLAlchemy(), host=Campus())


def test_an_unknown_provider_for_a_new_course_is_refused(school: Site) -> None:
    with school.app.app_context(), pytest.raises(MisuseError, match="no provider 'smoke'"):
        school.comm.course_created("7", provider="smoke")


def test_the_default_provider_is_none_while_the_subsystem_is_off(school: Site) -> None:
    with school.app.app_context():
        assert school.comm.default_provider() == ""
        assert school.comm.provider_choices() == [("", "None")]
        school.comm.set_enabled(True)
        assert school.comm.default_provider() == "simulated"
        assert school.comm.provider_choices() == [("", "None"), ("simulated", "Simulated")]


@pytest.mark.parametrize("bad", ["x" * 256, "a\0b", "half \ud83d"])
@pytest.mark.parametrize("call", ["course_created", "course_changed", "course_deleted",
                                  "person_changed", "person_deleted"])  # fmt: skip
def test_an_id_that_could_not_be_kept_is_refused_before_the_hosts_commit_fails_with_it(
    school: Site, call: str, bad: str
) -> None:
    given = {"provider": None} if call == "course_created" else {}
    with school.app.app_context():
        with pytest.raises(MisuseError, match="at most 255 characters"):
            getattr(school.comm, call)(bad, **given)
        getattr(school.comm, call)("x" * 255, **given)
        school.db.session.commit()
        assert len(changes(school)) == 1


def test_what_is_gone_for_good_is_reported_as_a_kind_of_its_own(school: Site) -> None:
    with school.app.app_context():
        school.comm.course_deleted("7")
        school.comm.person_deleted("ada")
        school.db.session.commit()
        assert changes(school) == [("deleted", "7", ""), ("person_deleted", "", "ada")]
