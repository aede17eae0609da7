"""What commweb asks of the host: the `Host` contract and the frozen data that crosses it."""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Self

from commweb.errors import MisuseError

__all__ = [
    "DEFAULT",
    "Course",
    "CourseImage",
    "Default",
    "Group",
    "Host",
    "Member",
    "Permission",
    "Person",
    "Role",
]


class Default(enum.Enum):
    """The type of `DEFAULT`: 'whatever the admin chose for new courses'."""

    DEFAULT = "default"


DEFAULT = Default.DEFAULT
NO_ACCOUNTS: Mapping[str, str] = MappingProxyType({})


class Role(enum.Enum):
    """What a member may do in a course."""

    PARTICIPANT = "participant"
    MODERATOR = "moderator"
    ADMIN = "admin"


class Permission(enum.Enum):
    """What a person may do with commweb's pages."""

    CONFIGURE_SITE = "configure_site"
    CONFIGURE_COURSE = "configure_course"
    VIEW_COURSE = "view_course"


@dataclass(frozen=True, init=False)
class Person:
    """Somebody the host knows. ``external_id`` is the id the SSO provider knows.

    ``accounts``: the accounts that the host knows to be this person's, by the provider's id, for
    example ``{"matrix": "@ada:chat.example"}``. ``matrix_user_id`` is another way to give and to
    read ``accounts["matrix"]``; where both are given it wins, so that `dataclasses.replace` works
    with either.
    """

    id: str
    username: str
    display_name: str
    active: bool = True
    external_id: str | None = None
    accounts: Mapping[str, str] = field(default_factory=dict, hash=False)

    def __init__(  # noqa: PLR0917  (in the order of the fields, as a dataclass has them)
        self,
        id: str,
        username: str,
        display_name: str,
        active: bool = True,
        matrix_user_id: str | None = None,
        external_id: str | None = None,
        accounts: Mapping[str, str] = NO_ACCOUNTS,
    ) -> None:
        # What is not a mapping stays, and is refused where the host's answers are checked.
        given: Any = dict(accounts) if isinstance(accounts, Mapping) else accounts
        if matrix_user_id is not None and isinstance(given, dict):
            given["matrix"] = matrix_user_id
        for name, value in (
            ("id", id),
            ("username", username),
            ("display_name", display_name),
            ("active", active),
            ("external_id", external_id),
            ("accounts", given),
        ):
            object.__setattr__(self, name, value)  # as a frozen dataclass does it

    @property
    def matrix_user_id(self) -> str | None:
        """``accounts["matrix"]``, or None."""
        return self.accounts.get("matrix")


@dataclass(frozen=True)
class CourseImage:
    """A course's picture: ``read()`` gives the bytes, ``digest`` changes when they do."""

    digest: str
    media_type: str
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True)
class Course:
    """A course as it is now. ``opens_at`` and ``closes_at`` are aware UTC datetimes."""

    id: str
    full_name: str
    short_name: str
    url: str
    summary: str = ""
    visible: bool = True
    opens_at: datetime | None = None
    closes_at: datetime | None = None
    image: CourseImage | None = None


@dataclass(frozen=True)
class Group:
    """A group of a course."""

    id: str
    name: str


@dataclass(frozen=True)
class Member:
    """A person's enrolment in a course. ``active`` is the enrolment's, apart from the person's."""

    person: Person
    role: Role
    group_ids: frozenset[str] = frozenset()
    active: bool = True


class Host(ABC):
    """The host's side. All but `current_person` and `login_url` run in a worker, in an app
    context without a request. ``None`` means gone; a read that fails must raise and never
    answer empty, because commweb would take people out of rooms.

    Ids are at most 255 characters and never used twice: a new course or person with the id of a
    deleted one is somebody else.

    Raises `commweb.errors.MisuseError` when a subclass without one of the methods is made.
    """

    def __new__(cls, *_args: object, **_kwargs: object) -> Self:
        missing = sorted(getattr(cls, "__abstractmethods__", ()))
        if missing:
            names = ", ".join(f"{name}()" for name in missing)
            raise MisuseError(
                f"{cls.__name__} cannot be commweb's host yet: it has no {names}. Write what is "
                "missing; the docstrings of commweb.Host say what each answers."
            )
        return super().__new__(cls)

    @abstractmethod
    def current_person(self) -> Person | None:
        """Who is signed in, or None."""

    @abstractmethod
    def login_url(self, next: str) -> str | None:
        """Where to send somebody who has to sign in first; None: answer 401 instead."""

    @abstractmethod
    def can(self, person: Person, permission: Permission, course_id: str | None = None) -> bool:
        """Whether the person may. Course permissions come with the course's id."""

    @abstractmethod
    def course(self, id: str) -> Course | None:
        """The course as it is now, or None when there is none (any more)."""

    @abstractmethod
    def courses(self) -> Iterable[Course]:
        """Every course."""

    @abstractmethod
    def groups(self, course_id: str) -> Iterable[Group]:
        """The groups of the course; empty when it does not use groups."""

    @abstractmethod
    def members(self, course_id: str) -> Iterable[Member]:
        """Everybody enrolled in the course."""

    @abstractmethod
    def person(self, id: str) -> Person | None:
        """The person, or None when gone."""

    def check_password(self, person: Person, password: str) -> bool | None:
        """Whether it is the person's password here. Optional; None: this site has no passwords,
        or does not say. Asked before something that a stolen session should not be able to do."""
        return None
