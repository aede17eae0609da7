"""Where rooms and courses differ, by the site's tables and Synapse; the engine's tables are asked
only which room belongs to which course."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from commweb.models import RoomRow
from commweb.site.homeserver import Homeserver
from commweb.site.models import Course, Role
from tests.synapse_eyes import SynapseEyes

__all__ = ["FAR", "differences"]

FAR = "far"
"""How the names of people begin whose accounts are on a homeserver that does not answer."""


def differences(session: Session, homeserver: Homeserver) -> list[str]:
    """One line each; empty: there is none."""
    eyes = SynapseEyes(homeserver)
    found: list[str] = []
    rooms = dict(session.execute(select(RoomRow.course_id, RoomRow.remote_id)).all())
    courses = list(session.scalars(select(Course)))
    known = {str(course.id) for course in courses}
    bot = homeserver.user_id("commweb")
    for course in courses:
        found += _compare(course, rooms.get(str(course.id)), eyes, bot)
    for course_id, room_id in rooms.items():
        if course_id not in known and room_id and eyes.room(room_id).inside(bot):
            found.append(f"course {course_id} is gone and its room still has people")
    asking = select(RoomRow.course_id, RoomRow.held_kind).where(RoomRow.status == "held")
    for course_id, kind in session.execute(asking):
        found.append(f"the room of course {course_id} asks: {kind}")
    return found + _strays(eyes, {room for room in rooms.values() if room})


def _compare(course: Course, room_id: str | None, eyes: SynapseEyes, bot: str) -> list[str]:
    if room_id is None:
        return [f"course {course.id} has no room"]
    seen = eyes.room(room_id)
    active = [enrolment for enrolment in course.enrolments if enrolment.user.active]
    wanted = {f"@{enrolment.user.username}:localhost" for enrolment in active}
    teachers = {
        f"@{enrolment.user.username}:localhost"
        for enrolment in active
        if enrolment.role is Role.TEACHER
    }
    far = {name for name in wanted if name.startswith(f"@{FAR}")}
    wanted -= far  # nobody can invite them: their homeserver does not answer
    moderators = {key for key, level in seen.levels.items() if level == 50 and key != bot}
    found = []
    if seen.name != course.full_name:
        found.append(f"course {course.id}: named {seen.name!r}, not {course.full_name!r}")
    inside = seen.inside(bot)
    if inside != dict.fromkeys(wanted, "join"):
        odd = sorted(inside.items() ^ dict.fromkeys(wanted, "join").items())
        found.append(f"course {course.id}: members differ in {odd}")
    if moderators != teachers:
        found.append(f"course {course.id}: moderators differ in {sorted(moderators ^ teachers)}")
    if (seen.join_rule, seen.invite_level) != ("invite", 50):
        found.append(f"course {course.id}: open by {seen.join_rule!r}, {seen.invite_level}")
    return found


def _strays(eyes: SynapseEyes, known: set[str]) -> list[str]:
    return [f"room {room} belongs to no course" for room in sorted(eyes.room_ids() - known)]
