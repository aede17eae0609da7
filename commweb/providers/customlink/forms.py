"""What a course fills in for its custom link."""

from __future__ import annotations

import re
from typing import Any

from wtforms import Field
from wtforms.validators import StopValidation

from commweb.fields import PlainText, StringField, required
from commweb.i18n import gettext
from commweb.i18n import lazy_gettext as _
from commweb.net import url_problem
from commweb.providers.options import CourseOptions

__all__ = ["Link", "LinkOptions", "link_problem"]

MAX_LINK = 2000


def link_problem(link: str) -> str | None:
    """Why people cannot be sent to ``link``, or None.

    The rules for an address that a person typed, except that a link into a chat may have a query
    and a fragment: ``https://chat.example/join?code=1#room``.
    """
    if re.search(r"[\s\\]", link):
        return gettext("This is not a web address.")
    return url_problem(re.split(r"[?#]", link, maxsplit=1)[0])


class Link(PlainText):
    """An http or https address to send people to."""

    def __init__(self) -> None:
        super().__init__(MAX_LINK)

    def __call__(self, form: Any, field: Field) -> None:
        super().__call__(form, field)
        problem = link_problem((field.data or "").strip())
        if problem:
            raise StopValidation(problem)


class LinkOptions(CourseOptions):
    """The address of the chat."""

    url = StringField(
        _("Custom link URL"),
        validators=[required(), Link()],
        description=_(
            "Where the people of this course talk, for example https://chat.example.org/algebra. "
            "Every member of the course sees the link."
        ),
        render_kw={
            "inputmode": "url",
            "autocomplete": "off",
            "autocapitalize": "none",
            "spellcheck": "false",
        },
    )
