"""Custom link: an address a teacher enters, and nothing else."""

from __future__ import annotations

import pytest

from commweb.providers import installed
from commweb.providers.customlink.forms import link_problem
from commweb.providers.customlink.provider import CustomLinkProvider


def test_it_is_installed_after_the_providers_with_rooms() -> None:
    assert [provider.id for provider in installed()] == ["matrix", "customlink"]


def test_it_works_without_settings_and_without_a_server() -> None:
    provider = CustomLinkProvider()
    assert provider.settings_form() is None
    assert provider.server_url({}) == ""
    assert provider.configured({}, has_session=False)
    assert not provider.wanted_for_new_courses({})
    assert not provider.has_rooms


def test_people_go_where_the_course_said() -> None:
    provider = CustomLinkProvider()
    assert provider.course_url({"url": "https://chat.example/a"}) == "https://chat.example/a"
    assert provider.course_url({"url": ""}) is None
    assert provider.course_url({}) is None


@pytest.mark.parametrize(
    "link",
    [
        "https://chat.example/algebra",
        "http://chat.example",
        "https://chat.example/join?code=1&next=%2Fa#/room/!a:b",
        "https://chat.example#room",
        "https://10.0.0.7/chat",
        "https://münchen.example/chat",
    ],
)
def test_an_address_of_a_chat_is_taken(link: str) -> None:
    assert link_problem(link) is None


@pytest.mark.parametrize(
    "link",
    [
        "javascript:alert(1)",
        "data:text/html,hello",
        "ftp://chat.example",
        "chat.example/algebra",
        "//chat.example/algebra",
        "https://",
        "https://?code=1",
        "https://ada:secret@chat.example/",
        "https://chat.example/a b",
        "https://chat.example\\@evil.example/",
        "https://chat.example/\r\nSet-Cookie:a=b",
        "http://169.254.169.254/latest/meta-data",
        "http://metadata.google.internal/?recursive=true",
    ],
)
def test_any_other_address_is_refused_with_a_sentence(link: str) -> None:
    assert (link_problem(link) or "").endswith(".")
