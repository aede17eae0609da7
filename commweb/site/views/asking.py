"""What has to be confirmed before a course or a group is deleted, checked on the server."""

from __future__ import annotations

from dataclasses import dataclass

from flask import request
from flask_babel import gettext as _

from commweb import Consequences
from commweb.site import comm
from commweb.site.models import Course

__all__ = ["Question", "ask"]


@dataclass(frozen=True)
class Question:
    """What deleting does to people in chat rooms (None: nothing). ``problem``: why the form that
    was sent does not confirm exactly that; ``about_name``: because of the short name."""

    follows: Consequences | None
    problem: str = ""
    about_name: bool = False

    @property
    def answered(self) -> bool:
        """Whether it may be deleted now."""
        return request.method == "POST" and not self.problem


def ask(course: Course, group_id: int | None = None) -> Question:
    """What deleting the course, or one of its groups, asks, and whether the form answers it."""
    if group_id is None:
        follows = comm.consequences(str(course.id), deleted=True)
    else:
        follows = comm.consequences(str(course.id), group_id=str(group_id), deleted=True)
    if follows is None or request.method != "POST":
        return Question(follows)
    if request.form.get("confirmed") != follows.key:
        return Question(follows, _("Nothing was deleted. Read what follows and confirm it."))
    typed = request.form.get("confirmed_name", "").strip()
    if follows.deletes_messages and typed != course.short_name:
        return Question(follows, _("This is not the short name of the course."), about_name=True)
    return Question(follows)
