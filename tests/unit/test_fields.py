"""Forms below a provider's: typed values, secrets that never come back, the rule for tokens."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from commweb.encryption import Secret
from commweb.fields import (
    BooleanField,
    HttpUrl,
    HttpUrlField,
    PlainText,
    RequiredSecret,
    SecretField,
    SettingsForm,
    SignInPasswordField,
    StoredFacts,
    StringField,
    required,
)
from commweb.settings import Setting

STORED = StoredFacts("https://hs.example", datetime(2026, 3, 4, 5, 6, tzinfo=UTC))
REQUIRED = "This field is required."
AGAIN = "Enter the token again."
GOOD = {
    "version": "0",
    "home_server_url": "https://hs.example",
    "nickname": "Bot",
    "access_token": "syt_access",
    "refresh_token": "syr_refresh",
}
SCHEMA = (Setting("home_server_url", ""), Setting("nickname", ""), Setting("create_rooms", True))


class ExampleForm(SettingsForm):
    server_field = "home_server_url"
    access_token = SecretField("Access token", validators=[RequiredSecret()], description="Help.")
    refresh_token = SecretField("Refresh token", validators=[RequiredSecret()])
    home_server_url = HttpUrlField("Home server URL", validators=[required(), HttpUrl()])
    nickname = StringField("Nickname", validators=[required(), PlainText(10)])
    create_rooms = BooleanField("Create rooms")


@pytest.fixture(autouse=True)
def _context() -> Iterator[None]:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="not-a-secret", WTF_CSRF_ENABLED=False)
    with app.test_request_context("/", method="POST"):
        yield


def typed(stored: StoredFacts | None = None, **changes: str) -> ExampleForm:
    return ExampleForm(MultiDict({**GOOD, **changes}), stored=stored)


def errors(form: ExampleForm) -> dict[str, list[str]]:
    form.validate()
    return {name: [str(error) for error in found] for name, found in form.errors.items()}


def test_a_good_form_gives_typed_values_and_the_secrets_apart() -> None:
    form = typed()
    assert form.validate()
    assert form.plain_values(SCHEMA) == {
        "home_server_url": "https://hs.example",
        "nickname": "Bot",
        "create_rooms": False,
    }
    assert form.secrets() == {
        "access_token": Secret("syt_access"),
        "refresh_token": Secret("syr_refresh"),
    }


def test_nothing_stored_and_blank_tokens_are_an_error_beside_each() -> None:
    found = errors(typed(access_token="", refresh_token="  "))
    assert found == {"access_token": [REQUIRED], "refresh_token": [REQUIRED]}


def test_a_blank_token_keeps_the_stored_one_for_the_same_home_server() -> None:
    form = typed(STORED, access_token="", refresh_token="")
    assert form.validate()
    assert form.secrets() == {}


@pytest.mark.parametrize(
    "spelling", ["https://hs.example/", " https://HS.example:443 ", "HTTPS://hs.example//"]
)
def test_another_spelling_of_the_stored_home_server_keeps_the_tokens(spelling: str) -> None:
    form = typed(STORED, home_server_url=spelling, access_token="", refresh_token="")
    assert form.validate(), form.errors
    assert form.home_server_url.data == "https://hs.example"


def test_a_changed_home_server_asks_for_both_tokens_and_says_why() -> None:
    form = typed(STORED, home_server_url="https://other.example", access_token="", refresh_token="")
    found = errors(form)
    assert set(found) == {"access_token", "refresh_token"}
    for message in found.values():
        assert message[0].startswith(REQUIRED)
        assert "https://hs.example" in message[0]


def test_a_changed_home_server_with_one_new_token_asks_for_the_other() -> None:
    found = errors(typed(STORED, home_server_url="https://other.example", refresh_token=""))
    assert found["refresh_token"][0].startswith(REQUIRED)
    assert found["access_token"] == [AGAIN]


def test_a_home_server_that_cannot_be_read_says_nothing_about_the_tokens() -> None:
    found = errors(typed(STORED, home_server_url="nonsense", access_token="", refresh_token=""))
    assert set(found) == {"home_server_url"}


def test_a_wrong_field_has_typed_tokens_entered_again() -> None:
    found = errors(typed(nickname=""))
    assert found == {"nickname": [REQUIRED], "access_token": [AGAIN], "refresh_token": [AGAIN]}


def test_a_wrong_field_says_nothing_beside_a_kept_token() -> None:
    found = errors(typed(STORED, nickname="", access_token="", refresh_token=""))
    assert found == {"nickname": [REQUIRED]}


def test_a_token_is_never_rendered_not_even_after_an_error() -> None:
    form = typed(nickname="")
    form.validate()
    shown = str(form.access_token()) + str(form.refresh_token()) + repr(form.data)
    assert "syt_access" not in shown
    assert "syr_refresh" not in shown


def test_a_token_handed_in_as_stored_data_does_not_enter_the_form() -> None:
    form = ExampleForm(formdata=None, data={"access_token": "syt_access"})
    assert "syt_access" not in str(form.access_token())
    assert form.secrets() == {}


@pytest.mark.parametrize(
    "token",
    ["two words", "line\nbreak", "tab\there", "nul\x00", "h\u00e4", "\ud800", "zero\u200bwidth"],
)
def test_a_token_with_what_no_token_holds_is_refused(token: str) -> None:
    found = errors(typed(access_token=token))
    assert "no spaces" in found["access_token"][0]


def test_space_around_a_pasted_token_is_dropped() -> None:
    form = typed(access_token=" syt_access\r\n")
    assert form.validate()
    assert form.secrets()["access_token"] == Secret("syt_access")


def test_a_token_that_is_far_too_long_is_refused() -> None:
    assert "at most 4096" in errors(typed(access_token="a" * 4097))["access_token"][0]


@pytest.mark.parametrize("text", ["nul\x00", "a\ud800", "two\nlines", "a\u2028b"])
def test_text_that_cannot_be_stored_or_shown_is_refused(text: str) -> None:
    assert "not allowed" in errors(typed(nickname=text))["nickname"][0]


def test_text_that_is_too_long_is_refused() -> None:
    assert errors(typed(nickname="n" * 11))["nickname"] == ["Use at most 10 characters."]


@pytest.mark.parametrize(
    "url",
    [
        "hs.example",
        "ftp://hs.example",
        "https://",
        "https://user:pw@hs.example",
        "https://hs.example?x=1",
        "https://hs.example#x",
        "http://169.254.169.254",
        "http://[::ffff:169.254.169.254]",
        "http://2852039166",
        "http://0251.0376.0251.0376",
        "https://hs.example/\x00",
        "https://hs.example/\ud800",
        "https://hs." + "a" * 600,
        "https://[",
    ],
)
def test_an_address_we_do_not_connect_to_is_refused_and_stays_as_typed(url: str) -> None:
    form = typed(home_server_url=url)
    assert set(errors(form)) == {"home_server_url", "access_token", "refresh_token"}
    assert form.home_server_url.data == url


def test_plain_http_is_warned_about_only_when_it_leaves_this_machine() -> None:
    for url, warned in (
        ("http://hs.example", True),
        ("https://hs.example", False),
        ("http://127.0.0.1:8008", False),
        ("http://localhost:8008", False),
    ):
        form = typed(home_server_url=url)
        assert form.validate()
        assert bool(form.warnings()) is warned, url


@pytest.mark.parametrize("version", ["", "x", "-1", "9" * 40, "\u0663", "1.5"])
def test_a_version_that_is_no_number_is_an_error_and_no_crash(version: str) -> None:
    assert "version" in errors(typed(version=version))


def test_the_help_says_since_when_a_token_is_stored() -> None:
    form = typed(STORED)
    assert form.help(form.access_token) == [
        "Help.",
        "A token is stored since 2026-03-04 05:06 UTC. Leave this empty to keep it.",
    ]
    assert form.help(form.nickname) == []


def test_the_help_of_a_session_without_a_refresh_token_says_that() -> None:
    form = typed(StoredFacts("https://hs.example", absent=frozenset({"refresh_token"})))
    assert "none" in form.help(form.refresh_token)[0]
    assert "A token is stored." in form.help(form.access_token)[1]


def test_tokens_are_marked_required_only_while_none_is_stored() -> None:
    new, kept = typed(), typed(STORED)
    assert new.is_required(new.access_token)
    assert not kept.is_required(kept.access_token)
    assert kept.is_required(kept.nickname)


def test_a_password_is_never_trimmed_kept_or_shown() -> None:
    class Passing(ExampleForm):
        password = SignInPasswordField("Password", validators=[required()])

    form = Passing(MultiDict({**GOOD, "password": " pass word "}), stored=STORED)
    assert form.validate()
    assert form.secrets()["password"] == Secret(" pass word ")
    assert form.help(form.password) == []
    assert "pass word" not in str(form.password())
    form.ask_again()
    assert [str(error) for error in form.password.errors] == ["Enter the password again."]


def test_a_body_that_is_not_a_form_is_read_as_an_empty_form() -> None:
    app = Flask(__name__)
    app.config.update(SECRET_KEY="not-a-secret", WTF_CSRF_ENABLED=False)
    bodies: tuple[Any, ...] = ([1], {"home_server_url": 5}, "text", None)
    for body in bodies:
        with app.test_request_context("/", method="POST", json=body):
            form = ExampleForm()
            assert not form.validate()
            assert form.home_server_url.data == ""
