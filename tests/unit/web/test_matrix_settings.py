"""The settings page of the Matrix provider as an admin meets it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sites import Site, switched_on
from tests.unit.web.conftest import Visitor, beside, form_values, shown

URL = "/communication/admin/communication/providers/matrix"
NAMES = ("home_server_url", "access_token", "refresh_token", "element_web_url")


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[Site]:
    """A site with the providers that ship here."""
    with switched_on(tmp_path) as made:
        yield made


def test_the_page_has_every_field_and_button(installed: Site) -> None:
    page = Visitor(installed).get(URL).text
    for label, kind, name in (
        ("Home server URL", "text", "home_server_url"),
        ("Element web URL", "text", "element_web_url"),
        ("Access token", "password", "access_token"),
        ("Refresh token", "password", "refresh_token"),
        ("Create rooms for new courses", "checkbox", "create_rooms_for_new_courses"),
    ):
        assert re.search(rf'<label[^>]*for="{name}">{label}</label>', page)
        tag = re.search(rf'<input[^>]*id="{name}"[^>]*>', page)
        assert tag
        assert f'type="{kind}"' in tag[0]
    buttons = re.findall(r"<button[^>]*>([^<]+)</button>", page)
    assert buttons == ["Save changes", "Sign in to get tokens", "Test connection", "Clear tokens"]
    assert form_values(page)["create_rooms_for_new_courses"]
    assert re.search(r"<h1>Matrix</h1>", page)


def test_saving_nothing_is_refused_beside_each_required_field(installed: Site) -> None:
    response = Visitor(installed).send(URL, **dict.fromkeys(NAMES, ""))
    assert response.status_code == 422
    for name in NAMES:
        assert beside(response, name) == "This field is required."


def test_a_form_without_the_lists_keeps_what_they_were(installed: Site) -> None:
    visitor = Visitor(installed)
    response = visitor.post(
        URL,
        csrf_token=visitor.token(URL),
        version="0",
        home_server_url="https://169.254.169.254",
        element_web_url="https://app.element.io",
    )
    assert response.status_code == 422
    assert "metadata" in beside(response, "home_server_url")
    assert beside(response, "history_visibility") == ""
    assert '<option selected value="shared">' in response.text


def test_a_choice_that_is_not_in_the_list_is_refused_and_unfolds_it(installed: Site) -> None:
    response = Visitor(installed).send(URL, history_visibility="world")
    assert beside(response, "history_visibility") == "Choose an option from the list."
    assert re.search(r"<details[^>]* open>", response.text)


def test_the_sign_in_page_asks_for_the_settings_the_tokens_belong_to(installed: Site) -> None:
    page = Visitor(installed).get(f"{URL}/sign-in").text
    values = form_values(page)
    assert {"home_server_url", "element_web_url", "username", "password"} <= set(values)
    assert "access_token" not in values


def test_matrix_cannot_be_uninstalled(installed: Site) -> None:
    visitor = Visitor(installed)
    providers = URL.removesuffix("/matrix")
    assert 'aria-label="Disable Matrix"' in visitor.get(providers).text
    response = visitor.press(f"{URL}/uninstall", providers)
    assert response.status_code == 403
    assert "Matrix is part of commweb and cannot be uninstalled." in shown(response)
