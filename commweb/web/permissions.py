"""Who may see a page, and whether the subsystem is on: one decorator for every view.

The order is fixed: not signed in (302 or 401), not allowed (403), subsystem off (404).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from commweb.host import Course, Permission, Person
from commweb.i18n import gettext as _
from commweb.state import State, current_state

__all__ = [
    "acting_person",
    "check",
    "known_course",
    "login_redirect",
    "off_sentence",
    "require",
    "require_form",
]

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def off_sentence() -> str:
    """Why a communication page is not there, and where to change that."""
    return _(
        "The communication subsystem is turned off. An administrator turns it on under "
        "Site administration > Development > Experimental settings."
    )


def login_redirect(state: State) -> ResponseReturnValue:
    """Send somebody who is not signed in to the host's login page; 401 when there is none."""
    target = state.host.login_url(_next_url())
    if target is None:
        abort(401, description=_("Log in first to see this page."))
    return redirect(target)


def _next_url() -> str:
    """Where to go after logging in: this page, or the menu when it only takes a POST."""
    rule = request.url_rule
    if rule is None or "GET" not in (rule.methods or ()):
        return url_for("commweb.admin.index")
    query = request.query_string.decode("latin-1")
    return request.script_root + request.path + (f"?{query}" if query else "")


def check(
    state: State, permission: Permission, *, course_id: str | None = None, subsystem: bool = True
) -> ResponseReturnValue | None:
    """Raise 401, 403 or 404, or answer a redirect to the login page; None: go on."""
    person = state.host.current_person()
    if person is None:
        return login_redirect(state)
    if not state.host.can(person, permission, course_id):
        abort(403, description=_("You are not allowed to see this page."))
    if subsystem and not state.subsystem_on():
        abort(404, description=off_sentence())
    return None


def require(permission: Permission, *, subsystem: bool = True) -> Callable[[View[P]], View[P]]:
    """Let only people with ``permission`` in; ``subsystem`` False: also while it is off.

    A course permission is asked for the course in the view's argument ``course_id``.
    """

    def decorate(view: View[P]) -> View[P]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
            course_id = kwargs.get("course_id")
            instead = check(
                current_state(),
                permission,
                course_id=course_id if isinstance(course_id, str) else None,
                subsystem=subsystem,
            )
            if instead is not None:
                return instead
            require_form()
            return view(*args, **kwargs)

        return guarded

    return decorate


def require_form() -> None:
    """Raise 400 for a POST that is no form: without any field it would be read as one whose
    boxes are all unchecked and whose texts are all empty."""
    if request.method == "POST" and not request.form:
        abort(400, description=_("The form arrived empty. Reload the page and try again."))


def acting_person(state: State) -> Person:
    """Who is signed in, in a view that `require` guards."""
    person = state.host.current_person()
    if person is None:
        abort(401, description=_("Log in first to see this page."))
    return person


def known_course(state: State, course_id: str) -> Course:
    """The course, or 404."""
    course = state.host.course(course_id)
    if course is None:
        abort(404, description=_("There is no such course."))
    return course
