"""Every route of the course site, and what each person gets there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from itsdangerous import URLSafeTimedSerializer

from commweb.names_taken import Taken, key_of
from commweb.site import comm
from commweb.sync.confirming import gone_key, held_key
from commweb.sync.guard import ROOM_GONE
from tests.unit.doors.planted import (
    ADMIN_PASSWORD,
    MATRIX_PASSWORD,
    NEW_PASSWORD,
    TYPED_ACCESS,
    TYPED_REFRESH,
)
from tests.unit.doors.world import ROLES, World

OURS = re.compile(r"/(admin|api|account|_commweb)(/|$)|/courses/<course_id>/")
Typed = Callable[[World], Mapping[str, Any]]


@dataclass(frozen=True)
class Row:
    """One method of one route. ``on`` and ``off`` are the statuses for nobody, stranger, student,
    teacher and admin, while the subsystem is on and off; ``off`` empty: the same.

    ``typed`` fills in the form; ``path`` stands in where the rule has no obvious one.
    """

    method: str
    rule: str
    on: str
    off: str = ""
    typed: Typed | None = None
    path: str = ""

    @property
    def name(self) -> str:
        return f"{self.method} {self.rule}"

    def expected(self, on: bool) -> dict[str, int]:
        words = (self.on if on or not self.off else self.off).split()
        return dict(zip(ROLES, map(int, words), strict=True))

    def address(self, world: World) -> str:
        """The address, with the ids of what is in the world."""
        if self.path:
            return self.path.format_map(world.ids)
        return re.sub(r"<(?:[^:<>]+:)?(\w+)>", lambda m: str(world.ids[m[1]]), self.rule)

    def fields(self, world: World) -> Mapping[str, Any]:
        return self.typed(world) if self.typed else {}

    @property
    def ours(self) -> bool:
        """Whether commweb answers, and not the course site."""
        return bool(OURS.match(self.rule))


def _version(world: World, scope: str) -> str:
    rows = world.dump()["commweb_setting"]
    return str(next((r["version"] for r in rows if r["scope"] == scope and r["key"] == ""), 0))


def _settings(world: World) -> dict[str, str]:
    return {
        "version": _version(world, "provider.matrix"),
        "home_server_url": world.homeserver.url,
        "element_web_url": "https://chat.test",
        "create_rooms_for_new_courses": "y",
        "history_visibility": "shared",
        "closing_rule": "remove_members",
    }


def _tokens(world: World) -> dict[str, str]:
    return {**_settings(world), "access_token": TYPED_ACCESS, "refresh_token": TYPED_REFRESH}


def _sign_in(world: World) -> dict[str, str]:
    return {**_settings(world), "username": "bot", "password": MATRIX_PASSWORD}


def _experimental(world: World) -> dict[str, str]:
    return {"version": _version(world, "site"), "communication_enabled": "y"}


def _course(name: str) -> Typed:
    return lambda _world: {"full_name": name, "short_name": name, "summary": "", "provider": ""}


def _edited(_world: World) -> dict[str, str]:
    return {"full_name": "Algebra", "short_name": "ALG1", "visible": "y", "group_mode": "visible"}


def _choice(_world: World) -> dict[str, str]:
    return {
        "provider": "matrix",
        "matrix-name": "A room",
        "matrix-topic": "A topic",
        "room_mode": "both",
        "group_template": "{room} - {group}",
    }


def _held(_world: World) -> dict[str, str]:
    return {"key": held_key("room_gone", [ROOM_GONE])}


def _gone(world: World) -> dict[str, str]:
    return {"create": "1", "key": gone_key([world.ids["held_room_id"]])}


def _taken(world: World) -> dict[str, str]:
    account = str(world.ids["taken_account"])
    return {"key": key_of([Taken(str(world.ids["taken_person"]), "", account)])}


def _guest(_world: World) -> dict[str, str]:
    return {"account": "@guest:hs.test"}


def _language(_world: World) -> dict[str, str]:
    return {"language": "de"}


def _again(world: World) -> dict[str, str]:
    return {"room": str(world.ids["room_id"])}


def _add_again(world: World) -> dict[str, str]:
    return {**_again(world), "person": str(world.ids["people"]["student3"])}


def _enrolled(world: World) -> dict[str, str]:
    return {"person": str(world.ids["people"]["student7"]), "role": "student"}


def _member(world: World) -> dict[str, str]:
    return {"member": str(world.ids["second_enrolment_id"]), "group": str(world.ids["group_id"])}


def _undo(world: World) -> dict[str, str]:
    """What the page offers an administrator; nobody else may use it, and is told so."""
    people, ids = world.ids["people"], world.ids
    what = [ids["course_id"], people["student8"], "student", [], people["admin"]]
    serializer = URLSafeTimedSerializer(str(world.app.secret_key), salt="undo an unenrolment")
    return {"offer": str(serializer.dumps(what))}


def _deletion(world: World) -> dict[str, str]:
    """The key of what the page shows."""
    with world.app.app_context():
        follows = comm.consequences(str(world.ids["course_id"]))
    return {"confirmed": follows.key} if follows else {}


def _person(_world: World) -> dict[str, str]:
    return {"full_name": "Nina New", "username": "nina", "password": NEW_PASSWORD}


def _login(_world: World) -> dict[str, str]:
    return {"username": "admin", "password": ADMIN_PASSWORD}


def _renamed(_world: World) -> dict[str, str]:
    return {"full_name": "Another Name", "password": NEW_PASSWORD}


def _group(_world: World) -> dict[str, str]:
    return {"group_name": "Green"}


def _own_account(_world: World) -> dict[str, str]:
    return {"user_id": "@mine:hs.test"}


def _code(_world: World) -> dict[str, str]:
    return {"code": "0"}  # what cannot be a code costs no try


def _chat_password(_world: World) -> dict[str, str]:
    return {"password": NEW_PASSWORD, "password_again": NEW_PASSWORD}


# Who is let in: "anybody" or those who administer, teach or see the course.
PUBLIC = "200 200 200 200 200"
MEMBERS = "302 403 200 200 200"
TEACHERS = "302 403 403 200 200"
TEACHERS_POST = "302 403 403 303 303"
TEACHERS_OFF = "302 403 403 404 404"
ADMINS = "302 403 403 403 200"
ADMINS_POST = "302 403 403 403 303"
ADMINS_OFF = "302 403 403 403 404"
PEOPLE = "302 200 200 200 200"
PEOPLE_POST = "302 303 303 303 303"
PEOPLE_OFF = "302 404 404 404 404"

COURSE = "/courses/<int:course_id>"
COMMUNICATION = "/courses/<course_id>/communication"
PROVIDERS = "/admin/communication/providers"
MATRIX = f"{PROVIDERS}/matrix"
ROOMS = "/admin/communication/rooms"
ROOM = f"{ROOMS}/<int(max=2147483647):room_id>"

TABLE = (
    # The course site's own pages
    Row("GET", "/", "302 302 302 302 302"),
    Row("GET", "/static/<path:filename>", PUBLIC, path="/static/site.css"),
    Row(
        "GET",
        "/bootstrap/static/<path:filename>",
        PUBLIC,
        path="/bootstrap/static/css/bootstrap.min.css",
    ),
    Row("GET", "/login", "200 302 302 302 302"),
    Row("POST", "/login", "303 303 303 303 303", typed=_login),
    Row("POST", "/logout", "303 303 303 303 303"),
    Row("POST", "/language", "303 303 303 303 303", typed=_language),
    Row("GET", "/courses/", "302 200 200 200 200"),
    Row("GET", "/courses/new", ADMINS),
    Row("POST", "/courses/new", ADMINS_POST, typed=_course("NEW1")),
    Row("GET", COURSE, MEMBERS),
    Row("GET", f"{COURSE}/edit", TEACHERS),
    Row("POST", f"{COURSE}/edit", TEACHERS_POST, typed=_edited),
    Row("GET", f"{COURSE}/delete", ADMINS),
    Row("POST", f"{COURSE}/delete", ADMINS_POST, typed=_deletion),
    Row("GET", f"{COURSE}/image", MEMBERS),
    Row("POST", f"{COURSE}/enrol", TEACHERS_POST, typed=_enrolled),
    Row("POST", f"{COURSE}/enrolments/<int:enrolment_id>/remove", TEACHERS_POST),
    Row("POST", f"{COURSE}/enrolments/undo", TEACHERS_POST, typed=_undo),
    Row("POST", f"{COURSE}/groups", TEACHERS_POST, typed=_group),
    Row("POST", f"{COURSE}/groups/members", TEACHERS_POST, typed=_member),
    Row(
        "POST",
        f"{COURSE}/groups/<int:group_id>/members/<int:enrolment_id>/remove",
        TEACHERS_POST,
    ),
    Row("GET", f"{COURSE}/groups/<int:group_id>/delete", TEACHERS),
    # Nobody is in the room of this group, so that nothing is asked.
    Row("POST", f"{COURSE}/groups/<int:group_id>/delete", TEACHERS_POST),
    Row("GET", "/people", ADMINS),
    Row("POST", "/people", ADMINS_POST, typed=_person),
    Row("GET", "/people/<int:person_id>/edit", ADMINS),
    Row("POST", "/people/<int:person_id>/edit", ADMINS_POST, typed=_renamed),
    Row("POST", "/people/<int:person_id>/suspend", ADMINS_POST),
    Row("POST", "/people/<int:person_id>/reinstate", ADMINS_POST),
    # commweb: administration
    Row("GET", "/_commweb/static/<path:filename>", PUBLIC, path="/_commweb/static/commweb.css"),
    Row("GET", "/admin/", ADMINS),
    Row("GET", "/admin/experimental", ADMINS),
    Row("POST", "/admin/experimental", ADMINS_POST, typed=_experimental),
    Row("GET", PROVIDERS, ADMINS, ADMINS_OFF),
    Row("GET", f"{PROVIDERS}/<provider_id>", ADMINS_OFF, path=f"{PROVIDERS}/nothing"),
    Row("POST", f"{PROVIDERS}/<provider_id>/enable", ADMINS_POST, ADMINS_OFF),
    Row("POST", f"{PROVIDERS}/<provider_id>/disable", ADMINS_POST, ADMINS_OFF),
    Row("POST", f"{PROVIDERS}/<provider_id>/uninstall", "302 403 403 403 403", ADMINS_OFF),
    Row("GET", MATRIX, ADMINS, ADMINS_OFF),
    Row("POST", MATRIX, ADMINS_POST, ADMINS_OFF, typed=_tokens),
    Row("POST", f"{MATRIX}/test", ADMINS_POST, ADMINS_OFF),
    Row("POST", f"{MATRIX}/lift-limits", ADMINS_POST, ADMINS_OFF),
    Row("GET", f"{MATRIX}/accounts", ADMINS, ADMINS_OFF),
    Row("POST", f"{MATRIX}/accounts/keep", ADMINS_POST, ADMINS_OFF, typed=_taken),
    Row("POST", f"{MATRIX}/accounts/ask", ADMINS_POST, ADMINS_OFF, typed=_taken),
    Row("GET", f"{MATRIX}/clear-tokens", ADMINS, ADMINS_OFF),
    Row("POST", f"{MATRIX}/clear-tokens", ADMINS_POST, ADMINS_OFF),
    Row("GET", f"{MATRIX}/changes", ADMINS_POST, ADMINS_OFF),
    Row("POST", f"{MATRIX}/changes", ADMINS_POST, ADMINS_OFF),
    Row("GET", f"{MATRIX}/another-server", ADMINS_POST, ADMINS_OFF),
    Row("POST", f"{MATRIX}/another-server", ADMINS_POST, ADMINS_OFF),
    Row("GET", f"{MATRIX}/sign-in", ADMINS, ADMINS_OFF),
    Row("POST", f"{MATRIX}/sign-in", ADMINS_POST, ADMINS_OFF, typed=_sign_in),
    Row("GET", ROOMS, ADMINS, ADMINS_OFF),
    Row("POST", f"{ROOMS}/backfill", ADMINS_POST, ADMINS_OFF),
    Row("GET", ROOM, ADMINS, ADMINS_OFF),
    Row("POST", f"{ROOM}/retry", ADMINS_POST, ADMINS_OFF),
    Row(
        "POST",
        f"{ROOM}/confirm",
        ADMINS_POST,
        ADMINS_OFF,
        path=f"{ROOMS}/{{held_room_id}}/confirm",
        typed=_held,
    ),
    Row("POST", f"{ROOM}/remove-guest", ADMINS_POST, ADMINS_OFF, typed=_guest),
    Row("POST", f"{ROOMS}/gone", ADMINS_POST, ADMINS_OFF, typed=_gone),
    # commweb: courses
    Row("GET", COMMUNICATION, TEACHERS, TEACHERS_OFF),
    Row("POST", COMMUNICATION, TEACHERS_POST, TEACHERS_OFF, typed=_choice),
    Row("GET", f"{COMMUNICATION}/members", TEACHERS, TEACHERS_OFF),
    Row("POST", f"{COMMUNICATION}/members/again", TEACHERS_POST, TEACHERS_OFF, typed=_again),
    Row("POST", f"{COMMUNICATION}/members/add", TEACHERS_POST, TEACHERS_OFF, typed=_add_again),
    # An administrator is in neither of the two rooms and chooses.
    Row("GET", "/courses/<course_id>/chat", "302 403 303 303 200", "302 403 404 404 404"),
    # commweb: everybody's own account. In the world all have linked one and wait for a code.
    Row("GET", "/account", PEOPLE, PEOPLE_OFF),
    Row("POST", "/account/link", PEOPLE_POST, PEOPLE_OFF, typed=_own_account),
    Row("POST", "/account/confirm", "302 422 422 422 422", PEOPLE_OFF, typed=_code),
    Row("POST", "/account/cancel", PEOPLE_POST, PEOPLE_OFF),
    Row("POST", "/account/unlink", PEOPLE_POST, PEOPLE_OFF),
    Row("POST", "/account/agree", PEOPLE_POST, PEOPLE_OFF),
    Row("POST", "/account/again", PEOPLE_POST, PEOPLE_OFF),
    Row("POST", "/account/password", "302 403 403 403 403", PEOPLE_OFF, typed=_chat_password),
    Row("GET", "/api/v1/courses/<course_id>/room", "401 403 200 200 200", "401 403 404 404 404"),
    Row("GET", "/api/healthz", PUBLIC),
    Row("GET", "/api/readyz", PUBLIC),
)
POSTS = tuple(row for row in TABLE if row.method == "POST")
GETS = tuple(row for row in TABLE if row.method == "GET")
