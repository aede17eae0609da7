"""Taking an unenrolment back, with the role and the groups the person had.

What can be taken back stands in a signed offer that is valid for a quarter of an hour, for whoever
made the change. The session holds it as plain text until the next page shows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, session
from itsdangerous import BadSignature, URLSafeTimedSerializer

from commweb.site.models import Enrolment, User

__all__ = ["LONGEST_OFFER", "Unenrolled", "make_offer", "read_offer", "take_offer"]

KEY = "undo"
VALID_SECONDS = 15 * 60
MOST_GROUPS = 50  # a cookie holds 4 kB
LONGEST_OFFER = 2000


@dataclass(frozen=True)
class Unenrolled:
    """Who was in a course, and as what. ``by`` made the change."""

    course_id: int
    user_id: int
    role: str
    group_ids: tuple[int, ...]
    by: int


def make_offer(enrolment: Enrolment, by: User) -> None:
    """Offer on the next page that the enrolment, which is about to go, can be taken back."""
    groups = [group.id for group in enrolment.groups][:MOST_GROUPS]
    what = [enrolment.course_id, enrolment.user_id, enrolment.role.value, groups, by.id]
    session[KEY] = str(_serializer().dumps(what))


def take_offer(course_id: int) -> str | None:
    """The offer for the course's page, once."""
    offer = str(session.pop(KEY, ""))
    what = read_offer(offer)
    return offer if what and what.course_id == course_id else None


def read_offer(offer: str) -> Unenrolled | None:
    """What the offer is for; None when it is too old or nobody here made it."""
    try:
        course_id, user_id, role, groups, by = _serializer().loads(offer, max_age=VALID_SECONDS)
    except BadSignature:
        return None
    return Unenrolled(course_id, user_id, role, tuple(groups), by)


def _serializer() -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(str(current_app.secret_key), salt="undo an unenrolment")
