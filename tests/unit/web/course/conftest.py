"""A course with a teacher and two students, on a site with a simulated server and Custom link."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

from commweb import Member
from commweb.providers.customlink.provider import CustomLinkProvider
from commweb.providers.rooms import ObservedMember
from commweb.sync.worker import Worker
from tests.simulated import SimulatedProvider, SimulatedRoom, SimulatedServer
from tests.sites import Site, student, switched_on, teacher
from tests.unit.web.conftest import Visitor, shown

COURSE = "/communication/courses/1"
EDIT = f"{COURSE}/communication"
MEMBERS = f"{EDIT}/members"
CHAT = f"{COURSE}/chat"
API = "/communication/api/v1/courses/1/room"
PROVIDERS = "/communication/admin/communication/providers"


@pytest.fixture
def school(tmp_path: Path, server: SimulatedServer) -> Iterator[Site]:
    with switched_on(tmp_path, SimulatedProvider(server), CustomLinkProvider()) as made:
        made.campus.add("1", teacher("ada"), student("bob"), student("cyd"))
        yield made


@dataclass
class Classroom:
    """People in front of the course's pages, and what the worker and the chat make of it."""

    school: Site
    server: SimulatedServer

    def visit(self, person: str) -> Visitor:
        return Visitor(self.school, person)

    def page(self, person: str, url: str = EDIT) -> str:
        """A page's text as people read it."""
        return shown(self.visit(person).get(url))

    def fields(self, person: str = "ada", url: str = EDIT) -> dict[str, str]:
        """The fields that are shown, by name."""
        return visible_fields(self.visit(person).get(url).text)

    def save(self, provider: str, **typed: str | None) -> TestResponse:
        """What the teacher sends; ``simulated__name`` is the field ``simulated-name``."""
        values = {key.replace("__", "-"): value for key, value in typed.items()}
        return self.visit("ada").send(EDIT, provider=provider, **values)

    def choose(self, provider: str, **typed: str | None) -> None:
        """Save, confirm what is asked, and let the worker do it."""
        reply = self.save(provider, **typed)
        asked = re.search(r'name="confirmed" value="([0-9a-f]+)"', reply.text)
        if reply.status_code == 422 and asked:
            reply = self.save(provider, **typed, confirmed=asked[1])
        assert reply.status_code == 303, shown(reply)
        self.work()

    def changed(self, *members: Member) -> None:
        """Other people are in the course now, and the worker knows."""
        if members:
            self.school.campus.member_table["1"] = list(members)
        with self.school.app.app_context():
            self.school.comm.course_changed("1")
            self.school.db.session.commit()
        self.work()

    def work(self) -> None:
        worker = Worker(self.school.state)
        worker.work()
        worker.close()

    def room(self, name: str) -> SimulatedRoom:
        (found,) = [room for room in self.server.rooms.values() if room.name == name]
        return found

    def inside(self, name: str) -> set[str]:
        """The user names of the people in the room with this name, but for commweb's own."""
        members = self.room(name).members
        joined = {key for key, member in members.items() if member.membership == "join"}
        return {key.removeprefix("@").removesuffix(":sim") for key in joined} - {"bot"}

    def leave(self, name: str, person: str) -> None:
        """The person leaves the room in the chat, and commweb looks."""
        members = self.room(name).members
        members[f"@{person}:sim"] = type(members[f"@{person}:sim"])("leave", by_self=True)
        self.changed()

    def kick(self, name: str, person: str, by: str) -> None:
        """A moderator takes the person out of the room in the chat, and commweb looks."""
        self.room(name).members[f"@{person}:sim"] = ObservedMember("leave", by=by)
        self.changed()

    def let_in(self, name: str, account: str, by: str) -> None:
        """Somebody invites an account that is nobody's of the course, and it joins."""
        self.room(name).members[account] = ObservedMember("join", by=by)
        self.changed()


@pytest.fixture
def classroom(school: Site, server: SimulatedServer) -> Classroom:
    return Classroom(school, server)


class _Fields(HTMLParser):
    """The fields of a page that are not hidden, with what they show."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[str, str] = {}
        self._hidden = 0
        self._depth = 0
        self._select = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "fieldset":
            self._depth += 1
            if "hidden" in given and not self._hidden:
                self._hidden = self._depth
        shown_now = not self._hidden and given.get("type") != "hidden"
        if tag == "input" and shown_now and given.get("name"):
            self.found[given["name"] or ""] = given.get("value") or ""
        if tag == "select" and shown_now:
            self._select = given.get("name") or ""
            self.found[self._select] = ""
        if tag == "option" and shown_now and "selected" in given:
            self.found[self._select] = given.get("value") or ""

    def handle_endtag(self, tag: str) -> None:
        if tag == "fieldset":
            if self._hidden == self._depth:
                self._hidden = 0
            self._depth -= 1


def visible_fields(page: str) -> dict[str, str]:
    parser = _Fields()
    parser.feed(page)
    return parser.found


@pytest.fixture
def make_room(classroom: Classroom) -> Callable[[], None]:
    """The course gets its room, as a new course does."""

    def make() -> None:
        with classroom.school.app.app_context():
            classroom.school.comm.course_created("1")
            classroom.school.db.session.commit()
        classroom.work()

    return make
