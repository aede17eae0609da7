"""The form of a course's Communication page: what every provider shares, and the part of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import request
from wtforms import Field
from wtforms.validators import StopValidation

from commweb.fields import PageForm, PlainText, SelectField, StringField, required
from commweb.host import Group
from commweb.i18n import gettext as _
from commweb.i18n import lazy_gettext
from commweb.providers.options import CourseOptions
from commweb.state import State
from commweb.sync.choices import Options
from commweb.sync.desired import Choice

__all__ = ["CommunicationForm", "CourseForm", "GroupRooms", "Part"]

AnyOptions = TypeVar("AnyOptions", bound=CourseOptions)
PLACES = ("{course}", "{group}", "{room}")


class NameTemplate(PlainText):
    """Tells the rooms of groups apart, and has no places that nothing fills."""

    def __call__(self, form: Any, field: Field) -> None:
        super().__call__(form, field)
        for place in re.findall(r"\{[^{}]*\}", field.data):
            if place not in PLACES:
                words = _("Nothing is filled in for %(place)s.", place=place)
                raise StopValidation(f"{words} " + _("Use {course}, {group} and {room}."))
        if "{group}" not in field.data:
            raise StopValidation(_("Use {group}, so that people can tell the rooms apart."))


class CourseForm(PageForm):
    """What is asked whatever the provider is."""

    provider = SelectField(
        lazy_gettext("Provider"),
        description=lazy_gettext("Where the people of this course talk to each other."),
    )


class GroupRooms(CourseOptions):
    """Which rooms a course with groups has."""

    room_mode = SelectField(
        lazy_gettext("Rooms"),
        choices=[
            ("course", lazy_gettext("One room for the course")),
            ("groups", lazy_gettext("One room for each group")),
            ("both", lazy_gettext("Both")),
        ],
        description=lazy_gettext("Teachers are in the rooms of all groups."),
    )
    group_template = StringField(
        lazy_gettext("Name template for groups"),
        validators=[required(), NameTemplate()],
        description=lazy_gettext(
            "How a group’s room is called. {course} and {group} stand for their names, {room} for "
            "what is entered as the name of the room."
        ),
    )


@dataclass(frozen=True)
class Part:
    """What one provider asks for. ``form`` None: nothing. ``sent``: it came with the form."""

    provider_id: str
    name: str
    has_rooms: bool
    form: CourseOptions | None
    sent: bool = False


class CommunicationForm:
    """The form with what is stored or, after a POST, with what was typed.

    Every provider's part is sent, hidden unless it is chosen, so that trying another provider
    loses nothing. ``turned_off`` is the name of the provider the course uses but cannot choose
    now: it stays in the list, so that saving something else does not leave it.
    """

    def __init__(
        self, state: State, choice: Choice | None, options: Options, groups: Sequence[Group]
    ) -> None:
        stored = choice or Choice("")
        form_class: type[CourseForm] = state.forms.get("course", CourseForm)
        self.main = form_class(data={"provider": stored.provider})
        self.turned_off = ""
        self.parts = [
            _part(provider.id, provider.name, provider.has_rooms, provider.course_form(), options)
            for provider in state.registry
            if state.provider_state(provider).active
        ]
        if stored.provider and self.part(stored.provider) is None:
            self.parts.append(self._off(state, stored.provider, options))
        self.main.provider.choices = [("", _("None"))]
        self.main.provider.choices += [(part.provider_id, part.name) for part in self.parts]
        self.groups: GroupRooms | None = None
        if groups:
            data = {"room_mode": stored.room_mode, "group_template": stored.group_template}
            sent = request.method == "POST" and "room_mode" in request.form
            self.groups = _filled(GroupRooms, data, sent=sent)

    def _off(self, state: State, provider_id: str, options: Options) -> Part:
        provider = state.registry.get(provider_id)
        self.turned_off = str(provider.name) if provider else provider_id
        name = _("%(name)s (turned off)", name=self.turned_off)
        form = provider.course_form() if provider else None
        return _part(provider_id, name, bool(provider and provider.has_rooms), form, options)

    def part(self, provider_id: str) -> Part | None:
        """The part of a provider that can be chosen."""
        return next((part for part in self.parts if part.provider_id == provider_id), None)

    @property
    def chosen(self) -> Part | None:
        """The part of the provider that is selected."""
        return self.part(self.main.provider.data)

    @property
    def asked(self) -> list[PageForm]:
        """The forms that are shown."""
        part = self.chosen
        forms = [self.main, part.form if part else None]
        forms.append(self.groups if part and part.has_rooms else None)
        return [form for form in forms if form is not None]

    def validate(self) -> bool:
        """Whether what is shown can be stored."""
        problems = [form for form in self.asked if not form.validate()]
        return not problems

    def options(self) -> Options:
        """What to keep for each provider: the chosen one's, and what was typed for others."""
        kept = {}
        for part in self.parts:
            usable = part is self.chosen or (part.sent and part.form and part.form.validate())
            if part.form is not None and usable:
                kept[part.provider_id] = part.form.values()
        return kept

    def group_values(self) -> dict[str, str]:
        """``room_mode`` and ``group_template`` where they were asked for."""
        return self.groups.values() if self.groups in self.asked and self.groups else {}

    # For the summary of errors, which draws any form.

    def __iter__(self) -> Iterator[Field]:
        for form in self.asked:
            yield from form

    @property
    def errors(self) -> list[Field]:
        return [field for field in self if field.errors]

    @property
    def form_errors(self) -> list[str]:
        return []

    @property
    def meta(self) -> Any:
        return self.main.meta


def _part(
    provider_id: str,
    name: object,
    has_rooms: bool,
    form_class: type[CourseOptions] | None,
    options: Options,
) -> Part:
    prefix = f"{provider_id}-"
    sent = request.method == "POST" and any(key.startswith(prefix) for key in request.form)
    form = None
    if form_class is not None:
        form = _filled(form_class, options.get(provider_id, {}), prefix=prefix, sent=sent)
    return Part(provider_id, str(name), has_rooms, form, sent)


def _filled(form_class: type[AnyOptions], data: Any, *, prefix: str = "", sent: bool) -> AnyOptions:
    """The form with what was sent, else with what is stored."""
    if sent:
        return form_class(data=data, prefix=prefix)
    return form_class(formdata=None, data=data, prefix=prefix)
