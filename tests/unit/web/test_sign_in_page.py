"""Sign in to get tokens: a user name and a password, once."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import insert, update

from commweb.encryption import Secret
from commweb.errors import RateLimited, Refused, Unreachable
from commweb.models import Connection, RoomRow
from tests.sites import Site
from tests.unit.web.conftest import (
    SETTINGS_URL,
    FakeProvider,
    Visitor,
    beside,
    events,
    form_values,
    session_of,
    shown,
    values_of,
)

URL = f"{SETTINGS_URL}/sign-in"
GOOD = {
    "home_server_url": "https://hs.example",
    "nickname": "Bot",
    "username": " bot ",
    "password": "open sesame",
}


def test_signing_in_stores_the_settings_and_the_tokens(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = admin.follow(admin.send(URL, **GOOD))
    assert "Signed in as @bot:hs.example." in page
    assert fake.sign_ins == [("https://hs.example", "bot")]
    assert len(fake.checked) == 1
    assert values_of(school, fake)["home_server_url"] == "https://hs.example"
    session = session_of(school, fake)
    assert session is not None
    assert session.pair.access == Secret("signed-access")
    assert session.pair.expires_at is not None
    assert session.user_id == "@bot:hs.example"


def test_signing_in_again_replaces_the_stored_tokens(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    admin.follow(admin.send(URL, username="bot", password="open sesame"))
    session = session_of(configured, fake)
    assert session is not None
    assert session.pair.refresh == Secret("signed-refresh")


def test_what_was_typed_on_the_settings_page_is_carried_over(
    fake: FakeProvider, admin: Visitor
) -> None:
    response = admin.send(
        SETTINGS_URL,
        URL,
        start="1",
        home_server_url="https://typed.example",
        nickname="Typed",
        access_token="typed-access",
        create_rooms=None,
    )
    assert response.status_code == 200
    values = form_values(response.text)
    assert values["home_server_url"] == "https://typed.example"
    assert values["nickname"] == "Typed"
    assert "create_rooms" not in values
    assert "typed-access" not in response.text
    assert fake.sign_ins == []


@pytest.mark.parametrize("name", sorted(GOOD))
def test_a_missing_field_is_said_beside_it_and_nobody_is_asked(
    school: Site, fake: FakeProvider, admin: Visitor, name: str
) -> None:
    response = admin.send(URL, **{**GOOD, name: ""})
    assert response.status_code == 422
    assert beside(response, name) == "This field is required."
    assert fake.sign_ins == []
    assert session_of(school, fake) is None


def test_a_refused_sign_in_stores_nothing_and_keeps_what_was_typed(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    fake.refusal = Refused("The user name or the password is wrong.")
    response = admin.send(URL, **GOOD)
    assert response.status_code == 422
    assert "The user name or the password is wrong. Nothing was saved." in shown(response)
    assert form_values(response.text)["username"] == "bot"
    assert beside(response, "password") == "Enter the password again."
    assert values_of(school, fake)["home_server_url"] == ""
    assert session_of(school, fake) is None


def test_an_address_that_was_found_is_offered_and_put_into_the_form(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    found = "https://matrix.hs.example"
    refusal = Unreachable(f"No homeserver answers. Use {found} instead.", status=404)
    refusal.use_address = found
    fake.refusal = refusal
    response = admin.send(URL, **GOOD)
    assert f'name="use_address" value="{found}"' in response.text
    filled = admin.send(URL, **GOOD, use_address=found)
    assert filled.status_code == 200
    assert form_values(filled.text)["home_server_url"] == found
    assert beside(filled, "password") == "Enter the password again."
    assert values_of(school, fake)["home_server_url"] == ""


def test_a_limited_sign_in_says_how_long_to_wait(fake: FakeProvider, admin: Visitor) -> None:
    fake.refusal = RateLimited("Too many sign-ins.", retry_after_seconds=322)
    response = admin.send(URL, **GOOD)
    assert "Wait 6 minutes." in shown(response)


def test_an_older_form_is_refused_before_anybody_is_asked(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    response = admin.send(URL, **{**GOOD, "version": "0"})
    assert response.status_code == 422
    assert "saved by somebody else" in shown(response)
    assert fake.sign_ins == []


def test_the_password_and_the_tokens_are_nowhere(
    school: Site, fake: FakeProvider, admin: Visitor, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        fake.refusal = Refused("No.")
        refused = admin.send(URL, **GOOD)
        fake.refusal = None
        page = admin.follow(admin.send(URL, **GOOD))
    told = refused.text + page + caplog.text + repr(events(school))
    for secret in ("open sesame", "signed-access", "signed-refresh"):
        assert secret not in told
    assert events(school)[-1][3]["signed_in_as"] == "@bot:hs.example"


def test_the_page_says_that_rooms_wait_and_not_that_somebody_has_to_sign_in(
    configured: Site, admin: Visitor
) -> None:
    with configured.state.database.write() as connection:
        connection.execute(update(Connection).values(state="sign_in_needed"))
        row = {"course_id": "1", "provider": "fake", "status": "held"}
        connection.execute(insert(RoomRow).values(**row))
    page, settings = shown(admin.get(URL)), shown(admin.get(SETTINGS_URL))
    assert "1 room waits for your confirmation." in page
    assert "1 room waits for your confirmation." in settings
    assert "The connection to Fake has ended." in settings
    assert "has ended" not in page
