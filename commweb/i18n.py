"""Texts in the reader's language: gettext for our own domain, identity without Flask-Babel.

Every text a person reads goes through `gettext`, `ngettext` or `lazy_gettext`. Nothing here knows
an app: the language is asked for at each call, from the host's Flask-Babel if it has one. A host
adds a language, or changes our words, with a ``commweb.mo`` among its own translations.

A text remembers what it was made from (`Text`): a worker stores why a room waits, and each reader
is told in the language of the reader (`stored` and `told`). Such a text stays inside commweb:
``str(text)`` is a plain string, and that is what leaves (`commweb.plain`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, Self

__all__ = [
    "LazyText",
    "Text",
    "format_datetime",
    "gettext",
    "joined",
    "lazy_gettext",
    "ngettext",
    "stored",
    "told",
]

DOMAIN = "commweb"
TRANSLATIONS = Path(__file__).parent / "translations"
MARK = "\x1e"
"""What a stored text with places to fill begins with; the rest is JSON."""


class _Reader(NamedTuple):
    """The language of whoever reads, a ``babel.Locale``, and the words for it."""

    locale: Any
    words: Any


def _reader() -> _Reader | None:
    try:
        from flask_babel import get_babel, get_locale
    except ImportError:
        return None
    try:
        locale = get_locale()
    except KeyError:  # the host does not use Flask-Babel in this app
        return None
    except RuntimeError:  # a selector that looks at the request, asked in a worker
        locale = get_babel().instance.default_locale
    if locale is None:
        return None
    folders = (*get_babel().translation_directories, str(TRANSLATIONS))
    return _Reader(locale, _load(folders, (str(locale), locale.language)))


@lru_cache(maxsize=64)
def _load(folders: tuple[str, ...], names: tuple[str, ...]) -> Any:
    """The words in these folders, the first before the others. They do not change while a
    process runs, so they are read once."""
    from babel.support import NullTranslations, Translations

    words = NullTranslations()
    for folder in reversed(folders):
        found = Translations.load(folder, names, DOMAIN)
        found.add_fallback(words)
        words = found
    return words


class Text(str):
    """A text in the language it was asked for in. ``source`` is what `told` makes it from again,
    in JSON's types. ``str(text)``, and what is pickled, is a plain string without it."""

    __slots__ = ("source",)
    source: Any

    def __new__(cls, text: str, source: Any) -> Self:
        made = super().__new__(cls, text)
        made.source = source
        return made

    def __reduce__(self) -> tuple[type[str], tuple[str]]:
        return str, (str(self),)

    def __deepcopy__(self, _memo: object) -> Self:
        return self


def gettext(text: str, **values: object) -> str:
    """The text in the reader's language, with ``%(name)s`` places filled from ``values``."""
    reader = _reader()
    translated = str(reader.words.gettext(text)) if reader and text else text
    if not values:
        return Text(translated, text)
    return Text(translated % values, {"text": text, "values": _sources(values)})


def ngettext(one: str, many: str, count: int, **values: object) -> str:
    """The text for ``count`` things; ``%(count)d``, or ``%(num)d``, is filled in."""
    reader = _reader()
    if reader:
        translated = str(reader.words.ngettext(one, many, count))
    else:
        translated = one if count == 1 else many
    source = {"text": one, "many": many, "count": count, "values": _sources(values)}
    return Text(translated % {"count": count, "num": count, **values}, source)


def joined(texts: Iterable[str]) -> str:
    """Several sentences as one text."""
    sentences = list(texts)
    return Text(" ".join(sentences), [_source(one) for one in sentences])


def _sources(values: Mapping[str, object]) -> dict[str, Any]:
    return {name: _source(value) for name, value in values.items()}


def _source(value: object) -> Any:
    """What a value is made from; a plain text is itself and is not translated."""
    if isinstance(value, LazyText):
        value = gettext(value.text)
    if isinstance(value, Text):
        return {"text": value.source} if isinstance(value.source, str) else value.source
    if isinstance(value, int | float):
        return value
    return str(value)


def stored(text: str) -> str:
    """The text for the database: without places to fill its English words, else JSON."""
    if not isinstance(text, Text):
        return text.lstrip(MARK)
    if isinstance(text.source, str):
        return text.source
    return MARK + json.dumps(text.source, ensure_ascii=False)


def told(text: str) -> str:
    """What `stored` gave, in the reader's language. Any other text comes back as it is."""
    if not text.startswith(MARK):
        return gettext(text)
    try:
        return _as_text(_told(json.loads(text[1:])))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return text[1:]


def _told(source: Any) -> Any:
    if isinstance(source, list):
        return joined(_as_text(_told(one)) for one in source)
    if not isinstance(source, dict):
        return source
    text, many = source["text"], source.get("many")
    values = {name: _told(value) for name, value in source.get("values", {}).items()}
    if many:
        return ngettext(text, many, source["count"], **values)
    return gettext(text, **values)


def _as_text(value: object) -> str:
    return value if isinstance(value, str) else str(value)


class LazyText:
    """A text that is translated each time it is shown: for what is made before a request."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return str(gettext(self.text))

    def __html__(self) -> str:
        from markupsafe import escape

        return str(escape(str(self)))

    def __repr__(self) -> str:
        return f"LazyText({self.text!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self.text)

    def __mod__(self, values: Any) -> str:
        return str(str(self) % values)


def lazy_gettext(text: str) -> LazyText:
    """Like `gettext`, for class bodies and tables."""
    return LazyText(text)


def format_datetime(moment: datetime) -> str:
    """An aware moment as the reader writes it, in the time zone of the host's Flask-Babel; without
    one ``YYYY-MM-DD HH:MM UTC``."""
    reader = _reader()
    if reader is None:
        return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
    from babel.dates import format_datetime as in_words
    from babel.dates import format_time
    from flask_babel import get_timezone

    there = moment.astimezone(get_timezone())
    zone = there.tzname()
    if zone != "UTC":  # which is UTC in every language
        zone = format_time(there, "z", tzinfo=there.tzinfo, locale=reader.locale)
    day_and_time = in_words(there, "medium", tzinfo=there.tzinfo, locale=reader.locale)
    return f"{day_and_time} {zone}"
