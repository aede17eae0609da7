"""A provider's settings page: saving, trying the server, clearing tokens."""

from __future__ import annotations

import re
from typing import Any

import pytest
from sqlalchemy import text

from commweb.encryption import Secret
from commweb.errors import Refused
from commweb.providers.base import Finding
from tests.sites import Site, student
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

GOOD = {
    "home_server_url": "https://hs.example/",
    "nickname": "Bot",
    "access_token": "new-access",
    "refresh_token": "new-refresh",
}
REQUIRED = "This field is required."


def test_a_good_save_stores_settings_and_tokens_and_says_so(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    response = admin.send(SETTINGS_URL, **GOOD)
    assert "Changes saved" in admin.follow(response)
    assert values_of(school, fake) == {
        "home_server_url": "https://hs.example",
        "nickname": "Bot",
        "create_rooms": True,
    }
    session = session_of(school, fake)
    assert session is not None
    assert session.pair.access == Secret("new-access")
    assert session.pair.refresh == Secret("new-refresh")
    assert session.base_url == "https://hs.example"
    assert form_values(admin.get(SETTINGS_URL).text)["home_server_url"] == "https://hs.example"


@pytest.mark.parametrize("name", sorted(GOOD))
def test_saving_without_a_required_field_stores_nothing(
    school: Site, fake: FakeProvider, admin: Visitor, name: str
) -> None:
    response = admin.send(SETTINGS_URL, **{**GOOD, name: ""})
    assert response.status_code == 422
    assert beside(response, name) == REQUIRED
    assert session_of(school, fake) is None
    assert values_of(school, fake)["home_server_url"] == ""
    assert fake.checked == []
    for token in {"access_token", "refresh_token"} - {name}:
        assert beside(response, token) == "Enter the token again."


def test_what_was_typed_in_plain_fields_stays_when_another_is_wrong(admin: Visitor) -> None:
    response = admin.send(SETTINGS_URL, **{**GOOD, "nickname": "", "create_rooms": None})
    kept = form_values(response.text)
    assert kept["home_server_url"] == "https://hs.example"
    assert kept["access_token"] == ""
    assert "create_rooms" not in kept


def test_a_wrong_field_is_tied_to_its_message_for_screen_readers(admin: Visitor) -> None:
    response = admin.send(SETTINGS_URL, **{**GOOD, "home_server_url": ""})
    tag = re.search(r'<input[^>]*id="home_server_url"[^>]*>', response.text)
    assert tag
    assert 'aria-invalid="true"' in tag[0]
    assert 'aria-required="true"' in tag[0]
    assert 'aria-describedby="home_server_url-help home_server_url-error"' in tag[0]
    assert " required" not in tag[0].replace('aria-required="true"', "")
    assert "novalidate" in response.text


def test_tokens_are_masked_fields_without_autocomplete(admin: Visitor) -> None:
    page = admin.get(SETTINGS_URL).text
    for name in ("access_token", "refresh_token"):
        tag = re.search(rf'<input[^>]*id="{name}"[^>]*>', page)
        assert tag
        assert 'type="password"' in tag[0]
        assert 'autocomplete="off"' in tag[0]


def test_a_blank_token_keeps_the_stored_one(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    before = session_of(configured, fake)
    admin.follow(admin.send(SETTINGS_URL, nickname="Other"))
    assert values_of(configured, fake)["nickname"] == "Other"
    assert session_of(configured, fake) == before


def test_one_typed_token_replaces_only_that_one(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    admin.follow(admin.send(SETTINGS_URL, refresh_token="new-refresh"))
    session = session_of(configured, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")
    assert session.pair.refresh == Secret("new-refresh")


def test_the_page_says_since_when_tokens_are_stored_and_never_shows_them(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = admin.get(SETTINGS_URL)
    assert shown(page).count("A token is stored since 20") == 2
    assert "old-access" not in page.text
    assert "old-refresh" not in page.text
    session = session_of(configured, fake)
    assert session is not None


def test_typed_tokens_never_come_back_in_a_page(configured: Site, admin: Visitor) -> None:
    for changes in ({"nickname": ""}, {"version": "0"}, {"home_server_url": "nonsense"}):
        response = admin.send(SETTINGS_URL, **{**GOOD, **changes})
        assert response.status_code == 422
        assert "new-access" not in response.text
        assert "new-refresh" not in response.text


def test_a_changed_home_server_asks_for_both_tokens_again(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    response = admin.send(SETTINGS_URL, home_server_url="https://other.example")
    assert response.status_code == 422
    for name in ("access_token", "refresh_token"):
        assert beside(response, name).startswith(REQUIRED)
        assert "https://hs.example" in beside(response, name)
    assert values_of(configured, fake)["home_server_url"] == "https://hs.example"
    response = admin.send(SETTINGS_URL, **{**GOOD, "home_server_url": "https://other.example"})
    assert "Changes saved" in admin.follow(response)
    session = session_of(configured, fake)
    assert session is not None
    assert session.base_url == "https://other.example"


def test_the_second_of_two_admins_is_told_and_nothing_is_overwritten(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    older = form_values(admin.get(SETTINGS_URL).text)
    admin.follow(admin.send(SETTINGS_URL, nickname="First"))
    response = admin.post(
        SETTINGS_URL, **{**older, "nickname": "Second", "access_token": "new-access"}
    )
    assert response.status_code == 422
    assert "saved by somebody else" in shown(response)
    assert f'href="{SETTINGS_URL}">Load the current settings' in response.text
    assert form_values(response.text)["nickname"] == "Second"
    assert beside(response, "access_token") == "Enter the token again."
    assert values_of(configured, fake)["nickname"] == "First"
    session = session_of(configured, fake)
    assert session is not None
    assert session.pair.access == Secret("old-access")


def test_the_audit_trail_names_what_changed_and_no_secret(school: Site, admin: Visitor) -> None:
    admin.send(SETTINGS_URL, **GOOD)
    actor, action, subject, detail = events(school)[-1]
    assert (actor, action, subject) == ("admin", "settings.saved", "provider.fake")
    assert detail["replaced"] == ["access_token", "refresh_token"]
    assert "new-access" not in repr(events(school))


def test_after_saving_the_page_says_what_the_server_said(
    fake: FakeProvider, admin: Visitor
) -> None:
    fake.findings = [Finding("success", "Reached."), Finding("warning", "Not an admin.")]
    response = admin.send(SETTINGS_URL, **GOOD)
    page = admin.get(response.headers["Location"])
    assert re.search(r'class="alert alert-success"[^>]*>Changes saved<', page.text)
    assert re.search(r'class="alert alert-success"[^>]*>Reached.<', page.text)
    assert re.search(r'class="alert alert-warning" role="alert">Not an admin.<', page.text)
    assert fake.checked[0].values["home_server_url"] == "https://hs.example"


def test_a_check_that_fails_does_not_undo_the_save(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    def fail() -> None:
        raise Refused("The homeserver said no.")

    fake.on_call = fail
    text_shown = admin.follow(admin.send(SETTINGS_URL, **GOOD))
    assert "Changes saved" in text_shown
    assert "The homeserver said no." in text_shown
    assert values_of(school, fake)["nickname"] == "Bot"


def test_plain_http_to_another_machine_is_saved_with_a_warning(admin: Visitor) -> None:
    response = admin.send(SETTINGS_URL, **{**GOOD, "home_server_url": "http://hs.example"})
    assert "not encrypted" in admin.follow(response)


def checked_out(school: Site) -> list[int]:
    with school.app.app_context():
        pools: list[Any] = [school.db.engine.pool, school.state.database.engine.pool]
    return [pool.checkedout() for pool in pools]


@pytest.mark.parametrize("button", ["", "/test", "/lift-limits", "/sign-in"])
def test_no_connection_is_checked_out_while_the_server_is_asked(
    configured: Site, fake: FakeProvider, admin: Visitor, button: str
) -> None:
    seen: list[list[int]] = []
    fake.on_call = lambda: seen.append(checked_out(configured))

    @configured.app.before_request
    def use_the_database() -> None:
        configured.db.session.execute(text("SELECT 1"))

    values = {"username": "bot", "password": "secret"} if button == "/sign-in" else {}
    response = admin.send(SETTINGS_URL, SETTINGS_URL + button, **values)
    assert response.status_code == 303
    assert seen
    assert all(counts == [0, 0] for counts in seen)


def test_test_connection_tries_what_is_saved(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    fake.findings = [Finding("success", "Reached.")]
    response = admin.press(f"{SETTINGS_URL}/test", SETTINGS_URL)
    assert "Reached." in admin.follow(response)


def test_the_button_that_lifts_limits_appears_when_a_check_found_some(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    assert "Lift limits for this account" not in shown(admin.get(SETTINGS_URL))
    fake.findings = [Finding("warning", "Limited.", "rate_limited")]
    response = admin.press(f"{SETTINGS_URL}/test", SETTINGS_URL)
    assert "Lift limits for this account" in admin.follow(response)
    response = admin.press(f"{SETTINGS_URL}/lift-limits", SETTINGS_URL)
    page = admin.follow(response)
    assert "are lifted" in page
    assert "Lift limits for this account" not in page
    assert fake.lifted == 1
    assert events(configured)[-1][:3] == ("admin", "limits.lifted", "fake")


def test_limits_that_cannot_be_lifted_say_why_and_can_be_tried_again(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    fake.refusal = Refused("Only a server administrator may.", retry_after_seconds=30)
    page = admin.follow(admin.press(f"{SETTINGS_URL}/lift-limits", SETTINGS_URL))
    assert "Only a server administrator may. Try again in 30 seconds." in page
    assert "Lift limits for this account" in page


def test_clearing_tokens_is_asked_about_first(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    page = admin.get(f"{SETTINGS_URL}/clear-tokens")
    assert "https://hs.example" in shown(page)
    assert session_of(configured, fake) is not None
    older = form_values(admin.get(SETTINGS_URL).text)
    response = admin.press(f"{SETTINGS_URL}/clear-tokens", f"{SETTINGS_URL}/clear-tokens")
    assert "The tokens are cleared." in admin.follow(response)
    assert session_of(configured, fake) is None
    assert values_of(configured, fake)["nickname"] == "Bot"
    assert events(configured)[-1][3]["cleared"] == "tokens"
    assert admin.post(SETTINGS_URL, **older).status_code == 422
    assert beside(admin.send(SETTINGS_URL), "access_token") == REQUIRED


def test_nothing_to_clear_is_said_without_a_button(admin: Visitor) -> None:
    page = admin.get(f"{SETTINGS_URL}/clear-tokens")
    assert "No tokens are stored." in shown(page)
    assert "<button" not in page.text


def test_courses_without_a_room_are_counted(configured: Site, admin: Visitor) -> None:
    assert "no room" not in shown(admin.get(SETTINGS_URL))
    configured.campus.add("1", student("ann"))
    assert "1 existing course has no room." in shown(admin.get(SETTINGS_URL))
    configured.campus.add("2")
    assert "2 existing courses have no room." in shown(admin.get(SETTINGS_URL))


def test_a_dead_session_is_shown_on_every_administration_page(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    with configured.app.app_context():
        store = configured.state.tokens(fake)
        session = store.read()
        assert session is not None
        assert store.take_lease("me", session.generation, 30)
        assert store.mark_sign_in_needed("me", session.generation, "The token was withdrawn.")
    for url in (
        "/communication/admin/",
        "/communication/admin/experimental",
        "/communication/admin/communication/providers",
        SETTINGS_URL,
    ):
        page = admin.get(url)
        assert "The token was withdrawn." in shown(page)
        assert f'href="{SETTINGS_URL}/sign-in">Sign in to Fake' in page.text
    admin.follow(admin.send(SETTINGS_URL, access_token="new-access", refresh_token="new"))
    assert "withdrawn" not in shown(admin.get(SETTINGS_URL))


def test_tokens_that_cannot_be_opened_are_asked_for_again(
    configured: Site, fake: FakeProvider, admin: Visitor
) -> None:
    with configured.app.app_context(), configured.state.database.write() as connection:
        connection.execute(text("UPDATE commweb_connection SET access = 'damaged'"))
    page = admin.get(SETTINGS_URL)
    assert page.status_code == 200
    assert "cannot be opened" in shown(page)
    assert beside(admin.send(SETTINGS_URL), "access_token") == REQUIRED


def test_unpaired_surrogates_and_nul_are_messages_and_no_crash(school: Site) -> None:
    visitor = Visitor(school)
    token = visitor.token(SETTINGS_URL)
    body = (
        f"csrf_token={token}&version=0&home_server_url=https%3A%2F%2Fhs.example%2F%00"
        "&nickname=%ed%a0%80%00&access_token=a%00b&refresh_token=%ed%a0%80"
    )
    response = visitor.client.post(
        SETTINGS_URL,
        data=body,
        content_type="application/x-www-form-urlencoded",
        headers=visitor.headers,
    )
    assert response.status_code == 422
    for name in ("home_server_url", "nickname", "access_token"):
        assert beside(response, name)


def test_an_address_that_was_found_is_offered_once_and_a_button_puts_it_into_the_form(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    found = "https://matrix.hs.example"
    fake.findings = [
        Finding("danger", "No homeserver answers.", "unreachable"),
        Finding("info", f"Use {found} instead.", "found_address", found),
    ]
    page = admin.get(admin.send(SETTINGS_URL, **GOOD).location).text
    assert f'name="use_address" value="{found}"' in page
    buttons = re.findall(r"<button[^>]*>([^<]*)</button>", page[page.index("commweb-form") :])
    assert buttons[0] == "Save changes"  # which the Enter key presses
    filled = admin.send(SETTINGS_URL, nickname="Botty", use_address=found)
    assert filled.status_code == 200
    values = form_values(filled.text)
    assert (values["home_server_url"], values["nickname"]) == (found, "Botty")
    assert values_of(school, fake)["home_server_url"] == "https://hs.example"
    assert "use_address" not in admin.get(SETTINGS_URL).text
