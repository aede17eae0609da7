"""The host's Flask-Babel and none: its words stay its own, ours are ours."""

from __future__ import annotations

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.mofile import write_mo

from commweb.i18n import gettext, ngettext
from tests.embedding.college import comm, db
from tests.embedding.visiting import Open, Visitor, open_college, shown

ADMIN = "/communication/admin/"
HOSTS_WORDS = {
    "Save changes": "Abspeichern (Haus)",
    ("%(num)d scholar", "%(num)d scholars"): ("%(num)d Scholar", "%(num)d Scholaren"),
}
OUR_WORDS = {
    "Save changes": "Änderungen speichern",
    "Experimental settings": "Experimentelles",
    "Site administration": "Verwaltung der Website",
    "Check “%(field)s”": "Prüfen Sie „%(field)s“",
    "%(num)d existing course has no room.": "",
    ("%(count)d person could not be added.", "%(count)d people could not be added."): (
        "%(count)d Person fehlt.",
        "%(count)d Personen fehlen.",
    ),
}


def write(folder: Path, domain: str, words: dict) -> None:
    catalog = Catalog(locale="de", domain=domain)
    for text, translated in words.items():
        catalog.add(text, translated)
    made = BytesIO()
    write_mo(made, catalog)
    place = folder / "de" / "LC_MESSAGES"
    place.mkdir(parents=True, exist_ok=True)
    (place / f"{domain}.mo").write_bytes(made.getvalue())


@pytest.fixture
def bilingual(tmp_path: Path) -> Iterator[Open]:
    """The college with German words for its own texts and some of ours."""
    words = tmp_path / "words"
    write(words, "messages", HOSTS_WORDS)
    write(words, "commweb", OUR_WORDS)
    config = {"LANGUAGES": True, "BABEL_TRANSLATION_DIRECTORIES": str(words)}
    with open_college(tmp_path / "college", **config) as made:
        yield made


def test_without_babel_our_pages_are_english_and_the_host_needs_no_gettext(agnes: Visitor) -> None:
    page = agnes.get(f"{ADMIN}experimental")
    assert "The college has one language." in page.text
    assert "Experimental settings" in shown(page)


def test_with_babel_each_side_uses_its_own_words_for_the_same_text(bilingual: Open) -> None:
    page = Visitor(bilingual, "agnes", language="de").get(f"{ADMIN}experimental")
    text = shown(page)
    assert "Abspeichern (Haus) / 3 Scholaren" in text, "the layout speaks the host's words"
    assert "Änderungen speichern" in text, "the button speaks ours"
    assert "Experimentelles" in text
    assert "Save changes" not in text


def test_our_words_are_in_the_menu_the_host_draws(bilingual: Open) -> None:
    agnes = Visitor(bilingual, "agnes", language="de")
    assert "Verwaltung der Website" in shown(agnes.get("/papers/"))


def test_the_reader_chooses_the_language_not_the_process(bilingual: Open) -> None:
    german = Visitor(bilingual, "agnes", language="de")
    english = Visitor(bilingual, "agnes", language="en")
    for _again in range(2):
        assert "Experimentelles" in shown(german.get(ADMIN))
        assert "Experimental settings" in shown(english.get(ADMIN))
        assert "Save changes / 3 scholars" in shown(english.get(ADMIN))


def test_a_worker_has_no_reader_so_it_speaks_the_hosts_default_language(tmp_path: Path) -> None:
    """The college's selector looks at the request, as most do."""
    words = tmp_path / "words"
    write(words, "commweb", OUR_WORDS)
    config = {"LANGUAGES": True, "BABEL_TRANSLATION_DIRECTORIES": str(words)}
    with open_college(tmp_path / "college", BABEL_DEFAULT_LOCALE="de", **config) as college:
        with college.app.app_context():
            assert gettext("Save changes") == "Änderungen speichern"
            one = "%(count)d person could not be added."
            assert ngettext(one, "%(count)d people could not be added.", 2) == "2 Personen fehlen."
        assert gettext("Save changes") == "Save changes"


def test_the_command_line_works_with_the_hosts_babel(bilingual: Open) -> None:
    number = bilingual.write("Astronomy")
    assert "1 room synchronised." in bilingual.run("commweb", "sync")
    with bilingual.app.test_request_context("/"):
        person = bilingual.state.host.courses()
        assert [course.id for course in person] == [number]
        assert db.session is not None
        assert comm.provider_choices()[0][0] == ""
