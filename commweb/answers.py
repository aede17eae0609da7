"""What the host answers, checked where it crosses, so that a mistake is found where it was made.

`CheckedHost` is what the rest of commweb asks. It hands on what has the promised types and raises
`commweb.errors.WrongAnswer`, with a sentence for whoever writes the host, for everything else:
a wrong type read as "nobody" would take people out of rooms, one read as "yes" would let them in.
Names and summaries come without what no database and no homeserver can keep. An id that cannot be
kept costs the one person, group or course that has it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NoReturn, TypeVar

from commweb.errors import WrongAnswer
from commweb.host import Course, CourseImage, Group, Host, Member, Permission, Person, Role
from commweb.i18n import gettext as _
from commweb.i18n import ngettext

__all__ = ["ID_LENGTH", "Answer", "CheckedHost", "check_person", "storable_id"]

ID_LENGTH = 255
"""How many characters an id may have: what every column for one holds."""
DIGEST_LENGTH = 128

T = TypeVar("T")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Answer:
    """A course with its groups and people; no course: the host has none. ``problems``: sentences
    about what of it cannot be used."""

    course: Course | None
    groups: tuple[Group, ...] = ()
    members: tuple[Member, ...] = ()
    problems: tuple[str, ...] = ()


class CheckedHost(Host):
    """Asks ``host`` and checks every answer. Lists are read to their end here, so that a read
    that fails half-way raises where the host's own code is still running."""

    def __init__(self, host: Host) -> None:
        self.host = host

    def _who(self, method: str) -> str:
        return f"{type(self.host).__name__}.{method}()"

    def answer(self, course_id: str, *, members: bool = True) -> Answer:
        """All about one course. ``members``: its people too."""
        found = self.host.course(course_id)
        course = _or_none(found, Course, _course, self._who("course"))
        if course is None:
            return Answer(None)
        problems = []
        if found is not None and found.image is not None and course.image is None:
            problems.append(_("The course's picture has a digest that cannot be used."))
        groups, bad = self._groups(course_id)
        if bad:
            problems.append(
                ngettext(
                    "%(count)d group has an ID that cannot be used.",
                    "%(count)d groups have an ID that cannot be used.",
                    bad,
                )
            )
        people, bad = self._members(course_id) if members else ([], 0)
        if bad:
            problems.append(
                ngettext(
                    "%(count)d person has an ID that cannot be used.",
                    "%(count)d people have an ID that cannot be used.",
                    bad,
                )
            )
        return Answer(course, tuple(groups), tuple(people), tuple(problems))

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
        return _each(self.host.courses(), Course, _course, self._who("courses"))[0]

    def groups(self, course_id: str) -> Iterable[Group]:
        return self._groups(course_id)[0]

    def members(self, course_id: str) -> Iterable[Member]:
        return self._members(course_id)[0]

    def person(self, id: str) -> Person | None:
        return _or_none(self.host.person(id), Person, _person, self._who("person"))

    def check_password(self, person: Person, password: str) -> bool | None:
        answer = self.host.check_password(person, password)
        if answer is not None and not isinstance(answer, bool):
            _wrong(self._who("check_password"), answer, "True, False or None")
        return answer

    def _groups(self, course_id: str) -> tuple[list[Group], int]:
        return _each(self.host.groups(course_id), Group, _group, self._who("groups"))

    def _members(self, course_id: str) -> tuple[list[Member], int]:
        return _each(self.host.members(course_id), Member, _member, self._who("members"))


def check_person(person: object, who: str) -> None:
    """Raise `WrongAnswer` unless ``person`` is a `Person` with the promised fields, or None.
    ``who`` gave it, for example ``course_status()``."""
    _or_none(person, Person, _person, who)


def storable_id(value: str) -> bool:
    """Whether every database can keep the id: not too long, without NUL and half characters."""
    return len(value) <= ID_LENGTH and _kept(value)


def _kept(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in text


FOR_PEOPLE = ("display_name", "full_name", "short_name", "summary", "name", "url")

Parts = Callable[[Any], Iterator[tuple[str, object, bool, str]]]
"""For each field of a value: its name, its value, whether that is right, and what would be."""


def _or_none(answer: object, kind: type[T], parts: Parts, who: str) -> T | None:
    if answer is None:
        return None
    if not isinstance(answer, kind):
        _wrong(who, answer, f"a commweb.{kind.__name__}, or None")
    _check(answer, parts, who)
    if not _usable(answer):
        raise WrongAnswer(f"{who} gave a {kind.__name__} whose id cannot be used: {BAD_ID}.")
    kept: T = _storable(answer)
    return kept


def _each(answer: object, kind: type[T], parts: Parts, who: str) -> tuple[list[T], int]:
    """What can be used, and how many have an id that cannot."""
    wanted = f"an iterable of commweb.{kind.__name__}, empty only when there is none"
    if isinstance(answer, str | bytes) or not isinstance(answer, Iterable):
        _wrong(who, answer, wanted)
    found: list[T] = []
    refused = 0
    for item in answer:
        if not isinstance(item, kind):
            _wrong(who, item, wanted, gave="an iterable holding ")
        _check(item, parts, who)
        if _usable(item):
            found.append(_storable(item))
        else:
            refused += 1
    if refused:
        log.warning("%s: %d of the ids it gave cannot be used: %s.", who, refused, BAD_ID)
    return found, refused


BAD_ID = f"longer than {ID_LENGTH} characters, or not storable (NUL, half a character)"


def _usable(value: Any) -> bool:
    """Whether the ids by which commweb knows the thing can be kept."""
    if isinstance(value, Member):
        return _usable(value.person)
    if isinstance(value, Person):
        return storable_id(value.id) and storable_id(value.external_id or "")
    return storable_id(value.id)


def _storable(value: Any) -> Any:
    """The value as it can be stored. Texts for people: without NUL, and with a question mark for
    half a character that lost its other half. Times: in UTC where they leave the calendar."""
    changed: dict[str, Any] = {}
    if isinstance(value, Member):
        person = _storable(value.person)
        if person is not value.person:
            changed["person"] = person
        if not all(map(storable_id, value.group_ids)):
            changed["group_ids"] = frozenset(filter(storable_id, value.group_ids))
        return replace(value, **changed) if changed else value
    for name in FOR_PEOPLE:
        text = getattr(value, name, "")
        kept = text.replace("\0", "").encode("utf-8", "replace").decode("utf-8")
        if kept != text:
            changed[name] = kept
    if isinstance(value, Person) and not all(map(storable_id, value.accounts.values())):
        # Refused later as no account, and never read as another one.
        changed["accounts"] = {key: _no_account(given) for key, given in value.accounts.items()}
    if isinstance(value, Course):
        changed |= _storable_course(value)
    return replace(value, **changed) if changed else value


def _no_account(given: str) -> str:
    return given if storable_id(given) else "\N{REPLACEMENT CHARACTER}"


def _storable_course(course: Course) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for name in ("opens_at", "closes_at"):
        value = getattr(course, name)
        if value is not None and (kept := _in_the_calendar(value)) is not value:
            changed[name] = kept
    image = course.image
    if image is not None and not (len(image.digest) <= DIGEST_LENGTH and _kept(image.digest)):
        changed["image"] = None
    return changed


def _in_the_calendar(value: datetime) -> datetime:
    """The time, or the first or last there is where it cannot be said in UTC."""
    try:
        value.astimezone(UTC)
    except OverflowError:
        last, first = datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)
        return last if value.year > 1 else first
    return value


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
    external = person.external_id
    yield "external_id", external, external is None or isinstance(external, str), "a str or None"
    accounts = person.accounts
    good = isinstance(accounts, Mapping)
    yield "accounts", accounts, good, "a mapping of a provider's id to a user id, each a str"
    for key, value in accounts.items():
        name = "matrix_user_id" if key == "matrix" else f"accounts[{key!r}]"
        yield name, value, isinstance(key, str) and isinstance(value, str), "a str or None"


def _course(course: Course) -> Iterator[tuple[str, object, bool, str]]:
    yield "id", course.id, _id(course.id), ID
    yield from _texts(course, "full_name", "short_name", "url", "summary")
    yield from _bools(course, "visible")
    for name in ("opens_at", "closes_at"):
        value = getattr(course, name)
        aware = isinstance(value, datetime) and value.utcoffset() is not None
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
