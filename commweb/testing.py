"""`HostContract`: the promises of `commweb.Host` as tests that a host runs against its own.

::

    import pytest
    from commweb.testing import HostContract

    class TestOurHost(HostContract):
        course_id = "1"      # a course with at least one member
        person_id = "7"      # one of its members

        @pytest.fixture(autouse=True)
        def _site(self, app):    # your app, its data committed
            self.app = app

pytest runs every test of the class. Nothing here needs pytest itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, ClassVar

from flask import Flask
from sqlalchemy import event
from sqlalchemy.exc import OperationalError

from commweb.answers import CheckedHost
from commweb.errors import MisuseError, WrongAnswer
from commweb.host import Host, Permission, Person
from commweb.state import state_of

__all__ = ["HostContract"]

LOOKED_AT = 20
"""How many courses and members are asked for one by one."""


class HostContract:
    """The promises of a `commweb.Host`. See the module's docstring for how to use it.

    Each read runs in a thread of its own with an app context and no request, as in a worker, so
    the data has to be committed. A failing test says which method broke which promise.
    """

    app: Flask
    """The app; its host is the one registered with commweb, unless `host` is set too."""
    host: Host
    course_id: str
    """A course with at least one member."""
    person_id: str
    """One of its members."""
    absent_ids: ClassVar[tuple[str, ...]] = (
        "no-such-id",
        "-1",
        "99999999999999999999",
        "' OR ''='",
        "\N{SNOWMAN}",
    )
    """Ids that neither a course nor a person has; addresses may hold anything."""

    @contextmanager
    def failing_reads(self) -> Iterator[None]:
        """While this is open, the host's database does not answer. Override it where courses or
        people do not come from Flask-SQLAlchemy."""

        def refuse(*_given: Any) -> None:
            raise OperationalError("SELECT", {}, Exception("the database is away"))

        with self.app.app_context():
            engines = list(self.app.extensions["sqlalchemy"].engines.values())
        for engine in engines:
            event.listen(engine, "before_cursor_execute", refuse)
        try:
            yield
        finally:
            for engine in engines:
                event.remove(engine, "before_cursor_execute", refuse)

    # The promises.

    def test_a_course_is_found_by_its_id_in_a_worker_without_a_request(self) -> None:
        """`Host.course` for a course there is."""
        course = self._ask("course", self.course_id)
        _require(course is not None, f"course({self.course_id!r}) gave None. Is there one?")
        _require(
            course.id == self.course_id,
            f"course({self.course_id!r}) gave the course {course.id!r}; a course has one id.",
        )

    def test_every_course_is_listed_once_and_found_by_its_id(self) -> None:
        """`Host.courses` and `Host.course` agree."""
        courses = self._ask("courses")
        ids = [course.id for course in courses]
        _require(self.course_id in ids, f"courses() does not list the course {self.course_id!r}.")
        _require(len(ids) == len(set(ids)), "courses() lists a course twice.")
        for course in courses[:LOOKED_AT]:
            _require(
                self._ask("course", course.id) == course,
                f"courses() and course({course.id!r}) do not give the same course.",
            )

    def test_the_same_question_gets_the_same_answer(self) -> None:
        """What did not change reads as unchanged: no values made up at each read."""
        for question in self._reads():
            _require(
                self._ask(*question) == self._ask(*question),
                f"{_words(question)} gave two answers to one question.",
            )

    def test_a_person_is_found_by_the_id(self) -> None:
        """`Host.person` for somebody there is."""
        person = self._ask("person", self.person_id)
        _require(person is not None, f"person({self.person_id!r}) gave None. Is there one?")
        _require(
            person.id == self.person_id,
            f"person({self.person_id!r}) gave the person {person.id!r}; a person has one id.",
        )

    def test_members_are_people_the_host_knows(self) -> None:
        """`Host.members` and `Host.person` agree."""
        members = self._ask("members", self.course_id)
        _require(
            self.person_id in [member.person.id for member in members],
            f"members({self.course_id!r}) does not hold the person {self.person_id!r}.",
        )
        for member in members[:LOOKED_AT]:
            asked = member.person.id
            _require(
                self._ask("person", asked) == member.person,
                f"members({self.course_id!r}) and person({asked!r}) do not give the same person.",
            )

    def test_members_are_in_groups_of_their_course_only(self) -> None:
        """`Host.members` and `Host.groups` agree."""
        ids = [group.id for group in self._ask("groups", self.course_id)]
        _require(len(ids) == len(set(ids)), f"groups({self.course_id!r}) lists a group twice.")
        for member in self._ask("members", self.course_id):
            unknown = sorted(member.group_ids - set(ids))
            _require(
                not unknown,
                f"members({self.course_id!r}) puts somebody into the groups {unknown}, which "
                f"groups({self.course_id!r}) does not list.",
            )

    def test_ids_and_digests_can_be_kept(self) -> None:
        """Ids have at most 255 characters, a picture's digest at most 128."""
        problems = self._ask("answer", self.course_id).problems
        _require(not problems, f"The course {self.course_id!r}: {' '.join(problems)}")

    def test_what_is_gone_is_none(self) -> None:
        """`Host.course` and `Host.person` for ids nobody has."""
        for absent in self.absent_ids:
            for question in (("course", absent), ("person", absent)):
                answer = self._ask(*question)
                _require(answer is None, f"{_words(question)} must give None: there is none.")

    def test_a_failed_read_raises_and_never_reads_as_empty(self) -> None:
        """No read answers "nobody" or "gone" while the database is away."""
        for question in self._reads():
            usual = self._ask(*question)
            try:
                with self.failing_reads():
                    answer = self._ask(*question)
            except WrongAnswer:
                raise
            except Exception:  # noqa: BLE001, S112  (raising anything keeps the promise)
                continue
            _require(
                answer == usual,
                f"{_words(question)} gave {answer!r} although its read failed. It must raise: "
                "commweb would take it for the truth and take people out of rooms.",
            )

    def test_permissions_are_yes_or_no_and_strangers_have_none(self) -> None:
        """`Host.can`, also for somebody who is gone."""
        person = self._ask("person", self.person_id)
        stranger = Person(self.absent_ids[0], "nobody", "Nobody")
        for permission in Permission:
            course_id = None if permission is Permission.CONFIGURE_SITE else self.course_id
            self._ask("can", person, permission, course_id)
            _require(
                not self._ask("can", stranger, permission, course_id),
                f"can() allows {permission.name} to somebody who does not exist.",
            )

    def test_nobody_is_logged_in_without_a_session(self) -> None:
        """`Host.current_person` and `Host.login_url`, in a request."""
        host = self._host()
        with self.app.test_request_context("/"):
            _require(
                host.current_person() is None,
                "current_person() gave somebody in a request without a session.",
            )
            host.login_url("/next")

    def test_a_picture_is_read_later_in_another_thread(self) -> None:
        """``CourseImage.read`` runs when the read of the course is long over."""
        for course in self._ask("courses")[:LOOKED_AT]:
            if course.image is not None:
                data = _in_a_thread(course.image.read)
                _require(
                    isinstance(data, bytes) and bool(data),
                    f"read() of the picture of the course {course.id!r} must give its bytes.",
                )

    # How.

    def _reads(self) -> list[tuple[str, ...]]:
        return [
            ("course", self.course_id),
            ("courses",),
            ("groups", self.course_id),
            ("members", self.course_id),
            ("person", self.person_id),
        ]

    def _host(self) -> Host:
        for name in ("app", "course_id", "person_id"):
            if not hasattr(self, name):
                raise MisuseError(
                    f"{type(self).__name__} needs {name}: set it in the class or in a fixture. "
                    "The docstring of commweb.testing shows how."
                )
        host = getattr(self, "host", None) or state_of(self.app).host
        return host if isinstance(host, CheckedHost) else CheckedHost(host)

    def _ask(self, method: str, *given: object) -> Any:
        host = self._host()

        def work() -> Any:
            with self.app.app_context():
                return getattr(host, method)(*given)

        return _in_a_thread(work)


def _in_a_thread(work: Callable[[], Any]) -> Any:
    """In a new thread there is neither a request nor an app context."""
    with ThreadPoolExecutor(1) as threads:
        return threads.submit(work).result()


def _words(question: tuple[str, ...]) -> str:
    method, *given = question
    return f"{method}({', '.join(map(repr, given))})"


def _require(kept: bool, broken: str) -> None:
    if not kept:
        raise AssertionError(broken)
