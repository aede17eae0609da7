"""The names a host relies on. A change here is a change for every host: say so in the changelog."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import commweb
import commweb.errors
import commweb.migrate
import commweb.testing
from commweb.config import KEYS
from tests.embedding.visiting import Open

DATA = {
    "Person": [
        "id", "username", "display_name", "active", "matrix_user_id", "external_id", "accounts",
    ],
    "Course": [
        "id", "full_name", "short_name", "url", "summary", "visible", "opens_at", "closes_at",
        "image",
    ],
    "CourseImage": ["digest", "media_type", "read"],
    "Group": ["id", "name"],
    "Member": ["person", "role", "group_ids", "active"],
    "CourseStatus": ["status", "message", "rooms", "chat_url", "settings_url"],
    "MenuItem": ["text", "url", "children"],
    "Consequences": [
        "people", "rooms", "deleted_rooms", "as_of", "sentences", "button", "key", "room_ids",
        "guests",
    ],
}  # fmt: skip
CALLS = {
    "init_app": "app, db, host, registry, forms",
    "course_created": "course_id, provider",
    "course_changed": "course_id",
    "course_deleted": "course_id",
    "group_deleted": "course_id, group_id",
    "person_changed": "person_id",
    "person_deleted": "person_id",
    "course_status": "course_id, person",
    "navigation": "person",
    "consequences": "course_id, group_id, deleted",
    "provider_choices": "",
    "default_provider": "",
    "upgrade": "",
    "set_enabled": "on, actor",
    "configure": (
        "provider, values, access_token, refresh_token, expires_in_seconds, user_id, device_id, "
        "secrets, actor, allow_new_server"
    ),
    "connection_state": "provider",
}
HOST = {
    "current_person": "",
    "login_url": "next",
    "can": "person, permission, course_id",
    "course": "id",
    "courses": "",
    "groups": "course_id",
    "members": "course_id",
    "person": "id",
}
ENDPOINTS = {
    "commweb.admin.index": "/admin/",
    "commweb.experimental.edit": "/admin/experimental",
    "commweb.providers.index": "/admin/communication/providers",
    "commweb.rooms.index": "/admin/communication/rooms",
    "commweb.course.edit": "/courses/<course_id>/communication",
    "commweb.course.chat": "/courses/<course_id>/chat",
    "commweb.api.room": "/api/v1/courses/<course_id>/room",
    "commweb.api.healthz": "/api/healthz",
    "commweb.api.readyz": "/api/readyz",
    "commweb.static": "/_commweb/static/<path:filename>",
}
ROOT = Path(commweb.__file__).parent
COLLEGE = Path(__file__).parent / "college"


def parameters(function: object) -> str:
    names = list(inspect.signature(function).parameters)  # type: ignore[arg-type]
    return ", ".join(name for name in names if name != "self")


def test_the_names_of_the_package() -> None:
    assert sorted(commweb.__all__) == sorted(
        [*DATA, "CommWeb", "DEFAULT", "Host", "Permission", "Role"]
    )
    assert commweb.testing.__all__ == ["HostContract"]
    assert "include_name" in commweb.migrate.__all__
    assert {"CommWebError", "HostError", "MisuseError"} <= set(commweb.errors.__all__)


def test_the_fields_of_what_crosses() -> None:
    for name, expected in DATA.items():
        crossing = getattr(commweb, name)
        assert list(inspect.signature(crossing).parameters) == expected, name
        assert {field.name for field in fields(crossing)} <= set(expected), name
    assert [role.name for role in commweb.Role] == ["PARTICIPANT", "MODERATOR", "ADMIN"]
    assert [permission.name for permission in commweb.Permission] == [
        "CONFIGURE_SITE",
        "CONFIGURE_COURSE",
        "VIEW_COURSE",
    ]


def test_what_a_host_may_call() -> None:
    calls = {
        name: parameters(member)
        for name, member in inspect.getmembers(commweb.CommWeb, inspect.isfunction)
        if not name.startswith("_")
    }
    assert calls == CALLS
    assert parameters(commweb.CommWeb.__init__) == "app, db, host, registry, forms"
    assert commweb.CommWeb().api_blueprint.name == "api"


def test_what_a_host_has_to_answer() -> None:
    methods = sorted(commweb.Host.__abstractmethods__)
    assert {name: parameters(getattr(commweb.Host, name)) for name in methods} == HOST


def test_the_endpoints_a_host_may_link_to(college: Open) -> None:
    rules = {rule.endpoint: rule.rule for rule in college.app.url_map.iter_rules()}
    for endpoint, path in ENDPOINTS.items():
        assert rules[endpoint] == f"/communication{path}"


def test_what_a_hosts_templates_may_use(college: Open) -> None:
    names = {name for name in college.app.jinja_env.globals if name.startswith("commweb")}
    assert names == {
        "commweb_course_status",
        "commweb_gettext",
        "commweb_ngettext",
        "commweb_datetime",
    }
    assert college.app.jinja_env.get_template("commweb/course_status.html")
    assert college.app.jinja_env.get_template("commweb/layout.html")


def test_every_configuration_key_is_ours_and_said_once() -> None:
    names = [key.name for key in KEYS]
    assert len(names) == len(set(names))
    assert all(name.startswith("COMMWEB_") for name in names)


def test_the_college_shares_nothing_with_the_course_site() -> None:
    """It imports public names only, and none of its files is the course site's."""
    imported = set()
    for file in COLLEGE.glob("*.py"):
        imported |= set(re.findall(r"^\s*(?:from|import) (commweb[\w.]*)", file.read_text(), re.M))
    assert imported == {"commweb", "commweb.migrate", "commweb.providers"}
    for file in COLLEGE.rglob("*"):
        if file.suffix in {".py", ".html"}:
            text = file.read_text()
            assert "commweb.site" not in text
            assert "base.html" not in text
