"""Form fields and validators of commweb's forms, and `SettingsForm`, the base of a provider's.

A provider's form lists its plain fields under the keys of its `commweb.settings.Setting` and
its secrets as `SecretField`, whatever their names, and names the field that holds its server's
address::

    class BoardsForm(SettingsForm):
        server_field = "server"
        server = HttpUrlField(_("Board server"), validators=[required(), HttpUrl()])
        api_key = SecretField(_("API key"), validators=[RequiredSecret()])

Data crosses as typed values (`SettingsForm.plain_values`) and as `commweb.encryption.Secret`
(`SettingsForm.secrets`). Nothing here reads or writes a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Protocol

import wtforms
from flask import request
from flask_wtf import FlaskForm
from wtforms import BooleanField, Field, HiddenField, PasswordField
from wtforms.validators import StopValidation, ValidationError
from wtforms.widgets import PasswordInput, TextInput

from commweb.encryption import Secret
from commweb.i18n import format_datetime, gettext, lazy_gettext
from commweb.net import is_plain_http_to_elsewhere
from commweb.validators import (
    MAX_TEXT,
    REQUIRED,
    HttpUrl,
    PlainText,
    required,
    text_problem,
    usable_url,
)

__all__ = [
    "REQUIRED",
    "BooleanField",
    "HttpUrl",
    "HttpUrlField",
    "PageForm",
    "PlainText",
    "RequiredSecret",
    "SecretField",
    "SelectField",
    "SettingsForm",
    "SignInPasswordField",
    "StoredFacts",
    "StringField",
    "ValidationError",
    "required",
    "text_problem",
    "usable_url",
]

SERVER_CHANGED = lazy_gettext(
    "This field is required. The stored token belongs to %(server)s and is not sent elsewhere."
)
MAX_SECRET = 4096


class _Keyed(Protocol):
    """What `SettingsForm.plain_values` needs of a `commweb.settings.Setting`."""

    @property
    def key(self) -> str: ...

    @property
    def default(self) -> str | bool | int: ...


@dataclass(frozen=True)
class StoredFacts:
    """What is known of the tokens that are stored, without the tokens.

    ``server_url`` is the server they belong to, ``since`` when they were stored, ``absent`` the
    names of secret fields the stored session does without (a token that does not expire has no
    refresh token).
    """

    server_url: str
    since: datetime | None = None
    absent: frozenset[str] = frozenset()

    def help(self, name: str) -> str:
        """The sentence for the secret field ``name``."""
        if name in self.absent:
            return gettext("The stored session has none and needs none.")
        if self.since is None:
            return gettext("A token is stored. Leave this empty to keep it.")
        when = format_datetime(self.since)
        return gettext("A token is stored since %(when)s. Leave this empty to keep it.", when=when)


class StringField(wtforms.StringField):  # type: ignore[misc]
    """Text. A field that is missing from what was sent is empty, as if it had been emptied."""

    data: Any

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = valuelist[0] if valuelist else ""


def _choice(value: str, label: Any) -> Any:
    """An entry of a list; before WTForms 3.3 it was a plain pair."""
    kind = getattr(wtforms, "SelectChoice", None)
    return (value, label) if kind is None else kind(value, label)


class SelectField(wtforms.SelectField):  # type: ignore[misc]
    """A list of (value, label). A field that is missing from what was sent keeps what the form
    was made with."""

    def __init__(self, *args: Any, choices: Iterable[tuple[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(*args, choices=[_choice(*choice) for choice in choices], **kwargs)

    def pre_validate(self, form: Any) -> None:
        try:
            super().pre_validate(form)
        except ValidationError:
            raise ValidationError(gettext("Choose an option from the list.")) from None


class HttpUrlField(StringField):
    """An address. A good one is normalised (no trailing slash); a bad one stays as typed."""

    widget = TextInput()

    def process_formdata(self, valuelist: list[str]) -> None:
        super().process_formdata(valuelist)
        self.data = usable_url(self.data or "") or (self.data or "").strip()

    def warning(self) -> str | None:
        """A sentence about an address that works but is not wise, or None."""
        if not self.data or self.errors or not usable_url(self.data):
            return None
        if is_plain_http_to_elsewhere(self.data):
            return gettext(
                "%(label)s is not encrypted (http). Everybody on the way can read what is sent, "
                "tokens too. Use https.",
                label=str(self.label.text),
            )
        return None


class SecretField(PasswordField):  # type: ignore[misc]
    """A masked field whose value is never rendered. ``data`` is a `Secret`, or None when blank.
    What is typed is stored sealed, under the field's name."""

    data: Secret | None
    widget = PasswordInput(hide_value=True)
    enter_again = lazy_gettext("Enter the token again.")
    kept = True
    """Whether what is typed is stored, so that blank can mean "keep it"."""

    def process_data(self, value: object) -> None:
        """Nothing stored ever enters the field."""
        self.data = None

    def process_formdata(self, valuelist: list[str]) -> None:
        typed = valuelist[0].strip() if valuelist else ""
        self.data = Secret(typed) if typed else None
        self.raw_data: list[str] = []

    def _value(self) -> str:
        return ""

    def pre_validate(self, form: Any) -> None:
        """Refuse what no token holds: spaces, line breaks, control characters."""
        if not self.data:
            return
        value = self.data.reveal()
        if len(value) > MAX_SECRET:
            raise StopValidation(gettext("Use at most %(count)s characters.", count=MAX_SECRET))
        if any(not ("!" <= character <= "~") for character in value):
            raise StopValidation(
                gettext(
                    "A token has no spaces, line breaks or special characters. "
                    "Copy the token alone."
                )
            )


class SignInPasswordField(SecretField):
    """A password on its way to a server: any character, never trimmed, kept nowhere."""

    enter_again = lazy_gettext("Enter the password again.")
    kept = False

    def process_formdata(self, valuelist: list[str]) -> None:
        self.data = Secret(valuelist[0]) if valuelist and valuelist[0] else None
        self.raw_data = []

    def pre_validate(self, form: Any) -> None:
        if self.data and (len(self.data.reveal()) > MAX_TEXT or text_problem(self.data.reveal())):
            raise StopValidation(gettext("This cannot be a password."))


class RequiredSecret:
    """Blank is an error, unless one is stored for the server that is typed in the form."""

    field_flags: ClassVar[dict[str, bool]] = {"required_secret": True}

    def __call__(self, form: SettingsForm, field: SecretField) -> None:
        if field.data:
            return
        facts = form.facts(field.short_name)
        if facts is None:
            raise StopValidation(REQUIRED)
        server = form.server_url()
        stored = usable_url(facts.server_url) or facts.server_url
        if server and server != stored:
            raise StopValidation(SERVER_CHANGED % {"server": stored})


class PageForm(FlaskForm):  # type: ignore[misc]
    """The base of our forms: takes form fields only, so that every value is a string."""

    class Meta(FlaskForm.Meta):  # type: ignore[misc]
        def wrap_formdata(self, form: Any, formdata: Any) -> Any:
            if isinstance(formdata, Mapping) or formdata is None:
                return formdata
            return request.form if request and request.method == "POST" else None

    def is_required(self, field: Field) -> bool:
        """Whether leaving the field empty is an error (for ``aria-required``)."""
        return bool(field.flags.required)

    def help(self, field: Field) -> list[str]:
        """The sentences under the field."""
        return [str(field.description)] if field.description else []


class SettingsForm(PageForm):
    """The base of a provider's settings form. ``stored``: what is known of the stored secrets,
    by field name or for all of them; None when none is stored."""

    server_field: ClassVar[str] = ""
    advanced: ClassVar[tuple[str, ...]] = ()
    """The names of the fields that few need to change: they are folded away."""
    version = HiddenField()

    def __init__(
        self,
        *args: Any,
        stored: StoredFacts | Mapping[str, StoredFacts] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self._stored = stored

    def facts(self, name: str) -> StoredFacts | None:
        """What is known of the stored secret of the field ``name``; None: none is stored."""
        if isinstance(self._stored, Mapping):
            return self._stored.get(name)
        return self._stored

    def validate_version(self, field: Field) -> None:
        text = field.data or ""
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ValidationError(gettext("The form is not complete. Load the page again."))

    def validate(self, extra_validators: Any = None) -> bool:
        """As WTForms does; and when anything is wrong, typed secrets are asked for again."""
        good = bool(super().validate(extra_validators))
        if not good:
            self.ask_again()
        return good

    def ask_again(self) -> None:
        """The form is shown once more and typed secrets are gone: say so beside each."""
        for field in self._secret_fields():
            if field.data and not field.errors:
                field.errors = [field.enter_again]

    def server_url(self) -> str:
        """The normalised address of the typed server; empty when it is missing or not usable."""
        return usable_url(self[self.server_field].data or "") if self.server_field else ""

    def plain_values(self, settings: Iterable[_Keyed]) -> dict[str, str | bool | int]:
        """The typed value of each setting that has a field here, for `Settings.save`."""
        return {
            setting.key: type(setting.default)(self[setting.key].data or type(setting.default)())
            for setting in settings
            if setting.key in self
        }

    def secrets(self) -> dict[str, Secret]:
        """The secrets that were typed, by field name. A blank one is not in it."""
        return {field.short_name: field.data for field in self._secret_fields() if field.data}

    def warnings(self) -> list[str]:
        """Sentences about values that work but are not wise."""
        found = [field.warning() for field in self if isinstance(field, HttpUrlField)]
        return [sentence for sentence in found if sentence]

    def is_required(self, field: Field) -> bool:
        if isinstance(field, SecretField) and field.kept:
            return bool(field.flags.required_secret) and self.facts(field.short_name) is None
        return super().is_required(field)

    def help(self, field: Field) -> list[str]:
        sentences = super().help(field)
        facts = self.facts(field.short_name)
        if isinstance(field, SecretField) and field.kept and facts is not None:
            sentences.append(facts.help(field.short_name))
        return sentences

    def _secret_fields(self) -> Iterator[SecretField]:
        return (field for field in self if isinstance(field, SecretField))
