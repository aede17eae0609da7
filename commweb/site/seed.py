"""The site's tables, and the people and courses a new site starts with."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field

from flask import Flask
from sqlalchemy import select

from commweb.site import comm, db
from commweb.site.models import Course, Enrolment, Role, User
from commweb.site.passwords import passwords
from commweb.site.upkeep import draw_pictures_anew

__all__ = ["PEOPLE", "Seeded", "prepare", "seed"]

NUMBERS = ("One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight")
PEOPLE = {
    **{f"teacher{n}": f"Teacher {word}" for n, word in enumerate(NUMBERS[:2], start=1)},
    **{f"student{n}": f"Student {word}" for n, word in enumerate(NUMBERS, start=1)},
}
STUDENTS = [name for name in PEOPLE if name.startswith("student")]


@dataclass(frozen=True)
class SeedCourse:
    """A course of a new site. ``teachers`` and ``students`` are user names."""

    full_name: str
    short_name: str
    summary: str
    teachers: tuple[str, ...]
    students: tuple[str, ...]


COURSES = (
    SeedCourse(
        "Algebra I",
        "ALG1",
        "Numbers with names: equations, functions and their graphs.",
        ("teacher1",),
        tuple(STUDENTS[:4]),
    ),
    SeedCourse(
        "World History",
        "HIST1",
        "From the first cities to the present day.",
        ("teacher2",),
        tuple(STUDENTS[2:]),
    ),
    SeedCourse(
        "Biology",
        "BIO1",
        "Cells, plants and animals, with a field trip in spring.",
        ("teacher1", "teacher2"),
        tuple(STUDENTS),
    ),
)


@dataclass(frozen=True)
class Seeded:
    """What `seed` did. A password is here only when it was made up just now."""

    admin_password: str | None = field(default=None, repr=False)
    people_password: str | None = field(default=None, repr=False)
    people_created: int = 0
    courses_created: int = 0


def prepare(app: Flask) -> None:
    """Create the site's tables and bring commweb's, and stored pictures, up to date.

    Changes nothing the second time.
    """
    with app.app_context():
        db.create_all()
        comm.upgrade()
        draw_pictures_anew()


def seed(
    app: Flask, admin_password: str | None = None, people_password: str | None = None
) -> Seeded:
    """People and courses to start with; what is there already stays as it is.

    A password that is given is set (again). One that is not given is made up when the first
    person who needs it is created, and told once in the result.
    """
    with app.app_context():
        known = {user.username_folded: user for user in db.session.scalars(select(User))}
        admin_made_up = _set_up(["admin"], {"admin": "Admin"}, known, admin_password)
        people_created_up = _set_up(list(PEOPLE), PEOPLE, known, people_password)
        people_created = sum(user.id is None for user in known.values())
        first = db.session.scalar(select(Course.id).limit(1)) is None and people_created > 0
        courses = [_create_course(plan, known) for plan in COURSES] if first else []
        db.session.commit()
        return Seeded(admin_made_up, people_created_up, people_created, len(courses))


def _set_up(
    usernames: list[str], names: dict[str, str], known: dict[str, User], given: str | None
) -> str | None:
    """Create who is missing. The made-up password, when one was needed."""
    missing = [username for username in usernames if username not in known]
    made_up = secrets.token_urlsafe(12) if missing and not given else None
    for username in missing:
        user = User(username, names[username], is_admin=username == "admin")
        db.session.add(user)
        known[username] = user
    for user in (known[username] for username in (usernames if given else missing)):
        _set_password(user, given or made_up or "")
    return made_up


def _set_password(user: User, password: str) -> None:
    """The same password again leaves the person logged in."""
    if not passwords().match(user.password_hash, password):
        user.set_password_hash(passwords().hash(password))


def _create_course(plan: SeedCourse, people: dict[str, User]) -> Course:
    course = Course(full_name=plan.full_name, short_name=plan.short_name, summary=plan.summary)
    for role, usernames in ((Role.TEACHER, plan.teachers), (Role.STUDENT, plan.students)):
        course.enrolments.extend(
            Enrolment(user=people[username], role=role) for username in usernames
        )
    db.session.add(course)
    db.session.flush()
    comm.course_created(str(course.id))
    return course
