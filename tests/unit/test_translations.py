"""German and French say everything the code says, with the same places to fill."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import pytest
from babel import Locale
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, extract_from_dir, extract_from_file
from babel.messages.frontend import parse_keywords, parse_mapping_cfg
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parents[2]
LANGUAGES = ("de", "fr")
PLACES = re.compile(r"%\((\w+)\)([a-z])|(?<![\w{])(\{\w+\})|(%%)")
TRANSLATING = {"_", "gettext", "ngettext", "lazy_gettext"}
ENDS = re.compile(r"[.:…?]$")


@dataclass(frozen=True)
class Part:
    """What has a catalogue of its own: where its texts are, and where their translations."""

    domain: str
    sources: tuple[str, ...]
    folder: str

    def catalogue(self, language: str, suffix: str) -> Path:
        return ROOT / self.folder / language / "LC_MESSAGES" / f"{self.domain}.{suffix}"


EXTENSION = Part("commweb", ("commweb",), "commweb/translations")
SITE = Part("messages", ("app.py", "templates", "commweb/site"), "translations")
PARTS = (EXTENSION, SITE)

both = pytest.mark.parametrize("part", PARTS, ids=["extension", "site"])
each = pytest.mark.parametrize("language", LANGUAGES)


@lru_cache
def made_from_code(part: Part) -> frozenset[str | tuple[str, ...]]:
    """Every text in the code now, as ``make translations`` finds them."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    more = parse_keywords(re.findall(r"-k (\S+)", makefile))
    with (ROOT / "babel.cfg").open(encoding="utf-8") as file:
        methods, options = parse_mapping_cfg(file)
    found: set[str | tuple[str, ...]] = set()
    for source in part.sources:
        place = ROOT / source
        if place.is_file():
            messages = [m[1] for m in extract_from_file("python", place)]
        else:
            keywords = {**DEFAULT_KEYWORDS, **more}
            messages = [m[2] for m in extract_from_dir(place, methods, options, keywords)]
        found.update(key(m) for m in messages)
    return frozenset(found - {""})


def files(part: Part, suffix: str) -> Iterator[Path]:
    """The part's files of this kind, but the module that does the translating."""
    for source in part.sources:
        place = ROOT / source
        for path in [place] if place.is_file() else sorted(place.rglob(f"*{suffix}")):
            theirs = part is EXTENSION and path.is_relative_to(ROOT / "commweb" / "site")
            if path.suffix == suffix and path.name != "i18n.py" and not theirs:
                yield path


@lru_cache
def written(part: Part, language: str) -> Catalog:
    with part.catalogue(language, "po").open("rb") as file:
        return read_po(file, locale=language, domain=part.domain)


def translated(part: Part, language: str) -> Iterator[Message]:
    """The messages of the catalogue, without its header."""
    return (message for message in written(part, language) if message.id)


def key(words: str | tuple[str, ...] | list[str]) -> str | tuple[str, ...]:
    """A message's id, as something that can be looked up."""
    return words if isinstance(words, str) else tuple(words)


def texts(words: str | tuple[str, ...] | list[str]) -> list[str]:
    return [words] if isinstance(words, str) else list(words)


def places(text: str) -> set[str]:
    return {"".join(match) for match in PLACES.findall(text)}


@both
def test_the_extraction_finds_the_texts_of_templates_and_of_code(part: Part) -> None:
    found = made_from_code(part)
    assert "Save changes" in found
    assert len(found) > 100
    if part is EXTENSION:
        assert "Home server URL" in found, "lazy texts of class bodies"
        assert ("%(count)d room", "%(count)d rooms") in found


@both
def test_what_is_translated_is_written_out_so_that_it_is_found(part: Part) -> None:
    for path in files(part, ".py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            called = node.func if isinstance(node, ast.Call) else None
            if isinstance(called, ast.Name) and called.id in TRANSLATING:
                assert isinstance(node.args[0], ast.Constant), f"{path.name}:{node.lineno}"


@both
def test_no_word_in_a_template_is_left_out_of_the_catalogue(part: Part) -> None:
    for path in files(part, ".html"):
        text = path.read_text(encoding="utf-8")
        for away in (r"{#.*?#}", r"{{.*?}}", r"{%.*?%}", r"<[^>]*>", r'[\w-]+="[^"]*"', r"&\w+;"):
            text = re.sub(away, " ", text, flags=re.DOTALL)
        assert not re.search(r"[^\W\d_]{2,}", text), path.name


@both
@each
def test_every_text_of_the_code_is_translated(part: Part, language: str) -> None:
    known = {key(m.id) for m in translated(part, language)}
    assert made_from_code(part) - known == set(), "run: make translations, then fill in the .po"
    empty = [m.id for m in translated(part, language) if not all(texts(m.string))]
    assert empty == []


@both
@each
def test_the_catalogue_holds_nothing_that_is_not_said_any_more(part: Part, language: str) -> None:
    known = {key(m.id) for m in translated(part, language)}
    assert known - made_from_code(part) == set(), "run: make translations"
    assert list(written(part, language).obsolete) == []


@both
@each
def test_no_translation_is_only_a_guess(part: Part, language: str) -> None:
    assert [m.id for m in translated(part, language) if m.fuzzy] == []


@both
@each
def test_the_places_to_fill_are_the_same(part: Part, language: str) -> None:
    for message in translated(part, language):
        wanted = set().union(*map(places, texts(message.id)))
        for text in texts(message.string):
            assert places(text) == wanted, message.id


@both
@each
def test_every_form_of_a_plural_is_there_and_they_differ(part: Part, language: str) -> None:
    forms = written(part, language).num_plurals
    assert forms == 2
    for message in translated(part, language):
        if message.pluralizable:
            assert len(message.string) == forms, message.id
            assert all(message.string), message.id
    rule = Locale.parse(language).plural_form
    assert (rule(0), rule(1), rule(2)) == (
        ("other", "one", "other") if language == "de" else ("one", "one", "other")
    )


@both
@each
def test_what_is_compiled_is_what_is_written(part: Part, language: str) -> None:
    with part.catalogue(language, "mo").open("rb") as file:
        compiled = {key(m.id): texts(m.string) for m in read_mo(file) if m.id}
    current = {key(m.id): texts(m.string) for m in translated(part, language)}
    assert compiled == current, "run: make translations"


@both
@each
def test_a_sentence_stays_a_sentence(part: Part, language: str) -> None:
    """A full stop, a colon, dots or a question mark at the end is there in each language."""
    for message in translated(part, language):
        for original, text in zip(texts(message.id), texts(message.string), strict=True):
            end, found = ENDS.search(original), ENDS.search(text)
            assert (end and end[0]) == (found and found[0]), message.id
            assert text == text.strip(), message.id


@both
def test_people_are_addressed_formally(part: Part) -> None:
    informal = {"de": r"\b(du|dein|deine[mnrs]?|dir|dich)\b", "fr": r"\b(tu|ton|ta|tes|toi)\b"}
    for language, words in informal.items():
        for message in translated(part, language):
            for text in texts(message.string):
                assert not re.search(words, text, re.IGNORECASE), text


@both
def test_each_language_uses_its_own_quotation_marks_and_spaces(part: Part) -> None:
    for message in translated(part, "de"):
        for text in texts(message.string):
            assert text.count("„") == text.count("“"), text
            assert not re.search("[”’'\"]", text), text
    for message in translated(part, "fr"):
        for text in texts(message.string):
            assert not re.search("[“”'\"]", text), text
            assert not re.search(r"(?<!\w://)(?<=[^\W\d_])[;?!]| [;?!»:]|« ", text), text


@each
def test_a_word_of_both_catalogues_is_the_same_in_both(language: str) -> None:
    ours = {m.id: m.string for m in translated(EXTENSION, language) if isinstance(m.id, str)}
    theirs = {m.id: m.string for m in translated(SITE, language) if isinstance(m.id, str)}
    differing = {text for text in ours.keys() & theirs.keys() if ours[text] != theirs[text]}
    assert differing == set()
