"""What a provider's settings form declares: which of its fields are secrets, and whether every
field has a place where it is kept."""

from __future__ import annotations

from collections.abc import Iterator

from wtforms import PasswordField
from wtforms.fields.core import UnboundField

from commweb.errors import MisuseError
from commweb.fields import RequiredSecret, SecretField, SettingsForm
from commweb.providers.base import SESSION_SECRETS, Provider

__all__ = ["check_form", "own_secrets", "required_secrets"]

LONGEST_NAME = 64
TAKEN = frozenset({"csrf_token", "version", "confirmed", "start"})
TAKEN_BY_SIGN_IN = frozenset({"username", "password"})


def own_secrets(provider: Provider, form: type[SettingsForm] | None = None) -> frozenset[str]:
    """The names of the secrets that are stored for the provider besides its session's tokens.
    ``form``: the one in use, if it is not the provider's."""
    return frozenset(_own(provider, form))


def required_secrets(provider: Provider) -> frozenset[str]:
    """Those of them without which it cannot work."""
    return frozenset(name for name, field in _own(provider, None).items() if _is_required(field))


def check_form(provider: Provider, form: type[SettingsForm]) -> None:
    """Raise `MisuseError` when the form in use has a field whose value would be thrown away, or a
    secret that would be kept readably."""
    theirs = provider.settings_form()
    keys = {setting.key for setting in provider.settings}
    taken = TAKEN | (TAKEN_BY_SIGN_IN if provider.can_sign_in else frozenset())
    if provider.can_sign_in and not provider.has_session:
        _refuse(provider, "has sign_in() but no session to keep: set has_session = True")
    for name, field in _declared(form):
        kind = field.field_class
        if issubclass(kind, SecretField):
            if name in keys:
                _refuse(provider, f"keeps its secret {name!r} among its settings: take it out")
        elif issubclass(kind, PasswordField):
            _refuse(provider, f"would keep {name!r} readably: use commweb.fields.SecretField")
        elif form is theirs and name not in keys and not hasattr(SettingsForm, name):
            _refuse(provider, f"keeps {name!r} nowhere: add Setting({name!r}, ...) to settings")
        if len(name) > LONGEST_NAME:
            _refuse(provider, f"has a field with a name of over {LONGEST_NAME} characters")
        if name in taken and not hasattr(SettingsForm, name):
            _refuse(provider, f"cannot name a field {name!r}, which the page uses")


def _refuse(provider: Provider, what: str) -> None:
    raise MisuseError(f"The settings form of the provider {provider.id!r} {what}.")


def _declared(form: type[SettingsForm]) -> Iterator[tuple[str, UnboundField]]:
    for name in dir(form):
        field = getattr(form, name)
        if isinstance(field, UnboundField):
            yield name, field


def _own(provider: Provider, form: type[SettingsForm] | None) -> dict[str, UnboundField]:
    form = form or provider.settings_form()
    if form is None:
        return {}
    tokens = SESSION_SECRETS if provider.has_session else ()
    return {
        name: field
        for name, field in _declared(form)
        if issubclass(field.field_class, SecretField)
        if field.field_class.kept and name not in tokens
    }


def _is_required(field: UnboundField) -> bool:
    given = [*field.args, *field.kwargs.values()]
    validators = [one for value in given if isinstance(value, list | tuple) for one in value]
    return any(isinstance(one, RequiredSecret) for one in validators)
