"""Only plain values leave commweb: into the host's session, its flash messages, its JSON."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from cachelib import FileSystemCache
from flask import Flask, message_flashed, request, request_finished, session
from flask.json.provider import DefaultJSONProvider
from flask_session import Session
from flask_session.base import ServerSideSession, ServerSideSessionInterface
from sqlalchemy import delete, insert, select, update

import commweb
from commweb.i18n import gettext
from commweb.models import Account, CourseChoice, MemberRow, RoomRow, now
from commweb.plain import PlainFields
from commweb.providers import Registry
from commweb.providers.customlink.provider import CustomLinkProvider
from tests.contract.thirdparty.provider import BoardsProvider
from tests.contract.thirdparty.server import BoardServer
from tests.embedding.college import comm
from tests.embedding.crawling import Crawler
from tests.embedding.visiting import Open, Visitor, open_college
from tests.simulated import SimulatedProvider, SimulatedServer
from tests.unit.web.conftest import FakeProvider

PLAIN = (str, int, float, bool, type(None), datetime, date)
TYPED = {
    "home_server_url": "https://hs.example",
    "access_token": "typed-access",
    "refresh_token": "typed-refresh",
    "nickname": "Bot",
    "username": "bot",
    "password": "a password of the bot",
    "password_again": "a password of the bot",
    "server": "https://boards.example",
    "user_id": "1234567",
    "api_key": "the-key",
}


class MsgpackFiles(ServerSideSessionInterface):
    """Sessions as msgpack in files, by Flask-Session's own serializer."""

    session_class = ServerSideSession

    def __init__(self, app: Flask, folder: Path) -> None:
        self.cache = FileSystemCache(str(folder))
        super().__init__(app)

    def _retrieve_session_data(self, store_id: str) -> Any:
        kept = self.cache.get(store_id)
        return None if kept is None else self.serializer.decode(kept)

    def _delete_session(self, store_id: str) -> None:
        self.cache.delete(store_id)

    def _upsert_session(self, session_lifetime: Any, session: Any, store_id: str) -> None:
        self.cache.set(store_id, self.serializer.encode(session))


def in_files(app: Flask, folder: Path) -> None:
    app.config.update(SESSION_TYPE="cachelib", SESSION_CACHELIB=FileSystemCache(str(folder)))
    Session(app)


def in_msgpack(app: Flask, folder: Path) -> None:
    app.session_interface = MsgpackFiles(app, folder)


def in_cookies(app: Flask, folder: Path) -> None:
    """As Flask does."""


def odd_ones(value: object, path: str = "") -> Iterator[str]:
    """Where in ``value`` something is not plain."""
    if type(value) in PLAIN:
        return
    if isinstance(value, dict):
        for key, one in value.items():
            yield from odd_ones(key, f"{path} key")
            yield from odd_ones(one, f"{path}[{key!r}]")
    elif type(value) in (list, tuple, frozenset):
        for one in value:  # type: ignore[attr-defined]
            yield from odd_ones(one, f"{path}[]")
    elif is_dataclass(value):
        for each in fields(value):
            yield from odd_ones(getattr(value, each.name), f"{path}.{each.name}")
    elif not (isinstance(value, Enum) and not isinstance(value, str)):
        yield f"{path}: {type(value).__module__}.{type(value).__qualname__}"


class StrictJson(DefaultJSONProvider):
    """A host's JSON that takes plain values only."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        assert list(odd_ones(obj)) == [], request.path
        return super().dumps(obj, **kwargs)


@contextmanager
def furnished(
    folder: Path,
    sessions: Callable[[Flask, Path], None],
    boards: BoardServer | None = None,
    **config: Any,
) -> Iterator[Open]:
    """The college with rooms in every state, a provider with settings, and its sessions where
    ``sessions`` keeps them."""
    server = SimulatedServer()
    shared = BoardsProvider(boards or BoardServer())
    registry = Registry([SimulatedProvider(server), FakeProvider(), CustomLinkProvider(), shared])
    with open_college(folder / "college", registry=registry, LANGUAGES=True, **config) as college:
        sessions(college.app, folder / "sessions")
        college.app.json = StrictJson(college.app)
        server.unusable["@bede:sim"] = "The account is locked."
        college.write("Astronomy", "bede", "cuthbert")
        college.write("Botany", "cuthbert")
        college.write("Chemistry")
        join_boards(college)
        college.app.test_cli_runner().invoke(args=["commweb", "sync"])
        hold(college, "2")
        leave(college, "2", "left")
        leave(college, "4", "failing")
        let_in(college)
        yield college


def let_in(college: Open) -> None:
    """Somebody who is in no course is in a room; and somebody has an account that an earlier
    version took by its name."""
    guest = {"id": "@guest:sim", "by": "@bede:sim"}
    taken = {"provider": "boards", "person_id": "nobody", "remote_user_id": "7654321"}
    with college.app.app_context(), college.state.database.write() as connection:
        room = RoomRow.course_id == "1"
        connection.execute(update(RoomRow).where(room).values(guests=[guest]))
        connection.execute(insert(Account).values(**taken, display_name="Nobody", checked_at=now()))


def join_boards(college: Open) -> None:
    """Somebody else's provider, in which people have accounts, and a course that uses it."""
    with college.app.app_context():
        comm.configure(
            "boards",
            {
                "server": "https://boards.example",
                "ask_consent": True,
                "allow_chat_password": True,
            },
            secrets={"api_key": "the-key"},
        )
    college.write("Drama", "cuthbert")
    with college.app.app_context(), college.state.database.write() as connection:
        connection.execute(insert(CourseChoice).values(course_id="4", provider="boards"))


def hold(college: Open, course_id: str) -> None:
    """The course's room waits for a confirmation."""
    with college.app.app_context(), college.state.database.write() as connection:
        waiting = {"status": "held", "reason": gettext("No room.")}
        connection.execute(update(RoomRow).where(RoomRow.course_id == course_id).values(**waiting))
        connection.execute(delete(CourseChoice).where(CourseChoice.course_id == "3"))


def leave(college: Open, course_id: str, state: str) -> None:
    """Cuthbert is not in the course's room."""
    with college.app.app_context(), college.state.database.write() as connection:
        rooms = select(RoomRow.id).where(RoomRow.course_id == course_id)
        his = (MemberRow.room_id.in_(rooms), MemberRow.display_name == "Cuthbert Student")
        connection.execute(update(MemberRow).where(*his).values(state=state))


@pytest.mark.parametrize(
    "sessions", [in_cookies, in_files, in_msgpack], ids=lambda how: how.__name__
)
def test_every_page_and_button_leaves_plain_values_in_any_kind_of_session(
    tmp_path: Path, sessions: Callable[[Flask, Path], None]
) -> None:
    flashed: list[object] = []
    left: dict[str, Any] = {}

    def note_flash(_app: Flask, *, message: object, category: object) -> None:
        flashed.extend([message, category])

    def note_session(_app: Flask, **_more: object) -> None:
        left.update((f"{request.path} {path}", 1) for path in odd_ones(dict(session)))

    boards = BoardServer("the-key", users={"1234567": "Somebody"})

    codes = count()

    def code() -> str:
        """What was sent to the account last; at first a wrong one, so that there is something to
        cancel."""
        sent = boards.messages[-1][1] if next(codes) > 1 else ""
        found = re.search(r"\d{4,}", sent)
        return found[0] if found else "000000"

    typed = {**TYPED, "code": code}
    with (
        furnished(tmp_path, sessions, boards) as college,
        message_flashed.connected_to(note_flash, college.app),
        request_finished.connected_to(note_session, college.app),
    ):
        asked: dict[tuple[str, str], set[int]] = {}
        for handle in ("cuthbert", "agnes"):
            crawler = Crawler(college, Visitor(college, handle, language="de"), typed, asked)
            starts = ["/communication/admin/", "/communication/account"]
            starts += [page for number in "1234" for page in _courses(number)]
            for fill_in in (False, True, True):
                crawler.press_everything(crawler.read(starts), fill_in=fill_in)
                college.app.test_cli_runner().invoke(args=["commweb", "sync", "4"])
            crawler.read(starts)
        assert left == {}
        assert len(flashed) > 30
        assert {type(value) for value in flashed} == {str}
        assert unpressed(college, asked) == {
            "commweb.providers.uninstall",  # refused, always
            "commweb.account.password",  # only for an account that commweb created
            "commweb.fake.lift_limits",  # only while its server limits the account
            "commweb.fake.confirm_server",  # only while tokens of another server wait
            "commweb.fake.confirm_changes",  # only while settings wait that people would notice
            "commweb.boards.confirm_changes",
            "commweb.rooms.gone",  # only while rooms are gone from the homeserver
            "commweb.boards.ask_names",  # the other answer is given
        }


def _courses(number: str) -> list[str]:
    base = f"/communication/courses/{number}"
    return [f"{base}/communication", f"{base}/communication/members", f"{base}/chat"]


def unpressed(college: Open, asked: dict[tuple[str, str], set[int]]) -> set[str]:
    """The POSTs of ours that were never done: not answered with a 303."""
    return {
        rule.endpoint
        for rule in college.app.url_map.iter_rules()
        if rule.endpoint.startswith("commweb.") and "POST" in (rule.methods or ())
        if 303 not in asked.get(("POST", rule.endpoint), set())
    }


def test_what_the_host_asks_for_is_made_of_plain_values(tmp_path: Path) -> None:
    with furnished(tmp_path, in_cookies) as college:
        host = college.state.host
        with college.app.test_request_context("/", headers={"Accept-Language": "de"}):
            people = [member.person for member in host.members("1")]
            for person in [*people, None]:
                for course_id in ("1", "2", "nowhere"):
                    status = comm.course_status(course_id, person)
                    assert list(odd_ones(status)) == []
                assert list(odd_ones(comm.navigation(person))) == []
            assert any(comm.course_status("2", person).message for person in people)
            assert list(odd_ones(comm.provider_choices())) == []


def test_a_dataclass_with_texts_that_a_host_is_given_makes_them_plain() -> None:
    asked_for = (commweb.CourseStatus, commweb.MenuItem)
    assert all(issubclass(kind, PlainFields) for kind in asked_for)
    item = commweb.MenuItem(gettext("Rooms"), None, (commweb.MenuItem(gettext("Chat")),))
    assert list(odd_ones(item)) == []


def test_no_module_flashes_but_through_the_one_that_makes_texts_plain() -> None:
    package = Path(commweb.__file__).parent
    flashing = set()
    for file in package.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "flask":
                flashing |= {file.name for name in node.names if name.name == "flash"}
    mine = {file.name for file in (package / "site").rglob("*.py")}
    assert flashing - mine == set()


def test_what_is_stored_as_a_reason_is_the_sentence_of_an_error() -> None:
    """``message`` is plain and could not be told to readers of another language: it is for the
    log, and for findings, which are shown and not stored."""
    package = Path(commweb.__file__).parent
    found = [
        f"{file.name}:{node.lineno}"
        for folder in ("sync", "providers")
        for file in (package / folder).rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == "error.message"
    ]
    assert {place.partition(":")[0] for place in found} <= {"checks.py", "worker.py"}
