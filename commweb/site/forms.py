"""The site's forms. Their labels are what people and tests look for."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from datetime import date
from typing import Any

from flask import current_app
from flask_babel import gettext, lazy_gettext
from flask_wtf import FlaskForm
from flask_wtf.file import FileField
from wtforms import (
    BooleanField,
    DateField,
    Field,
    PasswordField,
    SelectField,
    StringField,
    TextAreaField,
)
from wtforms.fields import SelectChoice
from wtforms.validators import DataRequired, InputRequired, Optional, ValidationError

from commweb.site.images import CheckedImage, ImageError, check_image
from commweb.site.models import Enrolment, Group, GroupMode, Role, User

__all__ = [
    "AddToGroupForm",
    "CourseForm",
    "EnrolForm",
    "GroupForm",
    "LoginForm",
    "NewCourseForm",
    "NewPersonForm",
    "PersonForm",
]

REQUIRED = lazy_gettext("This field is required.")
CHOOSE = SelectChoice("", lazy_gettext("Choose…"))
MIN_PASSWORD = 8
MAX_PASSWORD = 200


def _strip(value: str | None) -> str | None:
    return value.strip() if value else value


def _one_line(max_length: int, help: Any = "", *, label: Any) -> Field:
    return StringField(
        label,
        description=help,
        filters=[_strip],
        validators=[DataRequired(REQUIRED), Text(max_length)],
    )


class Text:
    """At most ``max_length`` characters, without control characters (``lines`` allows breaks)."""

    def __init__(self, max_length: int, *, lines: bool = False) -> None:
        self.max_length = max_length
        self.allowed = "\r\n\t" if lines else ""
        self.field_flags = {"maxlength": max_length}

    def __call__(self, form: Any, field: Field) -> None:
        value = field.data or ""
        if len(value) > self.max_length:
            raise ValidationError(
                gettext("Use at most %(count)d characters.", count=self.max_length)
            )
        if any(unicodedata.category(c) in ("Cc", "Cs") and c not in self.allowed for c in value):
            raise ValidationError(gettext("This contains a character that is not allowed."))


class Password:
    """Long enough to keep, short enough to hash."""

    def __call__(self, form: Any, field: Field) -> None:
        if not MIN_PASSWORD <= len(field.data or "") <= MAX_PASSWORD:
            raise ValidationError(
                gettext(
                    "Use at least %(least)d and at most %(most)d characters.",
                    least=MIN_PASSWORD,
                    most=MAX_PASSWORD,
                )
            )
        if any(unicodedata.category(c) in ("Cc", "Cs") for c in field.data):
            raise ValidationError(gettext("This contains a character that is not allowed."))


class UserName:
    """One word, so that it can be typed and shown anywhere."""

    def __call__(self, form: Any, field: Field) -> None:
        if any(character.isspace() for character in field.data):
            raise ValidationError(gettext("A user name has no spaces."))


class Day(DateField):  # type: ignore[misc]
    """A day, within the years a course can have."""

    data: date | None

    def process_formdata(self, valuelist: list[str]) -> None:
        if not any(value.strip() for value in valuelist):
            if valuelist:  # emptied: what the course has does not stay
                self.data = None
            return
        try:
            super().process_formdata(valuelist)
        except ValueError:
            self.data = None
            raise ValueError(gettext("Enter a day, for example 2030-09-01.")) from None

    def pre_validate(self, form: Any) -> None:
        if self.data and not date(1970, 1, 1) <= self.data <= date(2999, 12, 31):
            raise ValidationError(gettext("Enter a day between 1970 and 2999."))


class LoginForm(FlaskForm):  # type: ignore[misc]
    """Logging in."""

    username = _one_line(255, label=lazy_gettext("User name"))
    password = PasswordField(lazy_gettext("Password"), validators=[InputRequired(REQUIRED)])


class _CourseFields(FlaskForm):  # type: ignore[misc]
    """What a course has from its beginning."""

    full_name = _one_line(255, label=lazy_gettext("Course full name"))
    short_name = _one_line(
        100,
        lazy_gettext("A short word for lists, such as ALG1."),
        label=lazy_gettext("Course short name"),
    )
    summary = TextAreaField(
        lazy_gettext("Summary"), filters=[_strip], validators=[Text(5000, lines=True)]
    )


class NewCourseForm(_CourseFields):
    """A new course. ``providers`` are pairs of id and label; nothing to choose, no field."""

    provider = SelectField(
        lazy_gettext("Provider"), description=lazy_gettext("Where members of this course chat.")
    )

    def __init__(self, providers: Sequence[tuple[str, str]], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if len(providers) > 1:
            self.provider.choices = [SelectChoice(key, label) for key, label in providers]
        else:
            del self.provider


class CourseForm(_CourseFields):
    """A course as it is. `checked_image` is the uploaded picture after a good `validate`."""

    visible = BooleanField(
        lazy_gettext("Visible"), description=lazy_gettext("Students do not see a hidden course.")
    )
    opens = Day(
        lazy_gettext("Opens"),
        description=lazy_gettext("Optional. First day (UTC)."),
        validators=[Optional()],
    )
    closes = Day(
        lazy_gettext("Closes"),
        description=lazy_gettext("Optional. Last day (UTC)."),
        validators=[Optional()],
    )
    group_mode = SelectField(
        lazy_gettext("Group mode"),
        description=lazy_gettext("With separate groups, students see only their own group."),
        coerce=lambda value: value.value if isinstance(value, GroupMode) else str(value),
        choices=[
            SelectChoice(GroupMode.NONE.value, lazy_gettext("No groups")),
            SelectChoice(GroupMode.SEPARATE.value, lazy_gettext("Separate groups")),
            SelectChoice(GroupMode.VISIBLE.value, lazy_gettext("Visible groups")),
        ],
    )
    image = FileField(
        lazy_gettext("Course image"),
        description=lazy_gettext("PNG, JPEG, WebP or GIF, at most 2 MB."),
    )
    remove_image = BooleanField(lazy_gettext("Remove the picture"))
    checked_image: CheckedImage | None = None

    def validate_image(self, field: Field) -> None:
        if not field.data or not field.data.filename:
            return
        limit = current_app.config["MAX_IMAGE_BYTES"]
        try:
            self.checked_image = check_image(field.data.stream.read(limit + 1), limit)
        except ImageError as problem:
            raise ValidationError(str(problem)) from None

    def validate_closes(self, field: Field) -> None:
        if field.data and self.opens.data and field.data < self.opens.data:
            raise ValidationError(gettext("A course cannot close before it opens."))


class EnrolForm(FlaskForm):  # type: ignore[misc]
    """Enrol one of ``people``."""

    person = SelectField(lazy_gettext("Person"), validators=[DataRequired(REQUIRED)])
    role = SelectField(
        lazy_gettext("Role"), choices=[SelectChoice(role.value, role.label) for role in Role]
    )

    def __init__(self, people: Sequence[User], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Counter(user.full_name for user in people)
        self.person.choices = [CHOOSE]
        for user in people:
            same_name = names[user.full_name] > 1
            label = f"{user.full_name} ({user.username})" if same_name else user.full_name
            self.person.choices.append(SelectChoice(str(user.id), label))


class GroupForm(FlaskForm):  # type: ignore[misc]
    """A new group."""

    group_name = _one_line(100, label=lazy_gettext("Group name"))


class AddToGroupForm(FlaskForm):  # type: ignore[misc]
    """Put one of ``members`` into one of ``groups``."""

    member = SelectField(lazy_gettext("Member"), validators=[DataRequired(REQUIRED)])
    group = SelectField(lazy_gettext("Group"), validators=[DataRequired(REQUIRED)])

    def __init__(
        self, members: Sequence[Enrolment], groups: Sequence[Group], *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.member.choices = [CHOOSE] + [
            SelectChoice(str(enrolment.id), enrolment.user.full_name) for enrolment in members
        ]
        self.group.choices = [SelectChoice(str(group.id), group.name) for group in groups]


class NewPersonForm(FlaskForm):  # type: ignore[misc]
    """A new person."""

    full_name = _one_line(255, label=lazy_gettext("Full name"))
    username = StringField(
        lazy_gettext("User name"),
        description=lazy_gettext("Used to log in. Cannot be changed later."),
        filters=[_strip],
        validators=[DataRequired(REQUIRED), Text(64), UserName()],
    )
    password = PasswordField(
        lazy_gettext("Password"),
        description=lazy_gettext("Optional. Without a password the person cannot log in yet."),
        validators=[Optional(strip_whitespace=False), Password()],
    )


class PersonForm(FlaskForm):  # type: ignore[misc]
    """A person as they are."""

    full_name = _one_line(255, label=lazy_gettext("Full name"))
    password = PasswordField(
        lazy_gettext("New password"),
        description=lazy_gettext("Leave this empty to keep the password."),
        validators=[Optional(strip_whitespace=False), Password()],
    )
