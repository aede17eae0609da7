"""Every route x nobody, stranger, student, teacher, admin, and what a denied request changes."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from flask import Flask

from tests.unit.doors.table import GETS, POSTS, TABLE, Row
from tests.unit.doors.world import ROLES, World

pytestmark = pytest.mark.local_server

DERIVED = {"HEAD", "OPTIONS"}
OTHERS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def rows(table: tuple[Row, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.name for row in table])


def routes(app: Flask) -> list[tuple[str, str]]:
    return [
        (method, rule.rule)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - DERIVED
    ]


def test_every_route_has_a_row_and_every_row_a_route(world: World) -> None:
    assert sorted(routes(world.app)) == sorted((row.method, row.rule) for row in TABLE)


def test_every_state_change_is_a_post(world: World) -> None:
    assert {method for method, _rule in routes(world.app)} == {"GET", "POST"}


@pytest.mark.parametrize("on", [True, False], ids=["on", "off"])
@rows(TABLE)
def test_each_person_gets_what_the_table_says(world: World, row: Row, on: bool) -> None:
    told: dict[str, int] = {}
    for role in ROLES:
        world.restore(on)
        before = world.dump()
        address, fields = row.address(world), row.fields(world)
        response = world.ask(role, row.method, address, fields)
        told[role] = response.status_code
        if row.method == "GET" or response.status_code != 303:
            assert world.dump() == before
        if response.status_code == 302 and row.rule not in ("/", "/login"):
            assert response.headers["Location"].startswith("/login")
    assert told == row.expected(on)


@rows(GETS)
def test_a_head_request_tells_the_same_without_a_body_and_changes_nothing(
    world: World, row: Row
) -> None:
    before = world.dump()
    for role in ROLES:
        response = world.ask(role, "HEAD", row.address(world))
        assert response.status_code == row.expected(True)[role]
        assert response.get_data() == b""
    assert world.dump() == before


@rows(TABLE)
def test_methods_that_a_route_does_not_have_are_refused_and_change_nothing(
    world: World, row: Row
) -> None:
    allowed = {each.method for each in TABLE if each.rule == row.rule}
    before = world.dump()
    for method in set(OTHERS) - allowed:
        assert world.ask("admin", method, row.address(world), {}).status_code == 405
    told = world.ask("nobody", "OPTIONS", row.address(world))
    assert (told.status_code, told.get_data()) == (200, b"")
    assert world.dump() == before


@rows(tuple(row for row in TABLE if row.on.split()[0] == "302" and row.method == "GET"))
def test_whoever_logs_in_comes_back_to_the_page(world: World, row: Row) -> None:
    if row.rule == "/":
        return
    address = row.address(world)
    response = world.ask("nobody", "GET", address)
    assert response.headers["Location"] == f"/login?next={quote(address)}"


def test_what_belongs_to_another_course_cannot_be_reached_through_ones_own(world: World) -> None:
    ids = world.ids
    before = world.dump()
    own = f"/courses/{ids['course_id']}"
    for path in (
        f"{own}/groups/{ids['other_group_id']}/delete",
        f"{own}/groups/{ids['other_group_id']}/members/{ids['enrolment_id']}/remove",
        f"{own}/groups/{ids['group_id']}/members/{ids['other_enrolment_id']}/remove",
    ):
        assert world.ask("teacher", "POST", path, {}).status_code == 404
    path = f"{own}/enrolments/{ids['other_enrolment_id']}/remove"
    assert world.ask("teacher", "POST", path, {}).status_code == 303
    fields = {"member": str(ids["other_enrolment_id"]), "group": str(ids["other_group_id"])}
    assert world.ask("teacher", "POST", f"{own}/groups/members", fields).status_code == 422
    assert world.dump() == before


def test_a_hidden_course_is_closed_to_its_students(world: World) -> None:
    world.execute("UPDATE course SET visible = 0 WHERE id = ?", world.ids["course_id"])
    for path in ("", "/chat", "/image"):
        assert (
            world.ask("student", "GET", f"/courses/{world.ids['course_id']}{path}").status_code
            == 403
        )
    api = f"/api/v1/courses/{world.ids['course_id']}/room"
    assert world.ask("student", "GET", api).status_code == 403


def test_who_is_suspended_is_nobody_at_once(world: World) -> None:
    world.execute("UPDATE person SET active = 0 WHERE username IN ('teacher1', 'admin')")
    for role in ("teacher", "admin"):
        for row in POSTS:
            if row.rule in ("/login", "/logout", "/language"):
                continue
            assert world.ask(role, "POST", row.address(world), row.fields(world)).status_code == 302


@rows(POSTS)
def test_a_page_left_open_after_logging_in_as_somebody_else_cannot_post(
    world: World, row: Row
) -> None:
    before = world.dump()
    fields = {"csrf_token": world.sessions["student"].token, **row.fields(world)}
    response = world.ask("admin", "POST", row.address(world), fields, token=False)
    assert response.status_code in (400, 403)
    assert world.dump() == before
