"""What a course looks like now, as the host says. A host that fails is never read as empty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from commweb.errors import HostError
from commweb.host import Course, Group, Member, Role
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.state import State
from commweb.sync.choices import choice_of
from commweb.sync.desired import Choice, DesiredRoom, rooms

__all__ = ["Read", "is_gone", "read_course"]


@dataclass(frozen=True)
class Read:
    """A course with its groups, its people and what was chosen for it; no course: it is gone."""

    course: Course | None
    groups: tuple[Group, ...]
    members: tuple[Member, ...]
    choice: Choice | None

    def rooms(self, levels: Mapping[Role, int]) -> tuple[DesiredRoom, ...]:
        """The rooms it should have now; ``levels``: power levels by role."""
        return rooms(self.course, self.groups, self.members, self.choice, at=now(), levels=levels)


def read_course(state: State, course_id: str) -> Read:
    """Ask the host in an app context of its own. Raises `HostError`."""
    with state.database.read() as connection:
        choice = choice_of(connection, course_id)
    with state.app.app_context():
        try:
            course = _with_readable_image(state, state.host.course(course_id))
            if course is None:
                return Read(None, (), (), choice)
            groups, members = state.host.groups(course_id), state.host.members(course_id)
            return Read(course, tuple(groups), tuple(members), choice)
        except HostError:
            raise
        except Exception as error:
            raise HostError(
                _("The site could not say what the course looks like (%(kind)s).",
                  kind=type(error).__name__)
            ) from error  # fmt: skip


def is_gone(state: State, person_id: str) -> bool:
    """Whether the host says that it has no such person. A host that fails says nothing."""
    with state.app.app_context():
        try:
            return state.host.person(person_id) is None
        except Exception:  # noqa: BLE001  (the person is taken to be there)
            return False


def _with_readable_image(state: State, course: Course | None) -> Course | None:
    """The picture is read later, outside of this context: give its reader one of its own."""
    if course is None or course.image is None:
        return course
    read = course.image.read

    def read_in_context() -> bytes:
        with state.app.app_context():
            return read()

    return replace(course, image=replace(course.image, read=read_in_context))
