"""Site administration, Experimental settings and the list of providers."""

from __future__ import annotations

import re

from tests.sites import Site
from tests.unit.web.conftest import FakeProvider, Visitor, events, shown

ADMIN = "/communication/admin/"
EXPERIMENTAL = "/communication/admin/experimental"
PROVIDERS = "/communication/admin/communication/providers"


def headings(text: str) -> list[tuple[str, str]]:
    return [(level, name.strip()) for level, name in re.findall(r"<h([1-6])[^>]*>(.*?)</h", text)]


def enabled(school: Site, fake: FakeProvider) -> bool:
    with school.app.app_context():
        return school.state.provider_state(fake).enabled


def test_the_menu_shows_the_communication_section_while_it_is_on(admin: Visitor) -> None:
    text = admin.get(ADMIN).text
    assert headings(text) == [
        ("1", "Site administration"),
        ("2", "Development"),
        ("2", "Plugins"),
        ("3", "Communication"),
    ]
    for url, name in (
        (EXPERIMENTAL, "Experimental settings"),
        (PROVIDERS, "Manage communication providers"),
        (f"{PROVIDERS}/fake", "Fake"),
        ("/communication/admin/communication/rooms", "Rooms"),
    ):
        assert f'<a href="{url}">{name}</a>' in text


def test_the_menu_shows_no_communication_section_while_it_is_off(
    school: Site, admin: Visitor
) -> None:
    admin.send(EXPERIMENTAL, communication_enabled=None)
    text = admin.get(ADMIN).text
    assert headings(text) == [("1", "Site administration"), ("2", "Development")]
    assert "communication/providers" not in text


def test_a_host_gets_the_menu_as_data_for_its_own_navigation(school: Site) -> None:
    with school.app.test_request_context(headers={"X-Person": "admin"}):
        person = school.campus.current_person()
        (menu,) = school.comm.navigation(person)
        assert menu.text == "Site administration"
        assert [item.text for item in menu.children] == ["Development", "Plugins"]
        assert school.comm.navigation(None) == ()
    with school.app.test_request_context(headers={"X-Person": "student1"}):
        assert school.comm.navigation(school.campus.current_person()) == ()


def test_the_subsystem_is_off_until_an_admin_turns_it_on(school: Site, admin: Visitor) -> None:
    admin.send(EXPERIMENTAL, communication_enabled=None)
    assert (
        "checked"
        not in re.findall(r'<input[^>]*type="checkbox"[^>]*>', admin.get(EXPERIMENTAL).text)[0]
    )
    response = admin.send(EXPERIMENTAL, communication_enabled="y")
    assert "Changes saved" in admin.follow(response)
    with school.app.app_context():
        assert school.state.subsystem_on()
    assert [event[:3] for event in events(school)][-1] == ("admin", "settings.saved", "site")


def test_the_second_of_two_admins_is_told_about_the_first(school: Site, admin: Visitor) -> None:
    page = admin.get(EXPERIMENTAL).text
    version = re.search(r'name="version" value="(\d+)"', page)
    assert version
    admin.send(EXPERIMENTAL, communication_enabled="y")
    response = admin.send(EXPERIMENTAL, communication_enabled=None, version=version[1])
    assert response.status_code == 422
    assert "saved by somebody else" in shown(response)
    with school.app.app_context():
        assert school.state.subsystem_on()


def test_the_list_shows_every_provider_enabled(admin: Visitor) -> None:
    page = admin.get(PROVIDERS)
    assert headings(page.text) == [("1", "Manage communication providers")]
    assert re.findall(r'<th scope="col">(.*?)</th>', page.text) == [
        "Name",
        "Enable",
        "Settings",
        "Uninstall",
    ]
    assert re.findall(r'<button[^>]*aria-label="(.*?)"', page.text) == [
        "Disable Fake",
        "Disable Plain link",
    ]
    assert "commweb-dimmed" not in page.text
    assert f'href="{PROVIDERS}/fake"' in page.text
    assert f'href="{PROVIDERS}/plainlink"' not in page.text


def test_a_disabled_provider_is_dimmed_and_its_settings_stay_reachable(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    response = admin.press(f"{PROVIDERS}/fake/disable", PROVIDERS)
    assert "Fake is disabled." in admin.follow(response)
    assert not enabled(school, fake)
    text = admin.get(PROVIDERS).text
    assert 'aria-label="Enable Fake"' in text
    assert text.count("commweb-dimmed") == 1
    assert "Fake is disabled" in shown(admin.get(f"{PROVIDERS}/fake"))
    assert "Fake is enabled." in admin.follow(admin.press(f"{PROVIDERS}/fake/enable", PROVIDERS))
    assert enabled(school, fake)
    assert [event[:3] for event in events(school)][-1] == (
        "admin",
        "settings.saved",
        "provider_state.fake",
    )


def test_pressing_twice_is_the_same_as_once(
    school: Site, fake: FakeProvider, admin: Visitor
) -> None:
    for _again in range(2):
        assert admin.press(f"{PROVIDERS}/fake/disable", PROVIDERS).status_code == 303
    assert not enabled(school, fake)


def test_a_provider_cannot_be_uninstalled(school: Site, admin: Visitor) -> None:
    assert "uninstall" not in admin.get(PROVIDERS).text.replace("Uninstall", "")
    ours = admin.press(f"{PROVIDERS}/fake/uninstall", PROVIDERS)
    assert ours.status_code == 403
    assert "Fake is part of commweb and cannot be uninstalled." in shown(ours)
    other = admin.press(f"{PROVIDERS}/plainlink/uninstall", PROVIDERS)
    assert other.status_code == 409
    assert "remove its package" in shown(other)


def test_an_unknown_provider_is_not_found(admin: Visitor) -> None:
    assert admin.get(f"{PROVIDERS}/nonsense").status_code == 404
    assert admin.get(f"{PROVIDERS}/%00").status_code == 404
    assert admin.press(f"{PROVIDERS}/nonsense/enable", PROVIDERS).status_code == 404
    assert admin.press(f"{PROVIDERS}/nonsense/uninstall", PROVIDERS).status_code == 404
    assert "Plain link has no settings." in shown(admin.get(f"{PROVIDERS}/plainlink"))
