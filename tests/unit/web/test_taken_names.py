"""Accounts that people got for their name alone: the page that asks what becomes of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from commweb.account_rows import account_of
from commweb.fields import SettingsForm
from commweb.models import Account, MemberRow, RoomRow, now
from commweb.providers import Registry
from tests.sites import Site, site
from tests.unit.web.conftest import Visitor, events, shown
from tests.unit.web.test_account_page import ChatProvider

SETTINGS = "/communication/admin/communication/providers/chat"
PAGE = f"{SETTINGS}/accounts"


class WithSettings(ChatProvider):
    """A provider in which people have accounts, with a settings page."""

    def settings_form(self) -> type[SettingsForm]:
        return SettingsForm


@pytest.fixture
def school(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path, Registry([WithSettings()])) as made:
        with made.app.app_context():
            made.comm.set_enabled(True)
        yield made


@pytest.fixture
def admin(school: Site) -> Visitor:
    return Visitor(school)


def give(school: Site, person_id: str, **values: Any) -> None:
    row = {"provider": "chat", "person_id": person_id, "display_name": person_id.title()}
    row |= {"remote_user_id": f"@{person_id}:chat.example", "origin": "created"}
    row |= {"checked_at": now(), **values}
    with school.state.database.write() as connection:
        connection.execute(insert(Account).values(**row))


def a_room_with(school: Site, *people: str) -> int:
    room = {"course_id": "1", "provider": "chat", "wanted": True, "remote_id": "!r"}
    with school.state.database.write() as connection:
        statement = insert(RoomRow).values(**room, synced_revision=1).returning(RoomRow.id)
        room_id: int = connection.execute(statement).scalar_one()
        for person in people:
            member = {"room_id": room_id, "person_id": person, "state": "in"}
            connection.execute(insert(MemberRow).values(**member))
    return room_id


def origin(school: Site, person_id: str) -> str:
    with school.state.database.read() as connection:
        record = account_of(connection, "chat", person_id)
    assert record is not None
    return record.origin


def answer(admin: Visitor, action: str, key: str | None = None) -> Any:
    text = admin.get(PAGE).text
    found = re.search(r'name="key" value="([^"]+)"', text)
    return admin.post(
        f"{PAGE}/{action}",
        csrf_token=admin.token(PAGE),
        key=key if key is not None else found[1] if found else "",
    )


def test_the_settings_page_says_how_many_there_are_and_leads_to_them(
    school: Site, admin: Visitor
) -> None:
    for name in ("ada", "bob"):
        give(school, name)
    page = admin.get(SETTINGS)
    assert "2 accounts were taken by name: keep them, or ask for a proof." in shown(page)
    assert f'href="{PAGE}"' in page.text


def test_only_accounts_that_nothing_speaks_for_are_listed(school: Site, admin: Visitor) -> None:
    give(school, "ada")
    give(school, "bob", made_user_id="@bob:chat.example")
    give(school, "cyd", intended_at=now())
    give(school, "dot", origin="proven")
    give(school, "eve", checked_at=None)
    text = shown(admin.get(PAGE))
    assert "Ada @ada:chat.example" in text
    assert all(f"@{name}:" not in text for name in ("bob", "cyd", "dot", "eve"))


def test_the_page_says_what_follows_before_it_is_done(school: Site, admin: Visitor) -> None:
    give(school, "ada")
    a_room_with(school, "ada", "bob")
    text = shown(admin.get(PAGE))
    assert "1 person is removed from their rooms until they prove the account" in text
    assert "This concerns 1 room." in text
    assert origin(school, "ada") == "created"


def test_kept_accounts_are_not_asked_about_again(school: Site, admin: Visitor) -> None:
    give(school, "ada")
    a_room_with(school, "ada")
    response = answer(admin, "keep")
    assert response.status_code == 303
    assert "1 person keeps their account." in admin.follow(response)
    assert origin(school, "ada") == "trusted_name"
    assert "taken by name" not in shown(admin.get(SETTINGS))
    assert "accounts.kept" in str(events(school))


def test_asking_for_a_proof_frees_the_seat_and_is_confirmed_for_these_people_only(
    school: Site, admin: Visitor
) -> None:
    give(school, "ada")
    room_id = a_room_with(school, "ada", "bob")
    assert answer(admin, "ask").status_code == 303
    assert origin(school, "ada") == "named"
    with school.state.database.read() as connection:
        query = select(RoomRow.confirmed_people, RoomRow.revision).where(RoomRow.id == room_id)
        confirmed, revision = connection.execute(query).one()
    assert confirmed == ["ada"]
    assert revision == 2


@pytest.mark.parametrize("action", ["keep", "ask"])
def test_an_answer_to_another_list_changes_nothing(
    school: Site, admin: Visitor, action: str
) -> None:
    give(school, "ada")
    response = answer(admin, action, key="0123456789abcdef")
    assert "The list has changed meanwhile." in admin.follow(response)
    assert origin(school, "ada") == "created"
