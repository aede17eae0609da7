"""Filling and saving a provider's settings form; used by the settings page and by signing in."""

from __future__ import annotations

from datetime import datetime
from typing import TypeVar

from sqlalchemy import Connection

from commweb.connection import Session
from commweb.encryption import Secret
from commweb.errors import StaleSettings
from commweb.fields import SettingsForm, StoredFacts
from commweb.host import Person
from commweb.places import follow_settings
from commweb.providers.base import Provider, SignedIn
from commweb.state import State, provider_scope
from commweb.web.effects import give_back
from commweb.web.provider_secrets import facts_of, keep_secrets

__all__ = ["empty_form", "require_current", "save_settings", "stored_facts", "typed_form"]

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
    state: State,
    provider: Provider,
    form: SettingsForm,
    person: Person,
    *,
    access: Secret | None = None,
    refresh: Secret | None = None,
    signed_in: SignedIn | None = None,
) -> None:
    """Save the form's values and the tokens (typed, or from signing in) in one transaction.

    Raises `StaleSettings` when somebody saved since the form was loaded.
    """
    values = form.plain_values(provider.settings)
    before = state.values(provider).values
    expires_at: datetime | None = None
    lifetime_seconds: int | None = None
    if signed_in is not None:
        access, refresh = signed_in.pair.access, signed_in.pair.refresh
        expires_at = signed_in.pair.expires_at
        lifetime_seconds = signed_in.pair.lifetime_seconds

    def also(connection: Connection) -> None:
        server_url = provider.server_url(values)
        keep_secrets(connection, state, provider, form, server_url=server_url, actor=person.id)
        if not provider.has_session:
            follow_settings(connection, provider, before, values)
            return
        state.tokens(provider).replace(
            connection,
            base_url=server_url,
            access=access,
            refresh=refresh,
            actor=person.id,
            expires_at=expires_at,
            lifetime_seconds=lifetime_seconds,
            user_id=signed_in.user_id if signed_in else None,
            device_id=signed_in.device_id if signed_in else None,
        )
        follow_settings(connection, provider, before, values)

    give_back(state)
    state.settings.save(
        provider_scope(provider.id),
        provider.settings,
        values,
        expected_version=int(form.version.data),
        actor=person.id,
        also=also,
        detail=_detail(form, signed_in),
    )


def _detail(form: SettingsForm, signed_in: SignedIn | None) -> dict[str, object]:
    """Which secrets were replaced and how, for the audit trail; never a secret."""
    typed = {name for name in form.secrets() if getattr(form[name], "kept", False)}
    detail: dict[str, object] = {"replaced": sorted(typed)} if typed else {}
    return {**detail, "signed_in_as": signed_in.user_id} if signed_in is not None else detail
