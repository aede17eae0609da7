"""Every page in every language: it renders, it says which language it is in, and it holds none of
the English texts."""

from __future__ import annotations

import re
from functools import lru_cache
from html import unescape
from pathlib import Path

import pytest
from babel.messages.pofile import read_po

from tests.unit.doors.pages import followed
from tests.unit.doors.table import GETS, Row
from tests.unit.doors.world import World

pytestmark = pytest.mark.local_server

ROOT = Path(__file__).resolve().parents[3]
CATALOGUES = (
    "commweb/translations/{}/LC_MESSAGES/commweb.po",
    "translations/{}/LC_MESSAGES/messages.po",
)
READERS = ("teacher", "admin", "student", "nobody")
# Shown as they are: what people wrote (the world's courses and reasons), and each language's name.
ANYBODYS = {"English", "Code", "Communication", "Chat", "Name", "Pages", "Actions", "Matrix", "en"}

languages = pytest.mark.parametrize("language", ["de", "fr"])


@lru_cache
def english(language: str) -> list[re.Pattern[str]]:
    """The English texts that are something else in the language."""
    found = set()
    for name in CATALOGUES:
        with (ROOT / name.format(language)).open("rb") as file:
            for message in read_po(file):
                if message.id and message.id != message.string:
                    found.update([message.id] if isinstance(message.id, str) else message.id)
    patterns = []
    for text in found - ANYBODYS:
        plain = re.sub(r"%\\\((\w+)\\\)[a-z]|\\{\w+\\}", ".{1,60}?", re.escape(text))
        if re.search(r"[a-z]{3}", re.sub(r"\.\{1,60\}\?", "", plain)):
            patterns.append(re.compile(rf"(?<=\n){plain}(?=\n)"))
    return patterns


def lines(page: str) -> str:
    """What people read, and hear: each text between tags on a line of its own, labels too."""
    labels = re.findall(r'(?:aria-label|placeholder|alt|data-[\w-]+)="([^"]*)"', page)
    text = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    pieces = [unescape(piece) for piece in [*re.split(r"<[^>]+>", text), *labels]]
    return "\n" + "\n".join(re.sub(r"\s+", " ", piece).strip() for piece in pieces) + "\n"


def leftovers(page: str, language: str) -> list[str]:
    text = lines(page)
    return [found[0] for pattern in english(language) if (found := pattern.search(text))]


@languages
def test_an_english_page_would_be_noticed(world: World, language: str) -> None:
    page = world.ask("admin", "GET", "/admin/communication/providers/matrix").text
    assert {"Save changes", "Home server URL", "Log out"} <= set(leftovers(page, language))


@languages
@pytest.mark.parametrize("row", GETS, ids=lambda row: row.rule)
def test_every_page_is_in_the_language_of_its_reader(world: World, row: Row, language: str) -> None:
    for reader in READERS:
        answer = world.ask(
            reader, "GET", row.address(world), headers={"Accept-Language": f"{language},en;q=0.5"}
        )
        assert answer.status_code < 500
        if answer.mimetype == "text/html" and answer.status_code not in (302, 303):
            assert f'<html lang="{language}"' in answer.text, (reader, answer.status_code)
            assert leftovers(answer.text, language) == [], (reader, answer.status_code)


@languages
@pytest.mark.parametrize(
    "state", ["failing", "pending", "ready", "read_only", "held", "signed out", "off"]
)
def test_the_state_of_a_room_is_told_in_the_language(
    world: World, state: str, language: str
) -> None:
    if state == "signed out":
        world.execute("UPDATE commweb_connection SET state = 'sign_in_needed', reason = NULL")
    elif state == "off":
        world.restore(on=False)
    else:
        world.execute("UPDATE commweb_room SET status = ?", state)
    for row in GETS:
        if row.ours and row.rule.endswith(("members", "chat", "rooms", "room_id>", "account")):
            answer = world.ask(
                "admin", "GET", row.address(world), headers={"Accept-Language": language}
            )
            assert leftovers(answer.text, language) == [], row.rule


def test_a_reason_stored_by_the_worker_is_told_in_the_language(world: World) -> None:
    from commweb.i18n import gettext, stored

    reason = gettext("There is no account %(user)s on the homeserver.", user="@x:hs.test")
    world.execute("UPDATE commweb_member SET reason = ?, state = 'failing'", stored(reason))
    address = f"/courses/{world.ids['course_id']}/communication/members"
    for language, words in (
        ("en", "There is no account @x:hs.test on the homeserver."),
        ("de", "Auf dem Homeserver gibt es kein Konto @x:hs.test."),
        ("fr", "Il n’y a pas de compte @x:hs.test sur le serveur d’accueil."),
    ):
        page = world.ask("teacher", "GET", address, headers={"Accept-Language": language})
        assert words in lines(page.text)


def test_a_language_nobody_translated_gets_english(world: World) -> None:
    page = world.ask("nobody", "GET", "/login", headers={"Accept-Language": "eo"})
    assert '<html lang="en">' in page.text
    assert "Log in" in lines(page.text)


def test_the_chosen_language_wins_over_the_browsers_and_the_page_comes_again(world: World) -> None:
    typed = {"language": "fr", "next": "/courses/?page=1"}
    answer = world.ask("student", "POST", "/language", typed, headers={"Accept-Language": "de"})
    assert (answer.status_code, answer.headers["Location"]) == (303, "/courses/?page=1")
    (cookie,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("language=")]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    page = followed(world, "nobody", answer)
    login = world.ask(
        "nobody", "GET", "/login", headers={"Cookie": "language=fr", "Accept-Language": "de"}
    )
    assert page.status_code == 302
    assert '<html lang="fr">' in login.text
    assert re.search(r'value="fr" lang="fr" aria-current="true"', login.text)


@pytest.mark.parametrize("typed", [{}, {"language": "eo"}, {"language": "../de"}])
def test_another_language_cannot_be_chosen(world: World, typed: dict[str, str]) -> None:
    assert world.ask("student", "POST", "/language", typed).status_code == 400


@pytest.mark.parametrize("elsewhere", ["//evil.test/", "https://evil.test/", "/\\evil.test", ""])
def test_choosing_a_language_leads_to_no_other_site(world: World, elsewhere: str) -> None:
    typed = {"language": "de", "next": elsewhere}
    assert world.ask("student", "POST", "/language", typed).headers["Location"] == "/"
