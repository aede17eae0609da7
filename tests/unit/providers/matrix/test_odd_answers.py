"""Whatever one call is answered, nothing is believed of it: the whole engine on a small server.

Every call that the client knows meets every answer that says nothing about the thing asked for.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import responses
from sqlalchemy import select, update

from commweb import CourseImage
from commweb.encryption import Secret
from commweb.models import Connection as SessionRow
from commweb.models import MemberRow, RoomRow
from commweb.providers.matrix import calls
from commweb.providers.matrix.calls import Call, every_call
from commweb.providers.matrix.client import Limits, MatrixClient
from commweb.providers.matrix.provider import MatrixProvider
from commweb.sync.worker import Worker
from tests.sites import Site, student, switched_on, teacher
from tests.stored_session import BASE_URL
from tests.unit.providers.matrix.small_server import SmallServer

ADA, BOB, CYD = "@ada:hs.example", "@bob:hs.example", "@cyd:hs.example"


def matrix(status: int, errcode: str, error: str = "x") -> tuple[int, dict[str, str], str]:
    return status, {}, json.dumps({"errcode": errcode, "error": error})


ODD = {
    "404 as a page": (404, {"Content-Type": "text/html"}, "<h1>Not Found</h1>"),
    "404 and nothing": (404, {}, ""),
    "404 unrecognized": matrix(404, "M_UNRECOGNIZED"),
    "404 forbidden": matrix(404, "M_FORBIDDEN"),
    "404 another object": (404, {}, '{"detail": "Not Found"}'),
    "405 unrecognized": matrix(405, "M_UNRECOGNIZED"),
    "405 not found": matrix(405, "M_NOT_FOUND"),
    "410 not found": matrix(410, "M_NOT_FOUND"),
    "410 as a page": (410, {}, "<h1>Gone</h1>"),
    "403 as a page": (403, {}, "<h1>Forbidden</h1>"),
    "403 of nobody": matrix(403, "M_SOMETHING_NEW"),
    "400 and nothing": (400, {}, ""),
    "401 missing token": matrix(401, "M_MISSING_TOKEN"),
    "502 with a code": matrix(502, "M_NOT_FOUND"),
    "502 as a page": (502, {}, "<h1>Bad Gateway</h1>"),
    "302 elsewhere": (302, {"Location": "https://other.example/login"}, ""),
    "200 as a page": (200, {}, "<h1>Welcome</h1>"),
    "200 and a list": (200, {}, "[]"),
    "200 and an empty object": (200, {}, "{}"),
    "200 and another object": (200, {}, '{"status": "ok"}'),
    "200 and empty lists": (200, {}, '{"state": [], "rooms": [], "results": []}'),
    "200 and lists of other things": (
        200,
        {},
        '{"state": [{"type": "m.room.x"}], "rooms": [1], "members": [], "results": {}}',
    ),
    "suspended": matrix(403, "M_USER_SUSPENDED"),
    "locked": matrix(401, "M_USER_LOCKED"),
    "terms": matrix(403, "M_CONSENT_NOT_GIVEN"),
    "stopped": matrix(403, "M_RESOURCE_LIMIT_EXCEEDED"),
    "no space": matrix(507, "M_UNKNOWN"),
}
CALLS = {f"{call.method} {call.path}": call for call in every_call()}
CHANGING = [
    f"{call.method} {call.path}"
    for call in (
        calls.REFRESH,
        calls.CAPABILITIES,
        calls.USER,
        calls.PUT_USER,
        calls.CREATE_ROOM,
        calls.ROOM_STATE,
        calls.STATE,
        calls.PUT_STATE,
        calls.ADMIN_JOIN,
        calls.KICK,
        calls.LARGEST_UPLOAD,
        calls.UPLOAD,
    )
]
"""What the engine asks while it changes rooms."""
MOST_ODD = [
    "404 as a page",
    "404 unrecognized",
    "410 not found",
    "403 of nobody",
    "502 with a code",
    "200 as a page",
    "200 and an empty object",
    "200 and another object",
    "200 and empty lists",
    "200 and lists of other things",
    "suspended",
    "terms",
]


@pytest.fixture
def server() -> Iterator[SmallServer]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        made = SmallServer()
        made.serve(mock)
        yield made


@pytest.fixture
def school(tmp_path: Path, server: SmallServer) -> Iterator[Site]:
    """A course with a room in which everything is as it should be."""
    with switched_on(tmp_path, MatrixProvider()) as made:
        with made.app.app_context():
            made.comm.configure(
                "matrix",
                {
                    "home_server_url": BASE_URL,
                    "element_web_url": "https://e.example",
                    "closing_rule": "delete_room",
                },
                access_token=server.access,
                refresh_token="refresh-0",
            )
        made.campus.add("1", teacher("ada"), student("bob"))
        report(made, "1", new=True)
        Worker(made.state).work()
        assert [server.inside(room) for room in server.kept.rooms] == [{ADA, BOB}]
        yield made


def report(school: Site, course_id: str, *, new: bool = False) -> None:
    with school.app.app_context():
        if new:
            school.comm.course_created(course_id, provider="matrix")
        else:
            school.comm.course_changed(course_id)
        school.db.session.commit()


def rows(school: Site) -> tuple[list[Any], list[Any]]:
    with school.app.app_context():
        rooms = school.db.session.execute(select(RoomRow.__table__)).all()
        return list(rooms), list(school.db.session.execute(select(MemberRow.__table__)).all())


def work_again(school: Site, server: SmallServer) -> None:
    """Once more, with a server that answers well and all rests over."""
    server.odd = None
    rested = {"next_attempt_at": None, "unsure_until": None}
    with school.app.app_context():
        school.db.session.execute(update(RoomRow).values(rested))
        school.db.session.execute(update(SessionRow).values(blocked_until=None, trouble_code=None))
        school.db.session.commit()
    for course_id in school.campus.course_table:
        report(school, course_id)
    Worker(school.state).work()


def believed_is_true(school: Site, server: SmallServer) -> None:
    """No record says done what is not, and no room exists twice."""
    rooms, members = rows(school)
    found = {room.id: room.remote_id for room in rooms}
    assert all(remote in server.kept.rooms for remote in found.values() if remote)
    for member in members:
        remote = found[member.room_id]
        if member.state == "in":
            assert remote
            assert member.remote_user_id in server.inside(remote)
        if member.state == "removed" and remote:
            assert member.remote_user_id not in server.inside(remote)
    for room in rooms:
        if room.remote_id and room.name is not None:
            name = server.kept.rooms[room.remote_id]["m.room.name", ""]["content"]["name"]
            assert room.name == name
    keys = [
        state["m.room.create", ""]["content"]["org.commweb.creation_key"]
        for state in server.kept.rooms.values()
    ]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("name", CALLS)
def test_a_room_that_is_right_stays_as_it_is_whatever_is_answered(
    school: Site, server: SmallServer, name: str
) -> None:
    asked = name in CHANGING or CALLS[name] == calls.WHOAMI
    for says in list(ODD.values())[: None if asked else 1]:
        before, recorded = server.copy_of_kept(), rows(school)[1]
        server.odd, server.says = CALLS[name], lambda says=says: says
        report(school, "1")
        Worker(school.state).work()
        assert server.kept == before, says
        assert [(m.person_id, m.state) for m in rows(school)[1]] == [
            (m.person_id, m.state) for m in recorded
        ]
        work_again(school, server)
        believed_is_true(school, server)
        assert server.kept == before, says


@pytest.mark.parametrize("name", CHANGING)
@pytest.mark.parametrize("kind", MOST_ODD)
def test_no_change_is_believed_that_was_not_made(
    school: Site, server: SmallServer, name: str, kind: str
) -> None:
    if name.endswith("/kick") and kind == "200 and an empty object":
        return  # the very answer of a server that has done it
    (room_id,) = server.kept.rooms
    server.odd, server.says = CALLS[name], lambda: ODD[kind]
    school.campus.add("1", teacher("ada"), student("cyd"), name="Geometry")
    course = school.campus.course_table["1"]
    picture = CourseImage("digest", "image/png", lambda: b"png")
    school.campus.course_table["1"] = replace(course, image=picture)
    report(school, "1")
    school.campus.add("2", teacher("cyd"))
    report(school, "2", new=True)
    Worker(school.state).work()
    assert ADA in server.inside(room_id)
    believed_is_true(school, server)
    work_again(school, server)
    work_again(school, server)
    believed_is_true(school, server)
    inside = {room: server.inside(room) for room in server.kept.rooms}
    assert inside.pop(room_id) == {ADA, CYD}
    assert list(inside.values()) == [{CYD}]


# The table


def methods() -> dict[str, Any]:
    return {
        name: method
        for name, method in inspect.getmembers(MatrixClient, inspect.isfunction)
        if not name.startswith("_")
    }


@pytest.mark.parametrize("name", methods())
def test_every_method_of_the_client_asks_what_the_table_knows(name: str) -> None:
    """A method that is new, or asks something that nobody described, fails here."""
    seen: list[tuple[str, str]] = []

    class Caller:
        def call(self, method: str, path: str, **_more: Any) -> Any:
            seen.append((method, path))
            raise KeyboardInterrupt

    method = getattr(MatrixClient(Caller()), name)
    example = {
        "Mapping[str, Any]": {},
        "Iterable[tuple[str, str]]": [("oidc", "1")],
        "Limits": Limits(0, 0),
        "Secret": Secret("word"),
        "bytes": b"x",
        "int": 1,
        "bool": True,
    }
    needed = [
        one for one in inspect.signature(method).parameters.values() if one.default is one.empty
    ]
    values = {one: example.get(str(one.annotation), f"!{one.name}:hs") for one in needed}
    named = {one.name: value for one, value in values.items() if one.kind is one.KEYWORD_ONLY}
    with pytest.raises(KeyboardInterrupt):
        method(*(value for one, value in values.items() if one.name not in named), **named)
    (asked,) = seen
    assert calls.call_of(*asked) in every_call()


def test_each_call_is_found_by_its_own_path() -> None:
    for call in every_call():
        names = ["!x:hs", "m.room.name", ""][: call.path.count("{}")]
        assert calls.call_of(call.method, call.path_with(*names)) is call


def test_what_nobody_described_may_be_refused_nothing() -> None:
    unknown = calls.call_of("POST", "/_matrix/client/v3/rooms/x/upgrade")
    assert unknown == Call("POST", "/_matrix/client/v3/rooms/x/upgrade")
    assert not unknown.no
    assert not unknown.absent


def test_only_one_answer_says_that_a_thing_is_not_there() -> None:
    """Calls that older or delegated servers do not have at all are the exception; they tell
    nothing about rooms or people."""
    for call in every_call():
        if call not in (calls.AUTH_METADATA, calls.LOGIN):
            assert call.absent <= {(404, "M_NOT_FOUND")}
