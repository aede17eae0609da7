"""Filling and saving a provider's settings form; used by the settings page and by signing in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from sqlalchemy import Connection

from commweb.connection import Session
from commweb.errors import StaleSettings
from commweb.fields import SettingsForm, StoredFacts
from commweb.host import Person
from commweb.places import follow_settings
from commweb.providers.base import Provider
from commweb.state import State, provider_scope
from commweb.web.connecting import Tried
from commweb.web.effects import give_back
from commweb.web.provider_secrets import facts_of, keep_secrets

__all__ = [
    "empty_form",
    "require_current",
    "save_settings",
    "save_tried",
    "stored_facts",
    "typed_form",
]

Form = TypeVar("Form", bound=SettingsForm)


def stored_facts(session: Session | None) -> StoredFacts | None:
    """What the form may know of the stored tokens; None too when they cannot be opened."""
    if session is None or not session.pair.access:
        return None
    absent = frozenset() if session.pair.refresh else frozenset({"refresh_token"})
    return StoredFacts(server_url=session.base_url, since=session.set_at, absent=absent)


def empty_form(state: State, provider: Provider, form_class: type[Form]) -> Form:
    """The form with the saved values."""
    session = state.tokens(provider).read()
    saved = state.values(provider)
    data = {**saved.values, "version": saved.version}
    facts = facts_of(state, provider, form_class, stored_facts(session))
    return form_class(formdata=None, data=data, stored=facts)


def typed_form(state: State, provider: Provider, form_class: type[Form]) -> Form:
    """The form with what was typed; the saved values stand in for lists that were not sent."""
    session = state.tokens(provider).read()
    facts = facts_of(state, provider, form_class, stored_facts(session))
    return form_class(data=dict(state.values(provider).values), stored=facts)


def require_current(state: State, provider: Provider, form: SettingsForm) -> None:
    """Raise `StaleSettings` when somebody saved since the form was loaded."""
    if state.values(provider).version != int(form.version.data):
        raise StaleSettings("These settings were saved by somebody else meanwhile.")


def save_settings(
    state: State, provider: Provider, form: SettingsForm, person: Person, tried: Tried
) -> Session | None:
    """Save the form's values and the tokens (typed, or from signing in) in one transaction.
    Answers the session that was replaced.

    Raises `StaleSettings` when somebody saved since the form was loaded, and `AnotherServer`
    when the tokens are of another server than the rooms.
    """
    values = form.plain_values(provider.settings)

    def own_secrets(connection: Connection) -> None:
        url = provider.server_url(values)
        keep_secrets(connection, state, provider, form, server_url=url, actor=person.id)

    return save_tried(
        state,
        provider,
        values,
        version=int(form.version.data),
        person=person,
        tried=tried,
        also=own_secrets,
        detail=_detail(form, tried),
    )


def save_tried(
    state: State,
    provider: Provider,
    values: Mapping[str, Any],
    *,
    version: int,
    person: Person,
    tried: Tried,
    allow_new_server: bool = False,
    also: Callable[[Connection], None] | None = None,
    detail: Mapping[str, object] | None = None,
) -> Session | None:
    """Save values and tokens as `save_settings` does, without their form. ``also`` is run in the
    same transaction, before rooms are asked for."""
    before = state.values(provider).values
    replaced: list[Session | None] = [None]

    def store(connection: Connection) -> None:
        if provider.has_session:
            replaced[0] = state.tokens(provider).replace(
                connection,
                base_url=provider.server_url(values),
                access=tried.access,
                refresh=tried.refresh,
                actor=person.id,
                expires_at=tried.expires_at,
                lifetime_seconds=tried.lifetime_seconds,
                user_id=tried.user_id,
                device_id=tried.device_id,
                allow_new_server=allow_new_server,
            )
        if also is not None:
            also(connection)
        follow_settings(connection, provider, before, values)

    give_back(state)
    state.settings.save(
        provider_scope(provider.id),
        provider.settings,
        values,
        expected_version=version,
        actor=person.id,
        also=store,
        detail=detail,
    )
    return replaced[0]


def _detail(form: SettingsForm, tried: Tried) -> dict[str, object]:
    """Which secrets were replaced and how, for the audit trail; never a secret."""
    typed = {name for name in form.secrets() if getattr(form[name], "kept", False)}
    detail: dict[str, object] = {"replaced": sorted(typed)} if typed else {}
    return {**detail, "signed_in_as": tried.user_id} if tried.signed_in else detail
