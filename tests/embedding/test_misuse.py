"""Everything a host can do wrong raises a full sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from commweb import CommWeb, Course, Group, Host, Member, Person, Role
from commweb.errors import HostError, MisuseError, WrongAnswer
from commweb.providers import Registry
from commweb.providers.base import Provider
from tests.embedding.college import comm
from tests.embedding.college.host import College
from tests.embedding.visiting import Open, Visitor, open_college
from tests.simulated import SimulatedProvider, SimulatedServer

KEY = "kP1mHkRzHq3mJmqJk8b6N1t1zYxw8Zt1vJm4w0aQz5E="
ADA = Person("ada", "ada", "Ada")


class Half(Host):
    """A host somebody began to write."""

    def current_person(self) -> None:
        return None

    def login_url(self, next: str) -> None:
        return None


def bare(folder: Path, **config: Any) -> tuple[Flask, SQLAlchemy]:
    app = Flask("bare", instance_path=str(folder))
    app.config.update(
        SECRET_KEY="x", SQLALCHEMY_DATABASE_URI="sqlite://", COMMWEB_SECRET_KEYS=KEY, **config
    )
    return app, SQLAlchemy(app)


@contextmanager
def refused(*words: str) -> Iterator[None]:
    """A full sentence with these words."""
    with pytest.raises(MisuseError) as raised:
        yield
    sentence = str(raised.value)
    assert sentence[0].isupper() or sentence.startswith("commweb"), sentence
    assert sentence.endswith("."), sentence
    for word in words:
        assert word in sentence, sentence


WIRING: dict[str, tuple[Callable[[Flask, Any], object], tuple[str, ...]]] = {
    "registered_twice": (
        lambda app, db: (CommWeb(app, db=db, host=College()), CommWeb(app, db=db, host=College())),
        ("registered with this app already", "once per app"),
    ),
    "no_db": (lambda app, _db: CommWeb(app, host=College()), ("init_app(app, db=db, host=",)),
    "a_db_not_initialised": (
        lambda app, _db: CommWeb(app, db=SQLAlchemy(), host=College()),
        ("db.init_app(app) before", "same db"),
    ),
    "no_host": (lambda app, db: CommWeb(app, db=db), ("derived from commweb.Host",)),
    "a_host_class": (
        lambda app, db: CommWeb(app, db=db, host=College),  # type: ignore[arg-type]
        ("an instance", "not the class itself"),
    ),
    "a_host_of_no_such_class": (
        lambda app, db: CommWeb(app, db=db, host=object()),  # type: ignore[arg-type]
        ("derived from commweb.Host",),
    ),
    "half_a_host": (
        lambda app, db: CommWeb(app, db=db, host=Half()),
        ("Half", "has no can(), course(), courses(), groups(), members(), person()"),
    ),
    "two_providers_of_one_id": (
        lambda app, db: Registry([SimulatedProvider(SimulatedServer())] * 2),
        ("Two providers are named 'simulated'",),
    ),
}
KEYS = {
    "no_key": ({"COMMWEB_SECRET_KEYS": None}, ("COMMWEB_SECRET_KEYS", "generate_key")),
    "an_empty_key": ({"COMMWEB_SECRET_KEYS": ""}, ("COMMWEB_SECRET_KEYS", "generate_key")),
    "no_real_key": ({"COMMWEB_SECRET_KEYS": "secret"}, ("not a Fernet key",)),
    "an_unknown_queue": ({"COMMWEB_QUEUE_URL": "amqp://x"}, ("COMMWEB_QUEUE_URL", "sqlite")),
    "a_prefix_without_slash": ({"COMMWEB_URL_PREFIX": "x"}, ("COMMWEB_URL_PREFIX", "slash")),
}


@pytest.mark.parametrize("name", WIRING)
def test_wrong_wiring_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    wire, words = WIRING[name]
    app, db = bare(tmp_path)
    with refused(*words):
        wire(app, db)


@pytest.mark.parametrize("name", KEYS)
def test_wrong_configuration_is_refused_with_what_to_do(tmp_path: Path, name: str) -> None:
    config, words = KEYS[name]
    app, db = bare(tmp_path)
    app.config.update(config)
    with refused(*words):
        CommWeb(app, db=db, host=College())
    assert "commweb" not in app.extensions, "nothing is left half registered"
    assert "secret" not in str(app.extensions)


CALLS: dict[str, Callable[[], object]] = {
    "course_created": lambda: comm.course_created("7"),
    "course_changed": lambda: comm.course_changed("7"),
    "course_deleted": lambda: comm.course_deleted("7"),
    "group_deleted": lambda: comm.group_deleted("7", "8"),
    "person_changed": lambda: comm.person_changed("7"),
    "person_deleted": lambda: comm.person_deleted("7"),
    "course_status": lambda: comm.course_status("7", ADA),
    "navigation": lambda: comm.navigation(ADA),
    "provider_choices": comm.provider_choices,
    "upgrade": comm.upgrade,
}


@pytest.mark.parametrize("name", CALLS)
def test_without_an_application_context_it_says_so(name: str) -> None:
    with refused("application context", "with app.app_context()"):
        CALLS[name]()


@pytest.mark.parametrize("name", CALLS)
def test_in_an_app_that_did_not_register_it_says_so(tmp_path: Path, name: str) -> None:
    app, _db = bare(tmp_path)
    with app.app_context(), refused("not registered with this app", "comm.init_app(app"):
        CALLS[name]()


def test_a_person_of_the_hosts_own_class_is_refused_where_we_are_asked(college: Open) -> None:
    with college.app.test_request_context("/"):
        with refused("navigation()", "a commweb.Person, or None"):
            comm.navigation(object())  # type: ignore[arg-type]
        with refused("course_status()", "a commweb.Person, or None"):
            comm.course_status("1", "ada")  # type: ignore[arg-type]
        with refused("str(id)"):
            comm.course_status(1, None)  # type: ignore[arg-type]
        with refused("str(id)"):
            comm.course_changed(1)  # type: ignore[arg-type]
        with refused("no provider 'smoke'"):
            comm.course_created("1", provider="smoke")


def test_a_worker_for_a_database_in_memory_is_refused(tmp_path: Path) -> None:
    with open_college(
        tmp_path / "college", SQLALCHEMY_DATABASE_URI="sqlite://", on=True
    ) as college:
        ended = college.app.test_cli_runner().invoke(args=["commweb", "worker"])
    assert ended.exit_code == 1
    assert "SQLite in memory, which no worker can share. Use a file" in ended.output


def test_a_provider_without_the_id_of_its_entry_point_is_not_taken_for_another() -> None:
    class Nameless(Provider):
        id = "nameless"

    assert "matrix" not in Registry([Nameless()])


# What the host answers.

COURSE = Course("1", "Astronomy", "Astro", "https://college.example/papers/1")
ANSWERS: dict[str, tuple[str, object, str]] = {
    "nobody_as_false": ("current_person", False, "current_person() gave a bool"),
    "the_hosts_own_user": ("current_person", object(), "a commweb.Person, or None"),
    "an_address_that_is_none": ("login_url", 7, "login_url() gave an int; commweb needs a str"),
    "a_permission_forgotten": ("can", None, "can() gave None; commweb needs True or False"),
    "a_permission_as_text": ("can", "no", "can() gave a str; commweb needs True or False"),
    "a_course_as_dict": ("course", {"id": "1"}, "course() gave a dict"),
    "a_number_for_an_id": (
        "course",
        Course(1, "A", "A", "u"),  # type: ignore[arg-type]
        "course() gave a Course whose id is an int; commweb needs a str that is not empty",
    ),
    "an_empty_id": ("course", Course("", "A", "A", "u"), "whose id is an empty str"),
    "a_name_that_is_none": (
        "course",
        Course("1", None, "A", "u"),  # type: ignore[arg-type]
        "whose full_name is None",
    ),
    "a_naive_time": (
        "course",
        Course("1", "A", "A", "u", opens_at=datetime(2030, 1, 1)),  # noqa: DTZ001
        "whose opens_at is a datetime; commweb needs an aware datetime",
    ),
    "a_picture_as_bytes": (
        "course",
        Course("1", "A", "A", "u", image=b"png"),  # type: ignore[arg-type]
        "a commweb.CourseImage",
    ),
    "courses_as_none": ("courses", None, "courses() gave None; commweb needs an iterable of"),
    "courses_as_ids": ("courses", ["1"], "courses() gave an iterable holding a str"),
    "groups_as_text": ("groups", "A", "groups() gave a str; commweb needs an iterable"),
    "a_group_without_id": ("groups", [Group(None, "A")], "whose id is None"),  # type: ignore[arg-type]
    "people_as_members": ("members", [ADA], "an iterable holding a Person"),
    "a_role_as_text": (
        "members",
        [Member(ADA, "teacher")],  # type: ignore[arg-type]
        "whose role is a str; commweb needs a commweb.Role",
    ),
    "groups_as_a_list": (
        "members",
        [Member(ADA, Role.PARTICIPANT, ["A"])],  # type: ignore[arg-type]
        "whose group_ids is a list; commweb needs a frozenset",
    ),
    "a_member_without_a_name": (
        "members",
        [Member(Person("ada", "", "Ada"), Role.PARTICIPANT)],
        "whose person.username is an empty str",
    ),
    "a_person_who_may_be_active": (
        "person",
        Person("ada", "ada", "Ada", active=None),  # type: ignore[arg-type]
        "person() gave a Person whose active is None; commweb needs True or False",
    ),
}
GIVEN: dict[str, tuple[Any, ...]] = {
    "current_person": (),
    "login_url": ("/next",),
    "can": (ADA, None),
    "courses": (),
}


def wrong(method: str, answer: object) -> College:
    return type("Wrong", (College,), {method: lambda *_given: answer})()


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_of_the_wrong_type_is_named_with_what_was_needed(
    tmp_path: Path, name: str
) -> None:
    method, answer, sentence = ANSWERS[name]
    with open_college(tmp_path / "college", host=wrong(method, answer)) as college:
        host = college.state.host
        with refused(f"Wrong.{method}()", sentence):
            getattr(host, method)(*GIVEN.get(method, ("1",)))


def test_a_wrong_answer_is_the_hosts_failure_and_its_misuse() -> None:
    assert issubclass(WrongAnswer, MisuseError)
    assert issubclass(WrongAnswer, HostError)


def test_a_permission_that_is_neither_yes_nor_no_lets_nobody_in(tmp_path: Path) -> None:
    with (
        open_college(tmp_path / "college", host=wrong("can", "yes")) as college,
        pytest.raises(WrongAnswer, match=r"Wrong.can\(\) gave a str"),
    ):
        Visitor(college, "agnes").get("/communication/admin/")


class Moody(College):
    """A host that answers well until it does not."""

    members_are: Any = None

    def members(self, course_id: str) -> Any:
        return super().members(course_id) if self.members_are is None else self.members_are


def test_a_worker_takes_nobody_out_of_a_room_for_a_wrong_answer(tmp_path: Path) -> None:
    host = Moody()
    with open_college(tmp_path / "college", host=host) as college:
        number = college.write("Astronomy", "cuthbert")
        college.run("commweb", "sync")
        (room,) = college.server.rooms.values()
        before = dict(room.members)
        host.members_are = [ADA]
        college.app.test_cli_runner().invoke(args=["commweb", "sync", number])
        assert room.members == before
        with college.app.test_request_context("/"):
            rooms = comm.course_status(number, _warden(college)).rooms
    assert "Moody.members() gave an iterable holding a Person" in str(rooms[0].reason)


def _warden(college: Open) -> Person | None:
    from tests.embedding.college.models import Scholar, db

    found = db.session.scalars(db.select(Scholar.id).filter_by(handle="agnes")).one()
    return college.state.host.person(found)
