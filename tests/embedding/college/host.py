"""What the college answers commweb."""

from __future__ import annotations

from collections.abc import Iterable

from flask import current_app, session, url_for
from sqlalchemy import select

from commweb import Course, Group, Host, Member, Permission, Person, Role
from tests.embedding.college import db
from tests.embedding.college.models import Paper, Scholar, Seat


class College(Host):
    def current_person(self) -> Person | None:
        scholar = db.session.get(Scholar, session.get("scholar", ""))
        return as_person(scholar) if scholar and not scholar.away else None

    def login_url(self, next: str) -> str | None:
        return url_for("door.open", back=next) if current_app.config.get("DOOR", True) else None

    def can(self, person: Person, permission: Permission, course_id: str | None = None) -> bool:
        scholar = db.session.get(Scholar, person.id)
        if scholar is None or scholar.away:
            return False
        if scholar.warden:
            return True
        paper = _paper(course_id or "")
        seats = [seat for seat in paper.seats if seat.scholar_id == person.id] if paper else []
        if permission is Permission.VIEW_COURSE:
            return bool(seats)
        return permission is Permission.CONFIGURE_COURSE and any(seat.lectures for seat in seats)

    def course(self, id: str) -> Course | None:
        paper = _paper(id)
        return as_course(paper) if paper else None

    def courses(self) -> Iterable[Course]:
        return (as_course(paper) for paper in db.session.scalars(select(Paper)))

    def groups(self, course_id: str) -> Iterable[Group]:
        paper = _paper(course_id)
        letters = {seat.class_letter for seat in paper.seats} if paper else set()
        return [Group(letter, f"Class {letter}") for letter in sorted(filter(None, letters))]

    def members(self, course_id: str) -> Iterable[Member]:
        paper = _paper(course_id)
        return [as_member(seat) for seat in paper.seats] if paper else []

    def person(self, id: str) -> Person | None:
        scholar = db.session.get(Scholar, id)
        return as_person(scholar) if scholar else None


def as_person(scholar: Scholar) -> Person:
    return Person(scholar.id, scholar.handle, scholar.called, active=not scholar.away)


def as_course(paper: Paper) -> Course:
    url = f"https://college.example/papers/{paper.number}"
    return Course(str(paper.number), paper.title, paper.title[:8], url)


def as_member(seat: Seat) -> Member:
    return Member(
        as_person(seat.scholar),
        Role.MODERATOR if seat.lectures else Role.PARTICIPANT,
        frozenset([seat.class_letter] if seat.class_letter else []),
    )


def _paper(id: str) -> Paper | None:
    known = id.isascii() and id.isdigit() and len(id) < 10 and str(int(id)) == id
    return db.session.get(Paper, int(id)) if known else None
