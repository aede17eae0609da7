"""Headers of our pages, and where their links lead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from flask import Flask, Response
from flask_sqlalchemy import SQLAlchemy

from commweb import CommWeb
from commweb.links import app_link, web_link
from commweb.site import comm
from commweb.state import state_of
from tests.sites import Campus, Site, site, student, teacher
from tests.unit.doors.pages import Page, leaves
from tests.unit.doors.table import GETS, MATRIX, POSTS
from tests.unit.doors.world import ROLES, World

pytestmark = pytest.mark.local_server

EVIL = (
    "javascript:alert(1)",
    "JavaScript:alert(1)//https://x.test",
    " javascript:alert(1)",
    "java\tscript:alert(1)",
    "\x01javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:msgbox(1)",
    "blob:https://x.test/1",
    "file:///etc/passwd",
    "https:alert(1)",
    "https://x.test/\njavascript:alert(1)",
)


@pytest.fixture
def campus(tmp_path: Path) -> Iterator[Site]:
    """A foreign host that sets no header of its own."""
    with site(tmp_path) as made:
        made.campus.add("42", teacher("tea"), student("stu"))
        with made.app.app_context():
            made.comm.set_enabled(True)
        yield made


def ask(made: Site, path: str, person: str | None = "admin", **options: object) -> Response:
    headers = {"X-Person": person} if person else {}
    response = made.app.test_client().open(path, headers=headers, **options)
    response.close()
    return response


OUR_PAGES = (
    ("GET", "/communication/admin/", "admin", 200),
    ("GET", "/communication/admin/", "stu", 403),
    ("GET", "/communication/admin/", None, 302),
    ("POST", "/communication/admin/experimental", "admin", 400),
    ("POST", "/communication/admin/communication/providers/matrix/test", "admin", 400),
    ("GET", "/communication/admin/communication/providers/matrix", "admin", 200),
    ("GET", "/communication/admin/communication/providers/none", "admin", 404),
    ("GET", "/communication/courses/42/communication", "tea", 200),
    ("GET", "/communication/courses/42/chat", "tea", 404),
    ("GET", "/communication/api/v1/courses/42/room", "tea", 200),
    ("GET", "/communication/api/v1/courses/42/room", None, 401),
    ("GET", "/communication/_commweb/static/commweb.css", None, 200),
)


@pytest.mark.parametrize(("method", "path", "person", "status"), OUR_PAGES)
def test_our_pages_cannot_be_framed_and_their_types_not_guessed(
    campus: Site, method: str, path: str, person: str | None, status: int
) -> None:
    response = ask(campus, path, person, method=method)
    assert response.status_code == status
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    if "static" not in path:
        assert "no-store" in response.headers["Cache-Control"]


def test_the_hosts_own_pages_are_left_alone(campus: Site) -> None:
    campus.app.add_url_rule("/own", "own", lambda: "a page of the host")
    for path in ("/own", "/nowhere"):
        assert "X-Frame-Options" not in ask(campus, path).headers


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
@pytest.mark.parametrize(
    ("name", "value", "frame_options"),
    [
        ("X-Frame-Options", "SAMEORIGIN", "SAMEORIGIN"),
        ("Content-Security-Policy", "default-src 'self'; frame-ancestors https://lms.test", None),
        ("Content-Security-Policy", "default-src 'self'", "DENY"),
    ],
)
def test_a_host_that_says_who_may_frame_is_heard_whenever_it_registered(
    tmp_path: Path, before: bool, name: str, value: str, frame_options: str | None
) -> None:
    app = Flask("framing", instance_path=str(tmp_path))
    app.config.update(
        SECRET_KEY="x",
        SQLALCHEMY_DATABASE_URI=f"sqlite:///{tmp_path}/framing.db",
        COMMWEB_SECRET_KEYS="S2V5LWtleS1rZXkta2V5LWtleS1rZXkta2V5LWtleS0=",
        COMMWEB_QUEUE_URL="inline",
    )
    database = SQLAlchemy(app)

    def host_headers(response: Response) -> Response:
        response.headers.setdefault(name, value)
        return response

    if before:
        app.after_request(host_headers)
    CommWeb(app, db=database, host=Campus())
    if not before:
        app.after_request(host_headers)
    response = app.test_client().get("/communication/api/healthz")
    state_of(app).database.dispose()
    with app.app_context():
        database.engine.dispose()
    assert response.headers[name] == value
    assert response.headers.get("X-Frame-Options") == frame_options


def test_the_course_sites_own_policy_is_kept(world: World) -> None:
    for row in GETS:
        response = world.ask("admin", "GET", row.address(world))
        assert "frame-ancestors 'none'" in response.headers["Content-Security-Policy"]
        assert "unsafe" not in response.headers["Content-Security-Policy"]


def drawn(world: World) -> Iterator[tuple[str, Page]]:
    """Every page of every person, and the pages of forms with errors."""
    for role in ROLES:
        for row in (*GETS, *POSTS):
            fields = {"nothing": "x"} if row.method == "POST" else None
            response = world.ask(role, row.method, row.address(world), fields)
            if response.mimetype == "text/html" and response.status_code not in (302, 303):
                yield f"{role} {row.name}", Page(response.text)


def test_every_link_is_http_or_a_path_and_those_that_leave_have_no_opener(world: World) -> None:
    seen = 0
    for name, page in drawn(world):
        for tag, attributes, address in page.addresses():
            seen += 1
            scheme = urlsplit(address).scheme
            assert scheme in ("", "http", "https", "matrix"), (name, address)
            if tag == "a" and leaves(address):
                assert "noopener" in attributes.get("rel", ""), (name, address)
        for tag, attributes in page.tags:
            assert "target" not in attributes or "noopener" in attributes.get("rel", ""), name
            assert not any(key.startswith("on") for key in attributes), (name, tag)
            assert "style" not in attributes, (name, tag)
            assert tag != "script" or attributes.get("src", "").startswith("/"), name
    assert seen > 500


@pytest.mark.parametrize("url", EVIL)
def test_an_address_that_runs_something_never_becomes_a_link(url: str) -> None:
    assert web_link(url) is None
    assert app_link(url) is None


@pytest.mark.parametrize("url", ["https://x.test/a?b#c", "HTTP://x.test", "/courses/1"])
def test_an_ordinary_address_becomes_a_link(url: str) -> None:
    assert web_link(url) == url
    assert app_link("matrix:roomid/x?via=y") == "matrix:roomid/x?via=y"
    assert web_link("matrix:roomid/x") is None


@pytest.mark.parametrize("url", EVIL)
@pytest.mark.parametrize("field", ["element_web_url", "home_server_url"])
def test_the_settings_refuse_an_address_that_runs_something(
    world: World, field: str, url: str
) -> None:
    (row,) = [row for row in POSTS if row.rule == MATRIX]
    before = world.dump()
    answer = world.ask("admin", "POST", MATRIX, {**row.fields(world), field: url})
    assert answer.status_code == 422
    assert world.dump() == before


@pytest.mark.parametrize("url", EVIL)
def test_an_element_address_from_a_script_is_not_followed_either(world: World, url: str) -> None:
    with world.app.app_context():
        comm.configure("matrix", {"element_web_url": url})
    for role in ("student", "teacher", "admin"):
        for path in ("", "/communication", "/communication/members", "/chat"):
            response = world.ask(role, "GET", f"/courses/{world.ids['course_id']}{path}")
            assert response.status_code in (200, 403, 404), path
            assert "Location" not in response.headers
            for _tag, _attributes, address in Page(response.text).addresses():
                assert urlsplit(address).scheme in ("", "http", "https", "matrix")
    api = world.ask("student", "GET", f"/api/v1/courses/{world.ids['course_id']}/room")
    assert api.get_json()["url"] is None


@pytest.mark.parametrize("url", EVIL)
def test_a_course_address_that_runs_something_is_drawn_as_text(campus: Site, url: str) -> None:
    course = campus.campus.course_table["42"]
    object.__setattr__(course, "url", url)
    for path in ("communication", "communication/members", "chat"):
        response = ask(campus, f"/communication/courses/42/{path}", "tea")
        assert response.status_code in (200, 404)
        for _tag, _attributes, address in Page(response.text).addresses():
            assert address.startswith(("/", "#")), address


def save_link(made: Site, url: str) -> Response:
    client = made.app.test_client()
    headers = {"X-Person": "tea"}
    page = client.get("/communication/courses/42/communication", headers=headers)
    token = next(
        attributes["value"]
        for _tag, attributes in Page(page.text).tags
        if attributes.get("name") == "csrf_token"
    )
    fields = {"csrf_token": token, "provider": "customlink", "customlink-url": url}
    return client.post("/communication/courses/42/communication", data=fields, headers=headers)


@pytest.mark.parametrize("url", EVIL)
def test_a_custom_link_that_runs_something_is_refused_and_one_in_the_table_not_followed(
    campus: Site, url: str
) -> None:
    assert save_link(campus, url).status_code == 422
    assert save_link(campus, "https://chat.test/join?code=1").status_code == 303
    with campus.state.database.write() as connection:
        connection.exec_driver_sql(
            "UPDATE commweb_course_option SET \"values\" = json_object('url', ?)", (url,)
        )
    for path in ("chat", "communication"):
        response = ask(campus, f"/communication/courses/42/{path}", "tea")
        assert "Location" not in response.headers
        for _tag, _attributes, address in Page(response.text).addresses():
            assert urlsplit(address).scheme in ("", "http"), address
