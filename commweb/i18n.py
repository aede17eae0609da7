"""Texts in the reader's language: gettext for our own domain, identity without Flask-Babel.

Every text a person reads goes through `gettext`, `ngettext` or `lazy_gettext`. Nothing here is
global state: the language is asked for at each call, from the host's Flask-Babel if it has one,
and what was loaded from disk is kept by the app that uses it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from flask import current_app, has_request_context

__all__ = ["LazyText", "gettext", "lazy_gettext", "ngettext"]

DOMAIN = "commweb"
TRANSLATIONS = Path(__file__).parent / "translations"
LOADED = "commweb_translations"


def _translations() -> Any | None:
    if not current_app or "babel" not in current_app.extensions:
        return None
    locale = _locale()
    if locale is None:
        return None
    loaded = current_app.extensions.setdefault(LOADED, {})
    if str(locale) not in loaded:
        loaded[str(locale)] = _load(locale)
    return loaded[str(locale)]


def _locale() -> Any | None:
    """The reader's language. In a worker there is no reader: the host's default, because a
    host's selector looks at the request."""
    from flask_babel import get_babel, get_locale

    try:
        return get_locale()
    except RuntimeError:
        if has_request_context():
            raise
        return get_babel().instance.default_locale


def _load(locale: Any) -> Any:
    """Our words, with those of a ``commweb.mo`` among the host's own translations over them."""
    from babel.support import Translations
    from flask_babel import get_babel

    names = [str(locale), locale.language]
    merged = Translations.load(str(TRANSLATIONS), names, DOMAIN)
    for folder in get_babel().translation_directories:
        own = Translations.load(folder, names, DOMAIN)
        if isinstance(own, Translations):
            merged = own.add(merged) if isinstance(merged, Translations) else own
    return merged


def gettext(text: str, **values: object) -> str:
    """The text in the reader's language, with ``%(name)s`` places filled from ``values``."""
    translations = _translations()
    translated = str(translations.ugettext(text)) if translations else text
    return translated % values if values else translated


def ngettext(one: str, many: str, count: int, **values: object) -> str:
    """The text for ``count`` things; ``%(count)d`` is filled in."""
    translations = _translations()
    if translations:
        translated = str(translations.ungettext(one, many, count))
    else:
        translated = one if count == 1 else many
    return translated % {"count": count, **values}


class LazyText:
    """A text that is translated each time it is shown: for what is made before a request."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def __str__(self) -> str:
        return gettext(self._text)

    def __html__(self) -> str:
        from markupsafe import escape

        return str(escape(str(self)))

    def __repr__(self) -> str:
        return f"LazyText({self._text!r})"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(self._text)

    def __mod__(self, values: Any) -> str:
        return str(str(self) % values)


def lazy_gettext(text: str) -> LazyText:
    """Like `gettext`, for class bodies and tables."""
    return LazyText(text)
