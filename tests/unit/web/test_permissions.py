"""Who may see a page, and in which order that is asked."""

from __future__ import annotations

import pytest

from tests.sites import Site
from tests.unit.web.conftest import SETTINGS_URL, Visitor, shown

ADMIN = "/communication/admin"
ALWAYS = [f"{ADMIN}/", f"{ADMIN}/experimental"]
COMMUNICATION = [
    f"{ADMIN}/communication/providers",
    f"{ADMIN}/communication/providers/nonsense",
    SETTINGS_URL,
    f"{SETTINGS_URL}/sign-in",
    f"{SETTINGS_URL}/clear-tokens",
    f"{ADMIN}/communication/rooms",
]
BUTTONS = [
    f"{ADMIN}/experimental",
    f"{ADMIN}/communication/providers/fake/enable",
    f"{ADMIN}/communication/providers/fake/disable",
    f"{ADMIN}/communication/providers/fake/uninstall",
    SETTINGS_URL,
    f"{SETTINGS_URL}/test",
    f"{SETTINGS_URL}/lift-limits",
    f"{SETTINGS_URL}/clear-tokens",
    f"{SETTINGS_URL}/sign-in",
]


def turn_off(school: Site) -> None:
    with school.app.app_context():
        school.comm.set_enabled(False)


@pytest.mark.parametrize("url", ALWAYS + COMMUNICATION)
@pytest.mark.parametrize("on", [True, False])
def test_who_is_not_signed_in_is_sent_to_the_login_page(school: Site, url: str, on: bool) -> None:
    if not on:
        turn_off(school)
    response = Visitor(school, None).get(url + "?a=b")
    assert response.status_code == 302
    assert response.headers["Location"] == f"/login?next={url}?a=b"


@pytest.mark.parametrize("url", BUTTONS)
def test_a_button_pressed_without_being_signed_in_changes_nothing(school: Site, url: str) -> None:
    response = Visitor(school, None).post(url)
    assert response.status_code == 302
    assert response.headers["Location"].startswith("/login?next=/communication/admin")


def test_a_post_that_has_no_page_of_its_own_leads_back_to_the_menu(school: Site) -> None:
    response = Visitor(school, None).post(f"{SETTINGS_URL}/test")
    assert response.headers["Location"] == "/login?next=/communication/admin/"


def test_without_a_login_page_the_answer_is_401(
    school: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(school.campus, "login_url", lambda _next: None)
    response = Visitor(school, None).get(f"{ADMIN}/")
    assert response.status_code == 401
    assert "Log in first" in shown(response)


@pytest.mark.parametrize("url", ALWAYS + COMMUNICATION)
def test_who_may_not_configure_the_site_is_refused_even_while_it_is_off(
    school: Site, url: str
) -> None:
    turn_off(school)
    response = Visitor(school, "student1").get(url)
    assert response.status_code == 403
    assert "Not allowed" in shown(response)


@pytest.mark.parametrize("url", BUTTONS)
def test_who_may_not_configure_the_site_presses_in_vain(school: Site, url: str) -> None:
    assert Visitor(school, "student1").post(url).status_code == 403


@pytest.mark.parametrize("url", COMMUNICATION)
def test_while_it_is_off_a_page_says_where_to_turn_it_on(
    school: Site, admin: Visitor, url: str
) -> None:
    turn_off(school)
    response = admin.get(url)
    assert response.status_code == 404
    assert "Site administration > Development > Experimental settings" in shown(response)


@pytest.mark.parametrize("url", BUTTONS[1:])
def test_while_it_is_off_buttons_do_nothing(school: Site, admin: Visitor, url: str) -> None:
    turn_off(school)
    assert admin.post(url).status_code == 404


@pytest.mark.parametrize("url", BUTTONS)
def test_a_button_without_the_token_of_a_page_is_refused(admin: Visitor, url: str) -> None:
    response = admin.post(url, csrf_token="forged", home_server_url="https://hs.example")
    assert response.status_code in (400, 403, 422)


@pytest.mark.parametrize("url", BUTTONS)
@pytest.mark.parametrize(
    "body", [b"\xff\xfe=\xed\xa0\x80&csrf_token=%00%ed%a0%80&version=%00", b"", b"\x00" * 10]
)
def test_a_garbled_body_is_an_error_page_and_no_crash(school: Site, url: str, body: bytes) -> None:
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        response = school.app.test_client().post(
            url, data=body, content_type=kind, headers={"X-Person": "admin"}
        )
        assert response.status_code in (400, 403, 422)


def test_pages_are_kept_out_of_caches(admin: Visitor) -> None:
    assert "no-store" in admin.get(SETTINGS_URL).headers["Cache-Control"]
