"""What a course fills in for a provider: `CourseOptions`, and the fields of one with rooms.

A provider names its form in `commweb.providers.base.Provider.course_form`. The Communication page
draws it while the provider is chosen and keeps its values for each course and provider::

    class MeetingOptions(CourseOptions):
        url = StringField(_("Meeting URL"), validators=[required()])

Three keys mean something to every provider with rooms: ``name``, ``topic`` and ``picture``.
"""

from __future__ import annotations

from typing import Any

from wtforms import Field

from commweb.fields import BooleanField, PageForm, PlainText, StringField
from commweb.host import Course
from commweb.i18n import lazy_gettext as _

__all__ = ["CourseOptions", "RoomOptions"]


class CourseOptions(PageForm):
    """The base of a provider's part of the Communication page. It is sent with the page's form,
    whose token guards it."""

    class Meta(PageForm.Meta):
        csrf = False

    def values(self) -> dict[str, Any]:
        """What is kept, by field name: plain JSON."""
        return {field.short_name: _plain(field.data) for field in self}

    def placeholder(self, field: Field, course: Course) -> str:
        """What counts while the field is empty; empty: nothing."""
        return ""


def _plain(value: Any) -> Any:
    if value is None:  # a text that was neither stored nor sent
        return ""
    return value.strip() if isinstance(value, str) else value


class RoomOptions(CourseOptions):
    """The name, topic and picture of a course's rooms."""

    name = StringField(
        _("Room name"),
        validators=[PlainText()],
        description=_("Empty: the name of the course, also after a rename."),
    )
    topic = StringField(
        _("Room topic"),
        validators=[PlainText()],
        description=_("Empty: the summary of the course."),
    )
    picture = BooleanField(_("Use the course image as room picture"), default=True)

    def placeholder(self, field: Field, course: Course) -> str:
        if field.short_name == "name":
            return course.full_name
        return " ".join(course.summary.split())[:255] if field.short_name == "topic" else ""
