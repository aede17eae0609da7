"""Validators for what people type: text that can be stored, addresses we may connect to."""

from __future__ import annotations

import unicodedata
from typing import Any

from wtforms import Field
from wtforms.validators import DataRequired, StopValidation

from commweb.i18n import gettext, lazy_gettext
from commweb.net import normalise_url, url_problem

__all__ = ["REQUIRED", "HttpUrl", "PlainText", "required", "text_problem", "usable_url"]

REQUIRED = lazy_gettext("This field is required.")
MAX_TEXT = 255
MAX_URL = 500


def required() -> Any:
    """A plain field must not be empty."""
    return DataRequired(message=REQUIRED)


def text_problem(value: str, *, lines: bool = False) -> str | None:
    """Why ``value`` cannot be stored or shown as text, or None. ``lines`` allows line breaks."""
    for character in value:
        if lines and character in "\r\n\t":
            continue
        if unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp"):
            return gettext("This contains a character that is not allowed. Type it again.")
    return None


def usable_url(text: str) -> str:
    """The normalised address, or ``""`` when it is not one we connect to."""
    text = text.strip()
    if not text or len(text) > MAX_URL or text_problem(text) or url_problem(text):
        return ""
    return normalise_url(text)


class PlainText:
    """At most ``max_length`` characters, and none that cannot be stored or shown."""

    def __init__(self, max_length: int = MAX_TEXT, *, lines: bool = False) -> None:
        self.max_length = max_length
        self.lines = lines

    def __call__(self, form: Any, field: Field) -> None:
        value = field.data or ""
        if len(value) > self.max_length:
            raise StopValidation(
                gettext("Use at most %(count)s characters.", count=self.max_length)
            )
        problem = text_problem(value, lines=self.lines)
        if problem:
            raise StopValidation(problem)


class HttpUrl(PlainText):
    """An http or https address we may connect to, by `commweb.net.url_problem`."""

    def __init__(self, max_length: int = MAX_URL) -> None:
        super().__init__(max_length)

    def __call__(self, form: Any, field: Field) -> None:
        super().__call__(form, field)
        problem = url_problem(field.data) if field.data else None
        if problem:
            raise StopValidation(problem)
