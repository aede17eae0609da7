"""`CustomLinkProvider`: a link to a chat somewhere else, shown to every member of the course."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from commweb.i18n import lazy_gettext
from commweb.providers.base import Provider

if TYPE_CHECKING:
    from commweb.providers.options import CourseOptions

__all__ = ["CustomLinkProvider"]


class CustomLinkProvider(Provider):
    """Nothing is kept in step and no server is asked: members follow the link themselves."""

    id = "customlink"
    name = lazy_gettext("Custom link")
    has_rooms = False

    def course_form(self) -> type[CourseOptions]:
        from commweb.providers.customlink.forms import LinkOptions

        return LinkOptions

    def course_url(self, options: Mapping[str, Any]) -> str | None:
        return str(options.get("url") or "") or None
