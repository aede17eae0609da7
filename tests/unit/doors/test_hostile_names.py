"""Names and reasons are text, whatever is in them: a page with hostile ones has the same tags and
attributes as one with ordinary ones, and shows them as they are."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.unit.doors.homeserver import Seen, Told
from tests.unit.doors.pages import Page, followed
from tests.unit.doors.table import GETS, MATRIX, POSTS, Row
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server

ORDINARY = "ordinary"
HOSTILE = {
    "tags": '"><script>alert(1)</script><img src=x onerror=alert(2)><!--',
    "attributes": "' onmouseover='alert(1)' x=\" autofocus onfocus=\"alert(2)",
    "ends": "</title></textarea></select></option></style></script><svg onload=alert(1)>",
    "templates": "{{9**9}}{% raw %}{{config}}${9**9}#{9**9}<%= 9**9 %>{9**9}",
    "formats": "%(name)s %s %d %% {0} {reason} %(reason)s %(nothing)s",
    "directions": "\u202egnp.exe\u2066\u200f\u200b<b>\u2029",
    "entities": "&lt;script&gt;alert(1)&#x3c;/script&#62;&amp;&copy",
    "addresses": "javascript:alert(1)//https://x.test/?a=b&c=d#e",
}
PLACES = {
    "person": ("full_name",),
    "course": ("full_name", "summary"),
    "course_group": ("name",),
    "commweb_course": ("course_name",),
    "commweb_room": ("name", "topic", "reason"),
    "commweb_member": ("display_name", "reason", "remote_user_id"),
    "commweb_connection": ("user_id", "reason"),
}


def rename(world: World, text: str) -> None:
    """Put ``text`` wherever a name or a reason can stand."""
    for table, columns in PLACES.items():
        for column in columns:
            world.execute(f"UPDATE {table} SET {column} = ? || {column!r}", text)
    # Two that have to stay unique.
    world.execute("UPDATE course SET short_name = id || ?", text)
    world.execute("UPDATE person SET username = id || ?", text)
    options = json.dumps({"name": text, "topic": text, "picture": True})
    world.execute(
        "INSERT INTO commweb_course_option VALUES (?, 'matrix', ?)",
        str(world.ids["course_id"]),
        options,
    )
    world.execute(
        "INSERT INTO commweb_setting VALUES "
        "('provider.matrix', 'sso_provider_id', ?, 1, '2030-01-01 00:00:00', '1')",
        json.dumps(text),
    )


STATES = {
    "as furnished": "SELECT 1",
    "rooms failing": "UPDATE commweb_room SET status = 'failing', remote_id = NULL",
    "rooms pending": "UPDATE commweb_room SET status = 'pending', remote_id = NULL, name = NULL",
    "nobody in": "UPDATE commweb_member SET state = 'failing'",
    "everybody left": "UPDATE commweb_member SET state = 'left'",
    "sign-in needed": "UPDATE commweb_connection SET state = 'sign_in_needed'",
}


EVERYTHING = " ".join(HOSTILE.values())


def pages(world: World, state: str, text: str) -> dict[str, Page]:
    world.restore()
    rename(world, text)
    world.execute(STATES[state])
    found = {}
    for role in ("student", "teacher", "admin"):
        for row in GETS:
            response = world.ask(role, "GET", row.address(world))
            assert response.status_code < 500
            if response.mimetype == "text/html" and response.status_code not in (302, 303, 403):
                found[f"{role} {row.name} {response.status_code}"] = Page(response.text)
    return found


@pytest.mark.parametrize("state", STATES)
def test_every_page_has_the_same_tags_whatever_the_names_are(world: World, state: str) -> None:
    ordinary = pages(world, state, ORDINARY)
    hostile = pages(world, state, EVERYTHING)
    assert hostile.keys() == ordinary.keys()
    for name, page in hostile.items():
        assert page.skeleton == ordinary[name].skeleton, name
        assert (EVERYTHING in page.text) == (ORDINARY in ordinary[name].text), name
        assert "387420489" not in page.text, name  # 9**9, worked out by a template


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_json_holds_the_names_as_they_are(world: World, text: str) -> None:
    rename(world, text)
    response = world.ask("teacher", "GET", f"/api/v1/courses/{world.ids['course_id']}/room")
    assert response.content_type == "application/json"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    rooms = response.get_json()["rooms"]
    assert {room["name"] for room in rooms} == {f"{text}name"}
    assert {room["reason"] for room in rooms} == {f"{text}reason"}


TYPED: dict[str, Callable[[str], dict[str, str]]] = {
    "/login": lambda text: {"username": text, "password": "x"},
    "/courses/new": lambda text: {"full_name": text, "short_name": text[:90], "summary": text},
    "/courses/<int:course_id>/edit": lambda text: {"full_name": text, "short_name": text[:90],
                                                   "group_mode": "visible", "opens": text},
    "/courses/<int:course_id>/groups": lambda text: {"group_name": text[:90]},
    "/people": lambda text: {"full_name": text, "username": text},
    "/people/<int:person_id>/edit": lambda text: {"full_name": text, "password": "x"},
    "/courses/<course_id>/communication": lambda text: {
        "provider": "matrix", "matrix-name": text, "matrix-topic": text, "room_mode": text,
        "group_template": text},
    MATRIX: lambda text: {"home_server_url": text, "element_web_url": text,
                          "sso_provider_id": text, "history_visibility": text,
                          "access_token": text},
    f"{MATRIX}/sign-in": lambda text: {"home_server_url": text, "username": text,
                                       "password": text, "sso_provider_id": text},
}  # fmt: skip
COMPLETED = {row.rule: row for row in POSTS if row.rule in TYPED}


def sent(world: World, row: Row, text: str) -> Page:
    """The page after the form was sent with ``text``: with its errors, or with the message."""
    world.restore()
    fields = {**row.fields(world), **TYPED[row.rule](text)}
    role = "nobody" if row.rule == "/login" else "admin"
    response = world.ask(role, "POST", row.address(world), fields)
    assert response.status_code in (303, 422)
    if response.status_code == 303:
        response = followed(world, role, response)
        assert response.status_code == 200
    return Page(response.text)


@pytest.mark.parametrize("row", COMPLETED.values(), ids=COMPLETED)
def test_what_was_typed_comes_back_as_text(world: World, row: Row) -> None:
    for kind, text in HOSTILE.items():
        page = sent(world, row, text)
        assert not smuggled(page), (kind, page.skeleton)


def smuggled(page: Page) -> list[str]:
    """Tags and attributes that no template of ours has."""
    found = [
        f"{tag} {name}"
        for tag, attributes in page.tags
        for name in attributes
        if name.startswith("on") or (tag == "script" and name not in ("src", "defer"))
    ]
    return found + [
        tag for tag, _attributes in page.tags if tag in ("img", "svg") and bad(_attributes)
    ]


def bad(attributes: dict[str, str]) -> bool:
    return attributes.get("src") == "x" or not attributes


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_messages_about_hostile_names_are_text(world: World, text: str) -> None:
    plain = messages(world, ORDINARY)
    hostile = messages(world, text)
    assert hostile.keys() == plain.keys()
    for name, page in hostile.items():
        assert page.skeleton == plain[name].skeleton, name
        assert text in page.text, name


def messages(world: World, text: str) -> dict[str, Page]:
    found = {}
    for row in POSTS:
        if not row.rule.startswith(("/people/", "/courses/<int")) or row.typed is not None:
            continue
        world.restore()
        rename(world, text)
        response = world.ask("admin", "POST", row.address(world), {})
        found[row.rule] = Page(followed(world, "admin", response).text)
    return found


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_what_a_homeserver_says_is_text(world: World, text: str) -> None:
    plain, hostile = spoken(world, ORDINARY), spoken(world, text.replace("\u2029", ""))
    for name, page in hostile.items():
        assert page.skeleton == plain[name].skeleton, name


def spoken(world: World, text: str) -> dict[str, Page]:
    """The settings page after a test of a homeserver that says ``text`` wherever it can."""
    latin = text.encode("ascii", "replace").decode()

    def claims(seen: Seen) -> Told | None:
        if seen.path.endswith("/whoami"):
            # A colon would make it an account of another server, which is said.
            name = text.replace(":", "")
            return Told(200, {"user_id": f"@{name}:hs.test", "device_id": text})
        return None

    def redirects(_seen: Seen) -> Told:
        return Told(302, {}, {"Location": f"https://hs.test/{latin}"})

    def refuses(_seen: Seen) -> Told:
        return Told(403, {"errcode": text, "error": text})

    found = {}
    for name, answer in (("claims", claims), ("redirects", redirects), ("refuses", refuses)):
        world.restore()
        world.homeserver.instead = answer
        response = world.ask("admin", "POST", f"{MATRIX}/test", {})
        found[name] = Page(followed(world, "admin", response).text)
    return found
