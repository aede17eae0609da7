"""Texts in the reader's language: gettext for our own domain, identity without Flask-Babel.

Every text a person reads goes through `gettext`, `ngettext` or `lazy_gettext`. Nothing here knows
an app: the language is asked for at each call, from the host's Flask-Babel if it has one. A host
adds a language, or changes our words, with a ``commweb.mo`` among its own translations.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["LazyText", "gettext", "lazy_gettext", "ngettext"]

DOMAIN = "commweb"
TRANSLATIONS = Path(__file__).parent / "translations"


def _translations() -> Any | None:
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
    return _load(folders, (str(locale), locale.language))


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


def gettext(text: str, **values: object) -> str:
    """The text in the reader's language, with ``%(name)s`` places filled from ``values``."""
    translations = _translations()
    translated = str(translations.gettext(text)) if translations else text
    return translated % values if values else translated


def ngettext(one: str, many: str, count: int, **values: object) -> str:
    """The text for ``count`` things; ``%(count)d``, or ``%(num)d``, is filled in."""
    translations = _translations()
    if translations:
        translated = str(translations.ngettext(one, many, count))
    else:
        translated = one if count == 1 else many
    return translated % {"count": count, "num": count, **values}


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
