"""Settings that take people out of rooms or let messages die are asked about on a page first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select, update
from werkzeug.test import TestResponse

from commweb.errors import Unreachable
from commweb.models import Event, MemberRow, RoomRow, SettingRow, now
from commweb.providers.base import Introduced
from commweb.providers.matrix.provider import MatrixProvider
from tests.sites import Site, switched_on
from tests.unit.web.conftest import Visitor, shown

PAGE = "/communication/admin/communication/providers/matrix"
ASKS = f"{PAGE}/changes"
MORNING = datetime.fromisoformat("2030-05-01T02:40:00+00:00")


@dataclass
class Server:
    """What the homeserver answers, which is asked for nothing but whose tokens are."""

    down: bool = False
    whose: str = "@bot:hs.example"
    meanwhile: Callable[[], None] = lambda: None

    def introduce(self, _url: str, _network: Any, pair: Any, _seconds: float) -> Introduced:
        if self.down:
            raise Unreachable("The homeserver does not answer.")
        self.meanwhile()
        return Introduced(pair, self.whose, self.whose.partition(":")[2], "DEVICE")


@pytest.fixture
def matrix() -> Server:
    return Server()


def provider_of(server: Server) -> MatrixProvider:
    provider = MatrixProvider()
    provider.check = lambda *_asked: []
    provider.introduce = server.introduce
    provider.end_session = lambda *_asked: None
    return provider


@pytest.fixture
def school(tmp_path: Path, matrix: Server, database_url: str) -> Iterator[Site]:
    """Two rooms at rest on hs.example: three people, and three guests in the first."""
    provider = provider_of(matrix)
    with switched_on(tmp_path, provider, SQLALCHEMY_DATABASE_URI=database_url) as made:
        with made.app.app_context():
            made.comm.configure(
                "matrix",
                {"home_server_url": "https://hs.example", "element_web_url": "https://e.example"},
                access_token="old-access",
                refresh_token="old-refresh",
                user_id="@bot:hs.example",
            )
        guests = [{"id": f"@{name}:hs.example", "by": ""} for name in ("eve", "fay", "gus")]
        with made.state.database.write() as connection:
            for course, synced_at in (("1", MORNING), ("2", MORNING + timedelta(hours=1))):
                row = {"course_id": course, "provider": "matrix", "server_name": "hs.example"}
                row |= {"remote_id": f"!{course}", "synced_at": synced_at, "status": "ready"}
                connection.execute(insert(RoomRow).values(**row, revision=1, synced_revision=1))
            connection.execute(update(RoomRow).where(RoomRow.id == 1).values(guests=guests))
            for room_id, person in ((1, "ada"), (1, "bob"), (2, "ada"), (2, "cyd")):
                row = {"room_id": room_id, "person_id": person, "state": "in"}
                connection.execute(insert(MemberRow).values(**row, display_name=person))
        yield made


@pytest.fixture
def admin(school: Site) -> Visitor:
    return Visitor(school)


def asked(admin: Visitor, **typed: str) -> str:
    """Change settings; what the page says that asks."""
    response = admin.send(PAGE, **typed)
    assert (response.status_code, response.headers["Location"]) == (303, ASKS)
    return shown(admin.get(ASKS))


def confirm(admin: Visitor, **other: str) -> TestResponse:
    return admin.send(ASKS, **other)


def setting(school: Site, name: str) -> Any:
    with school.app.app_context():
        return school.state.values(MatrixProvider())[name]


def access_token(school: Site) -> str:
    session = school.state.tokens(MatrixProvider()).read()
    assert session is not None
    assert session.pair.access is not None
    return session.pair.access.reveal()


def rooms(school: Site) -> list[Any]:
    with school.state.database.read() as connection:
        return list(connection.execute(select(RoomRow).order_by(RoomRow.id)).all())


def set_rooms(school: Site, room_id: int, **values: Any) -> None:
    with school.state.database.write() as connection:
        connection.execute(update(RoomRow).where(RoomRow.id == room_id).values(**values))


def test_removing_guests_is_asked_with_their_number_and_how_old_it_is(
    school: Site, admin: Visitor, matrix: Server
) -> None:
    matrix.down = True
    said = asked(admin, remove_others="y")
    assert "3 guests in 1 room are removed." in said
    assert "Whoever comes into a room another way later is removed" in said
    assert "As of 2030-05-01 02:40" in said
    assert "Remove 3 guests" in said
    assert "Nothing was saved yet." in said
    assert "Cancel" in said
    assert setting(school, "remove_others") is False
    assert [room.revision for room in rooms(school)] == [1, 1]


def test_confirming_saves_syncs_every_room_and_covers_these_guests_only(
    school: Site, admin: Visitor
) -> None:
    asked(admin, remove_others="y")
    assert "Changes saved" in admin.follow(confirm(admin))
    assert setting(school, "remove_others") is True
    first, second = rooms(school)
    assert first.confirmed_people == ["@eve:hs.example", "@fay:hs.example", "@gus:hs.example"]
    assert second.confirmed_people == []
    assert (first.revision, second.revision) == (2, 2)
    with school.state.database.read() as connection:
        detail = (
            connection.execute(
                select(Event.detail)
                .where(Event.action == "settings.saved")
                .order_by(Event.id.desc())
            )
            .scalars()
            .first()
        )
    assert detail is not None
    assert "3 guests in 1 room are removed." in detail["confirmed"]


def test_a_guest_who_came_meanwhile_is_asked_about(school: Site, admin: Visitor) -> None:
    asked(admin, remove_others="y")
    old = re.search(r'name="confirmed" value="(\w+)"', admin.get(ASKS).text)
    assert old
    guests = [*rooms(school)[0].guests, {"id": "@hal:hs.example", "by": ""}]
    set_rooms(school, 1, guests=guests)
    response = confirm(admin, confirmed=old[1])
    assert response.status_code == 422
    assert "The numbers have changed." in shown(response)
    assert "Remove 4 guests" in shown(response)
    assert setting(school, "remove_others") is False
    assert confirm(admin).status_code == 303
    assert len(rooms(school)[0].confirmed_people) == 4


def test_a_number_that_changes_while_it_is_saved_is_asked_again_and_nothing_is_half_saved(
    school: Site, admin: Visitor, matrix: Server
) -> None:
    asked(admin, remove_others="y", access_token="new-access", refresh_token="new-refresh")
    guests = [{"id": "@hal:hs.example", "by": ""}]
    matrix.meanwhile = lambda: set_rooms(school, 2, guests=guests)
    response = confirm(admin)
    assert response.status_code == 422
    assert "4 guests in 2 rooms are removed." in shown(response)
    assert setting(school, "remove_others") is False
    assert access_token(school) == "old-access"
    assert rooms(school)[0].confirmed_people == []


def test_without_guests_it_is_asked_all_the_same(school: Site, admin: Visitor) -> None:
    set_rooms(school, 1, guests=[])
    said = asked(admin, remove_others="y")
    assert "No room has guests now." in said
    assert "Remove guests from now on" in said


def test_without_rooms_nothing_is_asked(school: Site, admin: Visitor) -> None:
    for room_id in (1, 2):
        set_rooms(school, room_id, remote_id=None)
    response = admin.send(PAGE, remove_others="y", closing_rule="delete_room")
    assert response.headers["Location"].partition("?")[0] == PAGE
    assert setting(school, "closing_rule") == "delete_room"


def test_the_closing_rule_says_what_can_be_lost_and_what_is_lost_now(
    school: Site, admin: Visitor
) -> None:
    said = asked(admin, closing_rule="delete_room")
    assert "a room is deleted with its messages, for good" in said
    assert "This concerns 2 rooms with 3 people and 3 guests." in said
    assert "being closed now" not in said
    assert "As of 2030-05-01 02:40" in said
    assert "Delete such rooms from now on" in said
    set_rooms(school, 2, wanted=False, revision=2)
    said = shown(admin.get(ASKS))
    assert "This concerns 1 room with 2 people and 3 guests." in said
    assert "1 room is being closed now: it is deleted at its next sync." in said
    assert confirm(admin).status_code == 303
    assert setting(school, "closing_rule") == "delete_room"


def test_another_closing_rule_is_not_asked_about(school: Site, admin: Visitor) -> None:
    assert "Changes saved" in admin.follow(admin.send(PAGE, closing_rule="leave"))
    assert setting(school, "closing_rule") == "leave"


def test_several_consequences_are_on_one_page_with_one_button(school: Site, admin: Visitor) -> None:
    said = asked(admin, closing_rule="delete_room", remove_others="y")
    assert "3 guests in 1 room are removed." in said
    assert "a room is deleted with its messages" in said
    assert "Save and do all of this" in said
    assert confirm(admin).status_code == 303
    assert (setting(school, "closing_rule"), setting(school, "remove_others")) == (
        "delete_room",
        True,
    )


def test_everything_that_was_typed_is_kept_and_saved_with_the_rest(
    school: Site, admin: Visitor
) -> None:
    typed = {"access_token": "new-access", "refresh_token": "new-refresh"}
    asked(admin, remove_others="y", element_web_url="https://other.example", **typed)
    page = admin.get(ASKS).text
    assert "new-access" not in page
    with school.state.database.read() as connection:
        stored = connection.execute(select(SettingRow.value)).scalars().all()
    assert not any("new-access" in value for value in stored)
    assert access_token(school) == "old-access"
    assert confirm(admin).status_code == 303
    assert access_token(school) == "new-access"
    assert setting(school, "element_web_url") == "https://other.example"


def test_cancelling_changes_nothing_and_forgets_what_was_typed(
    school: Site, admin: Visitor
) -> None:
    asked(admin, remove_others="y", access_token="new-access", refresh_token="new-refresh")
    assert "Nothing was changed." in admin.follow(confirm(admin, cancel="1"))
    assert setting(school, "remove_others") is False
    assert access_token(school) == "old-access"
    assert "Nothing waits for a confirmation." in admin.follow(admin.get(ASKS))


def test_an_older_question_cannot_be_confirmed(school: Site, admin: Visitor) -> None:
    asked(admin, closing_rule="delete_room")
    old = re.search(r'name="key" value="([^"]+)"', admin.get(ASKS).text)
    assert old
    asked(admin, remove_others="y")
    assert "Nothing waits for a confirmation." in admin.follow(confirm(admin, key=old[1]))
    assert setting(school, "closing_rule") == "remove_members"
    assert setting(school, "remove_others") is False


def test_after_ten_minutes_nothing_waits_any_more(school: Site, admin: Visitor) -> None:
    asked(admin, remove_others="y")
    with school.state.database.write() as connection:
        waits = SettingRow.scope == "waiting.matrix"
        late = now() - timedelta(minutes=11)
        connection.execute(update(SettingRow).where(waits).values(updated_at=late))
    assert "Nothing waits for a confirmation." in admin.follow(admin.get(ASKS))


def test_settings_that_were_saved_meanwhile_are_not_overwritten(
    school: Site, admin: Visitor
) -> None:
    asked(admin, remove_others="y")
    with school.app.app_context():
        school.comm.configure("matrix", {"level_student": 5})
    assert "Somebody else changed these settings." in admin.follow(confirm(admin))
    assert setting(school, "remove_others") is False
    assert setting(school, "level_student") == 5


def test_tokens_of_another_homeserver_are_asked_about_next(
    school: Site, admin: Visitor, matrix: Server
) -> None:
    matrix.whose = "@bot:new.example"
    asked(admin, remove_others="y", access_token="new-access", refresh_token="new-refresh")
    response = confirm(admin)
    assert response.headers["Location"].endswith("/another-server")
    assert "2 rooms and 0 accounts are on hs.example." in admin.follow(response)
    assert setting(school, "remove_others") is False
    assert access_token(school) == "old-access"
    assert "Nothing waits" in admin.follow(admin.get(ASKS))
    assert "Changes saved" in admin.follow(admin.send(f"{PAGE}/another-server"))
    assert setting(school, "remove_others") is True


def test_what_waits_here_is_nothing_for_the_page_about_another_homeserver(
    school: Site, admin: Visitor
) -> None:
    asked(admin, remove_others="y")
    assert "Nothing waits" in admin.follow(admin.get(f"{PAGE}/another-server"))


def test_a_button_without_its_token_saves_nothing(school: Site, admin: Visitor) -> None:
    asked(admin, remove_others="y")
    assert admin.post(ASKS, key="x", confirmed="y").status_code == 400
    assert setting(school, "remove_others") is False
