"""The site's own tables. Ids are never used twice: rooms outlive the course they were for."""

from __future__ import annotations

import enum
import secrets
import unicodedata
from datetime import date, datetime
from typing import Any, TypeVar

from flask_babel import lazy_gettext
from sqlalchemy import Column, Enum, ForeignKey, LargeBinary, String, Table, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from commweb.site import Base

__all__ = [
    "Course",
    "Enrolment",
    "Group",
    "GroupMode",
    "Login",
    "Picture",
    "Role",
    "User",
    "fold",
]

AnyEnum = TypeVar("AnyEnum", bound=enum.Enum)


class Role(enum.Enum):
    """What somebody is in a course."""

    STUDENT = "student"
    TEACHER = "teacher"

    @property
    def label(self) -> Any:
        """The word for people, in the language of whoever reads it."""
        return lazy_gettext("Teacher") if self is Role.TEACHER else lazy_gettext("Student")


class GroupMode(enum.Enum):
    """Whether a course uses groups, and whether they see each other."""

    NONE = "none"
    SEPARATE = "separate"
    VISIBLE = "visible"


def _words(kind: type[AnyEnum]) -> Any:
    return Enum(kind, native_enum=False, length=20, values_callable=lambda e: [m.value for m in e])


def fold(name: str) -> str:
    """A user name for comparing: ``Ann`` and ``ann`` are one."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def _login_key() -> str:
    return secrets.token_urlsafe(16)


group_member = Table(
    "group_member",
    Base.metadata,
    Column("group_id", ForeignKey("course_group.id"), primary_key=True),
    Column("enrolment_id", ForeignKey("enrolment.id"), primary_key=True),
)


class User(Base):
    """A person. ``password_hash`` None: cannot log in. ``login_key`` is in every session of the
    person; a new one ends them all. ``logins`` are the browsers they are logged in with.
    """

    __tablename__ = "person"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    username_folded: Mapped[str] = mapped_column(String(255), unique=True)
    full_name: Mapped[str] = mapped_column(String(255))
    password_hash: Mapped[str | None] = mapped_column(String(255))
    login_key: Mapped[str] = mapped_column(String(32), default=_login_key)
    is_admin: Mapped[bool] = mapped_column(default=False)
    active: Mapped[bool] = mapped_column(default=True)
    enrolments: Mapped[list[Enrolment]] = relationship(
        back_populates="user", cascade="all, delete-orphan"
    )
    logins: Mapped[list[Login]] = relationship(cascade="all, delete-orphan")

    def __init__(self, username: str, full_name: str, *, is_admin: bool = False) -> None:
        self.username = username
        self.username_folded = fold(username)
        self.full_name = full_name
        self.is_admin = is_admin
        self.login_key = _login_key()

    def set_password_hash(self, password_hash: str) -> None:
        """Another password; whoever is logged in with the old one is logged out."""
        self.password_hash = password_hash
        self.login_key = _login_key()

    def set_active(self, active: bool) -> None:
        """Suspended or not. Being suspended ends every session for good: none of them is good
        again when the person is reinstated.
        """
        self.active = active
        if not active:
            self.login_key = _login_key()

    # What Flask-Login asks of a user.
    is_authenticated = True
    is_anonymous = False

    @property
    def is_active(self) -> bool:
        return self.active

    def get_id(self) -> str:
        return f"{self.id}:{self.login_key}"


class Login(Base):
    """One browser that is logged in. A session counts only while its row is there.

    ``digest`` is the SHA-256, in hex, of a random key that only the session holds; ``began`` is
    in UTC.
    """

    __tablename__ = "login"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    began: Mapped[datetime]


class Course(Base):
    """A course. ``opens`` and ``closes`` are whole days in UTC, both included."""

    __tablename__ = "course"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(primary_key=True)
    full_name: Mapped[str] = mapped_column(String(255))
    short_name: Mapped[str] = mapped_column(String(100), unique=True)
    summary: Mapped[str] = mapped_column(Text, default="")
    visible: Mapped[bool] = mapped_column(default=True)
    opens: Mapped[date | None]
    closes: Mapped[date | None]
    group_mode: Mapped[GroupMode] = mapped_column(_words(GroupMode), default=GroupMode.NONE)
    enrolments: Mapped[list[Enrolment]] = relationship(
        back_populates="course", cascade="all, delete-orphan"
    )
    groups: Mapped[list[Group]] = relationship(
        back_populates="course", cascade="all, delete-orphan", order_by="Group.name"
    )
    picture: Mapped[Picture | None] = relationship(
        back_populates="course", cascade="all, delete-orphan"
    )


class Enrolment(Base):
    """A person's place in a course."""

    __tablename__ = "enrolment"
    __table_args__ = (UniqueConstraint("course_id", "user_id"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("person.id"), index=True)
    role: Mapped[Role] = mapped_column(_words(Role))
    course: Mapped[Course] = relationship(back_populates="enrolments")
    user: Mapped[User] = relationship(back_populates="enrolments")
    groups: Mapped[list[Group]] = relationship(
        secondary=group_member, back_populates="members", order_by="Group.name"
    )


class Group(Base):
    """A group of a course."""

    __tablename__ = "course_group"
    __table_args__ = (UniqueConstraint("course_id", "name"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"))
    name: Mapped[str] = mapped_column(String(100))
    course: Mapped[Course] = relationship(back_populates="groups")
    members: Mapped[list[Enrolment]] = relationship(secondary=group_member, back_populates="groups")


class Picture(Base):
    """A course's picture, apart from the course so that lists do not load it."""

    __tablename__ = "course_picture"

    course_id: Mapped[int] = mapped_column(ForeignKey("course.id"), primary_key=True)
    digest: Mapped[str] = mapped_column(String(64))
    media_type: Mapped[str] = mapped_column(String(20))
    data: Mapped[bytes] = mapped_column(LargeBinary, deferred=True)
    course: Mapped[Course] = relationship(back_populates="picture")
