"""Tokens of another server wait for a confirmation; a session that is replaced is ended."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.errors import Unreachable
from commweb.models import Account, Connection, RoomRow, SettingRow, now
from tests.sites import Site
from tests.unit.web.conftest import (
    SETTINGS_URL,
    FakeProvider,
    Visitor,
    session_of,
    shown,
    values_of,
)

ASKS = f"{SETTINGS_URL}/another-server"
TOKENS = {"access_token": "new-access", "refresh_token": "new-refresh"}


@pytest.fixture
def with_rooms(configured: Site, fake: FakeProvider) -> Site:
    """Two rooms and an account on hs.example."""
    configured.state.tokens(fake).set_identity(1, "@bot:hs.example", "hs.example")
    with configured.state.database.write() as connection:
        for course in ("1", "2"):
            row = {"course_id": course, "provider": "fake", "server_name": "hs.example"}
            connection.execute(RoomRow.__table__.insert().values(**row, remote_id=f"!{course}"))
        row = {"provider": "fake", "server_name": "hs.example", "person_id": "ada"}
        connection.execute(
            Account.__table__.insert().values(**row, remote_user_id="@ada:hs.example")
        )
    fake.whose = "@bot:new.example"
    return configured


def rooms_wanted(school: Site) -> list[bool]:
    with school.state.database.read() as connection:
        return list(connection.execute(select(RoomRow.wanted)).scalars())


def ask(admin: Visitor, **more: str) -> str:
    response = admin.send(SETTINGS_URL, home_server_url="https://new.example", **TOKENS, **more)
    assert response.status_code == 303
    assert response.headers["Location"].endswith("/another-server")
    return admin.get(ASKS).text


def test_tokens_of_another_server_are_not_stored_before_somebody_confirms(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = ask(admin, nickname="Other")
    said = shown(admin.get(ASKS))
    assert "2 rooms and 1 account are on hs.example." in said
    assert "They will be created anew on new.example. The old rooms stay as they are." in " ".join(
        said.split()
    )
    assert "new-access" not in page
    session = session_of(with_rooms, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")
    assert values_of(with_rooms, fake)["nickname"] == "Bot"
    assert rooms_wanted(with_rooms) == [True, True]


def test_confirming_stores_what_was_typed_and_lets_the_old_rooms_rest(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    ask(admin, nickname="Other")
    assert "Changes saved" in admin.follow(admin.send(ASKS))
    session = session_of(with_rooms, fake)
    assert session is not None
    assert (session.pair.access, session.base_url) == (Secret("new-access"), "https://new.example")
    assert session.server_name == "new.example"
    assert values_of(with_rooms, fake)["nickname"] == "Other"
    assert rooms_wanted(with_rooms) == [False, False]
    assert fake.ended == [("https://hs.example", "old-access", True)]
    assert "Nothing waits" in admin.follow(
        admin.post(ASKS, csrf_token=admin.token(SETTINGS_URL), key="x")
    )


def test_cancelling_changes_nothing_and_forgets_the_tokens(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    ask(admin)
    assert "Nothing was changed." in admin.follow(admin.send(ASKS, cancel="1"))
    session = session_of(with_rooms, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")
    assert fake.ended == []
    with with_rooms.state.database.read() as connection:
        query = select(SettingRow.key).where(SettingRow.scope.startswith("waiting."))
        assert connection.execute(query).all() == []


def test_what_somebody_else_tried_cannot_be_confirmed(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = ask(admin)
    key = page.split('name="key" value="')[1].split('"')[0]
    with with_rooms.state.database.write() as connection:
        moved = update(SettingRow).where(SettingRow.scope == "waiting.fake")
        connection.execute(moved.values(key="0" * 64))
    response = admin.post(ASKS, csrf_token=admin.token(SETTINGS_URL), key=key)
    assert "Nothing waits" in admin.follow(response)
    session = session_of(with_rooms, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")


@pytest.mark.parametrize("ago", [timedelta(minutes=10, seconds=1), timedelta(days=-1)])
def test_after_ten_minutes_nothing_waits_any_more(
    with_rooms: Site, fake: FakeProvider, admin: Visitor, ago: timedelta
) -> None:
    """Nor what was put there by a clock that was a day ahead."""
    ask(admin)
    with with_rooms.state.database.write() as connection:
        old = now() - ago
        waits = update(SettingRow).where(SettingRow.scope == "waiting.fake")
        connection.execute(waits.values(updated_at=old))
    assert "Nothing waits" in admin.follow(admin.get(ASKS))


def test_the_waiting_tokens_are_sealed(with_rooms: Site, admin: Visitor) -> None:
    ask(admin)
    with with_rooms.state.database.read() as connection:
        values = connection.execute(select(SettingRow.value)).scalars().all()
    assert "new-access" not in "".join(values)
    assert "new-refresh" not in "".join(values)


def test_settings_that_were_saved_meanwhile_are_not_overwritten(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    ask(admin, nickname="Other")
    with with_rooms.app.app_context():
        with_rooms.comm.configure("fake", {"nickname": "Third"})
    assert "Somebody else changed these settings." in admin.follow(admin.send(ASKS))
    assert values_of(with_rooms, fake)["nickname"] == "Third"
    assert rooms_wanted(with_rooms) == [True, True]


def test_signing_in_to_another_server_asks_too_and_cancelling_ends_that_session(
    with_rooms: Site, fake: FakeProvider, admin: Visitor
) -> None:
    with with_rooms.state.database.write() as connection:
        connection.execute(update(RoomRow).values(server_name="old.example"))
        connection.execute(update(Account).values(server_name="old.example"))
        connection.execute(update(Connection).values(server_name="old.example"))
    response = admin.send(f"{SETTINGS_URL}/sign-in", username="bot", password="open sesame")
    assert response.headers["Location"].endswith("/another-server")
    admin.follow(admin.send(ASKS, cancel="1"))
    assert fake.ended == [("https://hs.example", "signed-access", False)]


def test_the_session_that_is_replaced_on_the_same_server_is_ended(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    admin.follow(admin.send(SETTINGS_URL, **TOKENS))
    assert fake.ended == [("https://hs.example", "old-access", True)]
    admin.follow(admin.send(f"{SETTINGS_URL}/sign-in", username="bot", password="open sesame"))
    assert fake.ended[1:] == [("https://hs.example", "new-access", True)]


def test_saving_without_tokens_ends_nothing(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    admin.follow(admin.send(SETTINGS_URL, nickname="Other"))
    assert fake.ended == []


def test_a_cleared_session_is_ended(configured: Site, fake: FakeProvider, admin: Visitor) -> None:
    page = admin.follow(admin.send(f"{SETTINGS_URL}/clear-tokens"))
    assert "The tokens are cleared." in page
    assert fake.ended == [("https://hs.example", "old-access", False)]


def test_a_session_that_could_not_be_ended_is_told(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    fake.end_fault = Unreachable("Nothing answers.")
    page = admin.follow(admin.send(f"{SETTINGS_URL}/clear-tokens"))
    assert "The old session could not be ended." in page
    assert session_of(configured, fake) is None


def test_the_session_of_another_installation_is_left_alone(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    with configured.state.database.write() as connection:
        connection.execute(update(Connection).values(instance="the original"))
    page = admin.follow(admin.send(SETTINGS_URL, **TOKENS))
    assert fake.ended == []
    assert "The old session was not ended: it belongs to the installation from which" in page


@pytest.mark.parametrize("how", ["sign-in", "clear-tokens", "typed"])
def test_the_session_that_is_ended_is_the_one_that_was_stored_last(
    configured: Site, fake: FakeProvider, admin: Visitor, how: str
) -> None:
    """A worker refreshes the old session just before the new one is stored."""
    save = configured.state.settings.save

    def refreshed(*args: Any, **kwargs: Any) -> Any:
        tokens = configured.state.tokens(fake)
        session = tokens.read()
        assert session is not None
        assert tokens.take_lease("worker", session.generation, 30)
        pair = TokenPair(Secret("rotated-access"), Secret("rotated-refresh"))
        assert tokens.rotate("worker", session.generation, pair, Secret("old-refresh"))
        return save(*args, **kwargs)

    configured.state.settings.save = refreshed  # type: ignore[method-assign]
    if how == "sign-in":
        admin.send(f"{SETTINGS_URL}/sign-in", username="bot", password="open sesame")
    else:
        typed = TOKENS if how == "typed" else {}
        admin.send(SETTINGS_URL if typed else f"{SETTINGS_URL}/clear-tokens", **typed)
    assert [(access, kept) for _url, access, kept in fake.ended] == [
        ("rotated-access", how != "clear-tokens")
    ]


def test_a_session_that_needs_a_sign_in_may_be_alive_and_is_ended(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    with configured.state.database.write() as connection:
        connection.execute(update(Connection).values(state="sign_in_needed"))
    admin.follow(admin.send(f"{SETTINGS_URL}/sign-in", username="bot", password="open sesame"))
    assert fake.ended == [("https://hs.example", "old-access", True)]


def test_a_sign_in_whose_settings_were_saved_by_somebody_else_meanwhile_is_ended(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = f"{SETTINGS_URL}/sign-in"

    def meanwhile() -> None:
        fake.on_call = lambda: None
        with configured.app.app_context():
            configured.comm.configure("fake", {"nickname": "Other"})

    fake.on_call = meanwhile
    response = admin.send(page, username="bot", password="open sesame")
    assert response.status_code == 422
    assert fake.ended == [("https://hs.example", "signed-access", False)]
    session = session_of(configured, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")


def test_the_command_line_refuses_another_server_with_the_numbers(
    with_rooms: Site, fake: FakeProvider
) -> None:
    with with_rooms.state.database.write() as connection:
        for model in (RoomRow, Account, Connection):
            connection.execute(update(model).values(server_name="old.example"))
    words = ["commweb", "sign-in", "--provider", "fake", "--username", "bot", "--password-stdin"]
    run = with_rooms.app.test_cli_runner().invoke
    refused = run(args=words, input="open sesame\n")
    assert refused.exit_code == 1
    assert "2 rooms and 1 account are on old.example." in refused.output
    assert "--new-homeserver" in refused.output
    assert fake.ended == [("https://hs.example", "signed-access", False)]
    session = session_of(with_rooms, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")
    done = run(args=[*words, "--new-homeserver"], input="open sesame\n")
    assert (done.exit_code, done.output) == (0, "Signed in as @bot:hs.example.\n")
    assert fake.ended[1:] == [("https://hs.example", "old-access", True)]
    assert rooms_wanted(with_rooms) == [False, False]
