"""Texts that remember what they were made from, and moments, in the reader's language."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from flask import Flask, request
from flask_babel import Babel, force_locale

from commweb.errors import Unreachable
from commweb.i18n import (
    MARK,
    format_datetime,
    gettext,
    joined,
    lazy_gettext,
    ngettext,
    stored,
    told,
)

ROOM = "Your %(provider)s room is ready."
MOMENT = datetime(2030, 9, 1, 14, 5, 7, tzinfo=UTC)


@pytest.fixture
def app() -> Flask:
    made = Flask("readers")
    Babel(made, locale_selector=lambda: request.args["language"])
    return made


@contextmanager
def reader(app: Flask, language: str) -> Iterator[None]:
    with app.test_request_context(f"/?language={language}"):
        yield


def in_languages(app: Flask, kept: str) -> list[str]:
    """What is stored, as an English, a German and a French reader are told it."""
    found = []
    for language in ("en", "de", "fr"):
        with reader(app, language):
            found.append(str(told(kept)))
    return found


def test_a_plain_sentence_is_stored_as_it_is_and_told_in_each_language(app: Flask) -> None:
    kept = stored(gettext("Has no account yet."))
    assert kept == "Has no account yet."
    assert in_languages(app, kept) == [
        "Has no account yet.", "Hat noch kein Konto.", "N’a pas encore de compte.",
    ]  # fmt: skip


def test_what_a_german_worker_writes_a_french_reader_reads_in_french(app: Flask) -> None:
    with reader(app, "de"):
        text = gettext(ROOM, provider=lazy_gettext("Custom link"))
        assert text == "Ihr Eigener Link-Raum ist bereit."
        kept = stored(text)
    assert in_languages(app, kept)[::2] == [
        "Your Custom link room is ready.", "Votre salon Lien personnalisé est prêt.",
    ]  # fmt: skip


def test_a_stored_plural_follows_the_rule_of_each_language(app: Flask) -> None:
    one, many = "%(count)d person could not be added.", "%(count)d people could not be added."
    assert in_languages(app, stored(ngettext(one, many, 0))) == [
        "0 people could not be added.",
        "0 Personen konnten nicht aufgenommen werden.",
        "0 personne n’a pas pu être ajoutée.",
    ]
    assert in_languages(app, stored(ngettext(one, many, 1)))[1].startswith("1 Person konnte")


def test_sentences_that_were_joined_are_told_one_by_one(app: Flask) -> None:
    text = joined(
        [gettext("The name was set by hand."), "Something else.", gettext(ROOM, provider="X")]
    )
    assert text == "The name was set by hand. Something else. Your X room is ready."
    assert in_languages(app, stored(text))[1] == (
        "Der Name wurde von Hand gesetzt. Something else. Ihr X-Raum ist bereit."
    )


def test_a_text_inside_an_exception_or_a_copy_keeps_its_source(app: Flask) -> None:
    error = Unreachable(
        gettext("The certificate of %(host)s could not be verified.", host="a.test")
    )
    for text in (error.sentence, copy.deepcopy(error.sentence), copy.copy(error).sentence):
        assert in_languages(app, stored(text))[1] == (
            "Das Zertifikat von a.test konnte nicht geprüft werden."
        )


def test_what_an_exception_hands_to_others_is_plain() -> None:
    error = Unreachable(
        gettext("The certificate of %(host)s could not be verified.", host="a.test")
    )
    for text in (*error.args, str(error), error.message):
        assert type(text) is str
        assert text == "The certificate of a.test could not be verified."


def test_a_text_is_plain_as_a_string_and_when_it_is_pickled() -> None:
    text = gettext("The certificate of %(host)s could not be verified.", host="a.test")
    for plain in (str(text), str(lazy_gettext("Rooms")), pickle.loads(pickle.dumps(text))):
        assert type(plain) is str
    error = pickle.loads(pickle.dumps(Unreachable(text, status=502)))
    assert (error.message, error.status, type(error.sentence)) == (text, 502, str)


def test_what_is_filled_in_is_never_translated(app: Flask) -> None:
    kept = stored(gettext("Check “%(field)s”", field="Room"))
    assert in_languages(app, kept)[1] == "Prüfen Sie „Room“"


def test_what_was_told_can_be_stored_again(app: Flask) -> None:
    kept = stored(gettext(ROOM, provider="Matrix"))
    with reader(app, "de"):
        assert stored(told(kept)) == kept


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Words of somebody else: 100 %.",
        "%(name)s %s {0}",
        f"{MARK}not json",
        f"{MARK}" + "[" * 5000,
        f'{MARK}{{"values": {{}}}}',
        f'{MARK}{{"text": "%(a)d", "values": {{"a": "b"}}}}',
    ],
)
def test_any_other_text_comes_back_as_it_is(app: Flask, text: str) -> None:
    assert in_languages(app, text) == [text.removeprefix(MARK)] * 3


def test_a_text_from_outside_cannot_pass_for_a_stored_one() -> None:
    hostile = f'{MARK}{MARK}{{"text": "%(a)999999999d", "values": {{"a": 1}}}}'
    assert not stored(hostile).startswith(MARK)


def test_an_empty_text_is_not_the_header_of_the_catalogue(app: Flask) -> None:
    with reader(app, "de"):
        assert gettext("") == ""
        assert str(lazy_gettext("")) == ""


def test_a_lazy_text_is_told_in_the_language_of_whoever_reads_it(app: Flask) -> None:
    text = lazy_gettext("Rooms")
    with reader(app, "de"):
        assert str(text) == "Räume"
    with reader(app, "fr"):
        assert str(text) == "Salons"
    assert str(text) == "Rooms"


def test_a_moment_is_written_as_the_reader_writes_it(app: Flask) -> None:
    found = []
    for language in ("en", "de", "fr"):
        with reader(app, language):
            found.append(" ".join(format_datetime(MOMENT).split()))
    assert found == [
        "Sep 1, 2030, 2:05:07 PM UTC",
        "01.09.2030, 14:05:07 UTC",
        "1 sept. 2030, 14:05:07 UTC",
    ]


def test_a_moment_is_in_the_time_zone_of_the_hosts_babel() -> None:
    app = Flask("elsewhere")
    app.config["BABEL_DEFAULT_TIMEZONE"] = "Europe/Berlin"
    Babel(app)
    with app.test_request_context(), force_locale("de"):
        assert format_datetime(MOMENT) == "01.09.2030, 16:05:07 MESZ"


def test_without_babel_a_moment_is_iso_in_utc() -> None:
    assert format_datetime(MOMENT) == "2030-09-01 14:05 UTC"
