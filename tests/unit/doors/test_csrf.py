"""A state change needs a token of the session, whoever checks it, and counts once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from commweb.sync.confirming import held_key
from commweb.sync.guard import ROOM_GONE
from tests.unit.doors.homeserver import Homeserver
from tests.unit.doors.table import POSTS, Row
from tests.unit.doors.world import World, furnish, lasting, running

pytestmark = pytest.mark.local_server

NOTHING_TO_CHANGE = {
    "/login",
    "/logout",
    "/language",
    "/admin/communication/providers/matrix/test",
    "/admin/communication/providers/matrix/another-server",
    "/admin/communication/providers/matrix/changes",
    "/account/again",
}
# Answered with no whatever is sent.
NEVER = {
    "/admin/communication/providers/<provider_id>/uninstall",
    "/account/confirm",
    "/account/password",
}
CHANGES = tuple(row for row in POSTS if row.rule not in NEVER)
OURS = tuple(row for row in CHANGES if row.ours)


def rows(table: tuple[Row, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("row", table, ids=[row.rule for row in table])


@pytest.fixture(scope="module")
def unprotected(tmp_path_factory: pytest.TempPathFactory, matrix: Homeserver) -> Iterator[World]:
    """A site whose own CSRFProtect checks nothing by itself, as if it had none."""
    folder = tmp_path_factory.mktemp("unprotected") / "site"
    with running(folder, matrix, WTF_CSRF_CHECK_DEFAULT=False) as world:
        furnish(world)
        yield world


def effect_of(world: World, row: Row, **options: Any) -> tuple[int, bool]:
    """The status for an administrator, and whether anything changed or the homeserver was asked."""
    world.restore()
    before = world.dump()
    response = world.ask("admin", "POST", row.address(world), row.fields(world), **options)
    return response.status_code, world.dump() != before or bool(world.homeserver.requests)


@rows(POSTS)
def test_without_a_token_nothing_happens_on_a_protected_site(world: World, row: Row) -> None:
    status, changed = effect_of(world, row, token=False)
    assert (status, changed) == (400, False)


@rows(OURS)
def test_without_a_token_nothing_happens_on_an_unprotected_site_either(
    unprotected: World, row: Row
) -> None:
    status, changed = effect_of(unprotected, row, token=False)
    assert status in (400, 422)
    assert not changed


@rows(OURS)
def test_the_token_of_another_session_is_none_on_an_unprotected_site(
    unprotected: World, row: Row
) -> None:
    unprotected.restore()
    before = unprotected.dump()
    fields = {"csrf_token": unprotected.sessions["teacher"].token, **row.fields(unprotected)}
    address = row.address(unprotected)
    response = unprotected.ask("admin", "POST", address, fields, token=False)
    assert response.status_code in (400, 422)
    assert unprotected.dump() == before


@rows(OURS)
def test_the_pages_own_token_is_enough_on_an_unprotected_site(unprotected: World, row: Row) -> None:
    status, _changed = effect_of(unprotected, row)
    assert status == 303


@rows(CHANGES)
def test_a_form_that_is_sent_twice_harms_nothing(world: World, row: Row) -> None:
    address, fields = row.address(world), row.fields(world)
    before = world.dump()
    assert world.ask("admin", "POST", address, fields).status_code == 303
    once = world.dump()
    assert once != before or row.rule in NOTHING_TO_CHANGE
    again = world.ask("admin", "POST", address, fields)
    assert again.status_code in (303, 404, 422)
    assert lasting(world.dump()) == lasting(once)


def test_a_confirmation_that_is_sent_twice_does_not_stand_for_what_comes_later(
    world: World,
) -> None:
    room = world.ids["held_room_id"]
    address = f"/admin/communication/rooms/{room}/confirm"
    fields = {"key": held_key("room_gone", [ROOM_GONE])}
    assert world.ask("admin", "POST", address, fields).status_code == 303
    # The worker did what was confirmed, and later the room has to be looked at again.
    world.execute(
        "UPDATE commweb_room SET status = 'ready', synced_revision = revision WHERE id = ?", room
    )
    before = world.dump()
    assert world.ask("admin", "POST", address, fields).status_code == 303
    assert world.dump() == before


def test_a_sign_in_that_is_sent_twice_signs_in_once(world: World) -> None:
    (row,) = [row for row in POSTS if row.rule.endswith("/matrix/sign-in")]
    fields = row.fields(world)
    for status in (303, 422):
        assert world.ask("admin", "POST", row.address(world), fields).status_code == status
    logins = [seen for seen in world.homeserver.requests if seen.path.endswith("/login")]
    assert len(logins) == 1
