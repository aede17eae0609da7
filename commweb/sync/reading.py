"""What a course looks like now, as the host says. A host that fails is never read as empty."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from commweb.answers import Answer
from commweb.errors import HostError
from commweb.host import Course, Group, Member, Role
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.state import State
from commweb.sync.choices import choice_of
from commweb.sync.desired import Choice, DesiredRoom, rooms

__all__ = ["BEAT_SECONDS", "Read", "ask_host", "is_gone", "read_course"]

BEAT_SECONDS = 10.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Read:
    """A course with its groups, its people and what was chosen for it; no course: it is gone.
    ``problems``: sentences about what the host gave and cannot be used."""

    course: Course | None
    groups: tuple[Group, ...]
    members: tuple[Member, ...]
    choice: Choice | None
    problems: tuple[str, ...] = ()

    def rooms(self, levels: Mapping[Role, int]) -> tuple[DesiredRoom, ...]:
        """The rooms it should have now; ``levels``: power levels by role."""
        return rooms(self.course, self.groups, self.members, self.choice, at=now(), levels=levels)


def read_course(
    state: State,
    course_id: str,
    beat: Callable[[], None] | None = None,
    *,
    every: float = BEAT_SECONDS,
) -> Read:
    """Ask the host in an app context of its own. Raises `HostError`.

    ``beat`` is called ``every`` so many seconds while the host takes its time, in a thread of its
    own, and never after the read is over: to keep what must not run out meanwhile, as the lease of
    a room. What it raises is raised here instead of an answer.
    """
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
    with _beating(beat, every):
        try:
            answer = ask_host(state, course_id)
        except HostError as error:
            if error.__cause__ is not None:
                words = "The host failed to answer for course %s: %s"
                log.warning(words, course_id, _where(error.__cause__))
            raise
    course = _with_readable_image(state, answer.course)
    return Read(course, answer.groups, answer.members, choice, answer.problems)


def ask_host(state: State, course_id: str, *, members: bool = True) -> Answer:
    """What the host answers, in an app context of its own. ``members``: its people too. Raises
    `HostError`."""
    try:
        with state.app.app_context():
            return state.host.answer(course_id, members=members)
    except (HostError, KeyboardInterrupt):
        raise
    except BaseException as error:  # SystemExit and time-outs of greenlets too
        raise HostError(
            _("The site could not say what the course looks like (%(kind)s).",
              kind=type(error).__name__)
        ) from error  # fmt: skip


def is_gone(state: State, person_id: str) -> bool:
    """Whether the host says that it has no such person. A host that fails says nothing."""
    try:
        with state.app.app_context():
            return state.host.person(person_id) is None
    except KeyboardInterrupt:
        raise
    except BaseException:  # noqa: BLE001  (the person is taken to be there)
        return False


def _where(error: BaseException) -> str:
    """The kind of the fault and the line that raised it, without its words: they may hold a
    person's data."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return type(error).__name__
    name = Path(last.tb_frame.f_code.co_filename).name
    return f"{type(error).__name__} in {name}, line {last.tb_lineno}"


@contextmanager
def _beating(beat: Callable[[], None] | None, every: float) -> Iterator[None]:
    if beat is None:
        yield
        return
    ended = threading.Event()
    failed: list[Exception] = []

    def run() -> None:
        while not ended.wait(every):
            try:
                beat()
            except Exception as error:  # noqa: BLE001  (raised where the answer would be used)
                failed.append(error)
                return

    thread = threading.Thread(target=run, name="commweb-beat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        if failed:
            raise failed[0]


def _with_readable_image(state: State, course: Course | None) -> Course | None:
    """The picture is read later, outside of this context: give its reader one of its own."""
    if course is None or course.image is None:
        return course
    read = course.image.read

    def read_in_context() -> bytes:
        with state.app.app_context():
            try:
                return read()
            except (Exception, KeyboardInterrupt):
                raise
            except BaseException as error:
                raise HostError(
                    _("The site could not read the picture (%(kind)s).", kind=type(error).__name__)
                ) from error

    return replace(course, image=replace(course.image, read=read_in_context))
