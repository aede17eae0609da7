"""The Matrix settings form: its words, and what it asks for."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.datastructures import MultiDict

from commweb.fields import StoredFacts
from commweb.providers.matrix.forms import MatrixSettingsForm
from commweb.providers.matrix.provider import MatrixProvider

REQUIRED = "This field is required."
GOOD = {
    "version": "0",
    "home_server_url": "https://Matrix.example.org/",
    "access_token": "syt_a",
    "refresh_token": "syr_r",
    "element_web_url": "https://app.element.io",
    "create_rooms_for_new_courses": "y",
    "history_visibility": "shared",
    "closing_rule": "remove_members",
}


@pytest.fixture(autouse=True)
def _request() -> Iterator[None]:
    app = Flask("form")
    app.config.update(SECRET_KEY="k", WTF_CSRF_ENABLED=False)
    with app.test_request_context(method="POST"):
        yield


def form(stored: StoredFacts | None = None, **changes: Any) -> MatrixSettingsForm:
    return MatrixSettingsForm(formdata=MultiDict({**GOOD, **changes}), stored=stored)


def test_the_labels_are_the_ones_people_know() -> None:
    labels = {str(field.label.text) for field in form()}
    assert labels >= {
        "Home server URL",
        "Access token",
        "Refresh token",
        "Element web URL",
        "Create rooms for new courses",
    }


def test_every_field_has_help() -> None:
    made = form()
    assert all(made.help(field) for field in made if field.short_name != "version")


def test_a_good_form_gives_typed_values_and_secrets() -> None:
    made = form()
    assert made.validate(), made.errors
    values = made.plain_values(MatrixProvider.settings)
    assert values["home_server_url"] == "https://matrix.example.org"
    assert values["create_rooms_for_new_courses"] is True
    assert values["federate"] is False
    assert {name: secret.reveal() for name, secret in made.secrets().items()} == {
        "access_token": "syt_a",
        "refresh_token": "syr_r",
    }


@pytest.mark.parametrize(
    "name", ["home_server_url", "access_token", "refresh_token", "element_web_url"]
)
def test_each_of_the_four_is_required(name: str) -> None:
    made = form(**{name: ""})
    assert not made.validate()
    assert [str(error) for error in made[name].errors] == [REQUIRED]


def test_a_blank_token_keeps_the_stored_one_of_the_same_server_only() -> None:
    blank = {"access_token": "", "refresh_token": ""}
    assert form(StoredFacts("https://matrix.example.org"), **blank).validate()
    assert not form(StoredFacts("https://other.example"), **blank).validate()


def test_an_unknown_choice_is_refused() -> None:
    assert not form(closing_rule="burn").validate()
    assert not form(history_visibility="world_readable").validate()


def test_every_choice_that_is_not_for_everybody_is_an_advanced_one() -> None:
    made = form()
    keys = {one.key for one in MatrixProvider.settings}
    plain = {"home_server_url", "element_web_url", "create_rooms_for_new_courses"}
    assert set(made.advanced) == {name for name in keys - plain if name in made}


@pytest.mark.parametrize("typed", ["", "-1", "101", "x", "5.5", "٥", "1000"])
def test_a_power_level_is_a_whole_number_from_0_to_100(typed: str) -> None:
    made = form(level_teacher=typed)
    assert not made.validate()
    errors = [str(error) for error in made["level_teacher"].errors]
    assert errors == ["Enter a whole number from 0 to 100."]


def test_power_levels_are_numbers_and_keep_what_is_not_sent() -> None:
    made = form(level_student="0", level_admin=" 100 ")
    assert made.validate(), made.errors
    values = made.plain_values(MatrixProvider.settings)
    levels = (values["level_student"], values["level_teacher"], values["level_admin"])
    assert levels == (0, 50, 100)


@pytest.mark.parametrize("typed", ["pupil", "{user}", "{username}}", "{username}-{", "{}"])
def test_a_template_without_a_place_is_refused(typed: str) -> None:
    made = form(localpart_template=typed)
    assert not made.validate()
    assert "{external_id}" in str(made["localpart_template"].errors[0])


@pytest.mark.parametrize("typed", ["{username}", "s-{id}", "{external_id}.{username}"])
def test_a_template_may_use_any_place(typed: str) -> None:
    assert form(localpart_template=typed).validate()


def test_an_emptied_template_is_the_plain_one() -> None:
    made = form(localpart_template="  ")
    assert made.validate()
    assert made.plain_values(MatrixProvider.settings)["localpart_template"] == "{username}"
