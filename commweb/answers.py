"""What the host answers, checked where it crosses, so that a mistake is found where it was made.

`CheckedHost` is what the rest of commweb asks. It hands on what has the promised types and raises
`commweb.errors.WrongAnswer`, with a sentence for whoever writes the host, for everything else:
a wrong type read as "nobody" would take people out of rooms, one read as "yes" would let them in.
Names and summaries come without what no database and no homeserver can keep.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from datetime import datetime
from typing import Any, NoReturn, TypeVar

from commweb.errors import WrongAnswer
from commweb.host import Course, CourseImage, Group, Host, Member, Permission, Person, Role

__all__ = ["CheckedHost", "check_person"]

T = TypeVar("T")


class CheckedHost(Host):
    """Asks ``host`` and checks every answer. Lists are read to their end here, so that a read
    that fails half-way raises where the host's own code is still running."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def _who(self, method: str) -> str:
        return f"{type(self.host).__name__}.{method}()"

    def current_person(self) -> Person | None:
        who = self._who("current_person")
        return _or_none(self.host.current_person(), Person, _person, who)

    def login_url(self, next: str) -> str | None:
        url = self.host.login_url(next)
        if url is not None and not isinstance(url, str):
            _wrong(self._who("login_url"), url, "a str, or None where people cannot log in")
        return url

    def can(self, person: Person, permission: Permission, course_id: str | None = None) -> bool:
        answer = self.host.can(person, permission, course_id)
        if not isinstance(answer, bool):
            _wrong(self._who("can"), answer, "True or False")
        return answer

    def course(self, id: str) -> Course | None:
        return _or_none(self.host.course(id), Course, _course, self._who("course"))

    def courses(self) -> Iterable[Course]:
        return _each(self.host.courses(), Course, _course, self._who("courses"))

    def groups(self, course_id: str) -> Iterable[Group]:
        return _each(self.host.groups(course_id), Group, _group, self._who("groups"))

    def members(self, course_id: str) -> Iterable[Member]:
        return _each(self.host.members(course_id), Member, _member, self._who("members"))

    def person(self, id: str) -> Person | None:
        return _or_none(self.host.person(id), Person, _person, self._who("person"))


def check_person(person: object, who: str) -> None:
    """Raise `WrongAnswer` unless ``person`` is a `Person` with the promised fields, or None.
    ``who`` gave it, for example ``course_status()``."""
    _or_none(person, Person, _person, who)


FOR_PEOPLE = ("display_name", "full_name", "short_name", "summary", "name")

Parts = Callable[[Any], Iterator[tuple[str, object, bool, str]]]
"""For each field of a value: its name, its value, whether that is right, and what would be."""


def _or_none(answer: object, kind: type[T], parts: Parts, who: str) -> T | None:
    if answer is None:
        return None
    if not isinstance(answer, kind):
        _wrong(who, answer, f"a commweb.{kind.__name__}, or None")
    _check(answer, parts, who)
    kept: T = _storable(answer)
    return kept


def _each(answer: object, kind: type[T], parts: Parts, who: str) -> list[T]:
    wanted = f"an iterable of commweb.{kind.__name__}, empty only when there is none"
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        _wrong(who, answer, wanted)
    found: list[T] = []
    for item in answer:
        if not isinstance(item, kind):
            _wrong(who, item, wanted, gave="an iterable holding ")
        _check(item, parts, who)
        found.append(_storable(item))
    return found


def _storable(value: Any) -> Any:
    """The value with its texts for people as they can be stored: without NUL, and with a question
    mark for half a character that lost its other half. Ids stay as they are."""
    if isinstance(value, Member):
        person = _storable(value.person)
        return value if person is value.person else replace(value, person=person)
    changed = {}
    for name in FOR_PEOPLE:
        text = getattr(value, name, "")
        kept = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        if kept != text:
            changed[name] = kept
    return replace(value, **changed) if changed else value


def _check(value: object, parts: Parts, who: str) -> None:
    for name, given, right, wanted in parts(value):
        if not right:
            _wrong(who, given, wanted, gave=f"a {type(value).__name__} whose {name} is ")


def _wrong(who: str, given: object, wanted: str, *, gave: str = "") -> NoReturn:
    # The type only: the value may be a person's name or worse.
    kind = type(given).__name__
    what = "None" if given is None else f"{'an' if kind[0] in 'aeiouAEIOU' else 'a'} {kind}"
    if given == "":
        what = "an empty str"
    raise WrongAnswer(f"{who} gave {gave}{what}; commweb needs {wanted}.")


def _id(value: object) -> bool:
    return isinstance(value, str) and bool(value)


ID = "a str that is not empty: str(id)"


def _person(person: Person) -> Iterator[tuple[str, object, bool, str]]:
    yield "id", person.id, _id(person.id), ID
    yield "username", person.username, _id(person.username), "a str that is not empty"
    yield from _texts(person, "display_name")
    yield from _bools(person, "active")
    for name in ("matrix_user_id", "external_id"):
        value = getattr(person, name)
        yield name, value, value is None or isinstance(value, str), "a str or None"


def _course(course: Course) -> Iterator[tuple[str, object, bool, str]]:
    yield "id", course.id, _id(course.id), ID
    yield from _texts(course, "full_name", "short_name", "url", "summary")
    yield from _bools(course, "visible")
    for name in ("opens_at", "closes_at"):
        value = getattr(course, name)
        aware = isinstance(value, datetime) and value.tzinfo is not None
        yield name, value, value is None or aware, "an aware datetime (with a tzinfo) or None"
    image = course.image
    yield (
        "image",
        image,
        image is None or _image(image),
        ("a commweb.CourseImage with digest and media_type as str and a function read, or None"),
    )


def _image(image: object) -> bool:
    if not isinstance(image, CourseImage):
        return False
    return _id(image.digest) and _id(image.media_type) and callable(image.read)


def _group(group: Group) -> Iterator[tuple[str, object, bool, str]]:
    yield "id", group.id, _id(group.id), ID
    yield from _texts(group, "name")


def _member(member: Member) -> Iterator[tuple[str, object, bool, str]]:
    yield "person", member.person, isinstance(member.person, Person), "a commweb.Person"
    for name, value, right, wanted in _person(member.person):
        yield f"person.{name}", value, right, wanted
    yield "role", member.role, isinstance(member.role, Role), "a commweb.Role"
    ids = member.group_ids
    good = isinstance(ids, AbstractSet) and all(_id(group_id) for group_id in ids)
    yield "group_ids", ids, good, "a frozenset of ids, each a str that is not empty"
    yield from _bools(member, "active")


def _texts(value: object, *names: str) -> Iterator[tuple[str, object, bool, str]]:
    for name in names:
        given = getattr(value, name)
        yield name, given, isinstance(given, str), "a str"


def _bools(value: object, *names: str) -> Iterator[tuple[str, object, bool, str]]:
    for name in names:
        given = getattr(value, name)
        yield name, given, isinstance(given, bool), "True or False"
