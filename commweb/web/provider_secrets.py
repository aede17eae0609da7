"""A provider's own secrets on its settings page: what the form may know, and saving them."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection

from commweb.encryption import Secret
from commweb.fields import SettingsForm, StoredFacts
from commweb.providers.base import SESSION_SECRETS, Provider
from commweb.providers.declared import own_secrets
from commweb.state import State

__all__ = ["facts_of", "keep_secrets", "keep_typed", "keeps_secrets", "typed_secrets"]


def facts_of(
    state: State, provider: Provider, form: type[SettingsForm], session: StoredFacts | None
) -> dict[str, StoredFacts]:
    """What the form may know of each stored secret. ``session``: of the session's tokens."""
    facts = dict.fromkeys(SESSION_SECRETS, session) if session and provider.has_session else {}
    own = own_secrets(provider, form)
    if own:
        kept = state.secrets(provider).read()
        facts |= {
            name: StoredFacts(one.server_url, one.since)
            for name, one in kept.items()
            if name in own
        }
    return {name: known for name, known in facts.items() if known is not None}


def keeps_secrets(provider: Provider, form: type[SettingsForm]) -> bool:
    """Whether anything secret is stored for the provider, which an administrator may clear."""
    return provider.has_session or bool(own_secrets(provider, form))


def typed_secrets(provider: Provider, form: SettingsForm) -> dict[str, Secret]:
    """The secrets of the provider's own that were typed."""
    own = own_secrets(provider, type(form))
    return {name: secret for name, secret in form.secrets().items() if name in own}


def keep_secrets(
    connection: Connection,
    state: State,
    provider: Provider,
    form: SettingsForm,
    *,
    server_url: str,
    actor: str,
) -> None:
    """Store what was typed, in the transaction of the settings."""
    typed = typed_secrets(provider, form)
    keep_typed(connection, state, provider, type(form), typed, server_url=server_url, actor=actor)


def keep_typed(
    connection: Connection,
    state: State,
    provider: Provider,
    form: type[SettingsForm],
    typed: Mapping[str, Secret],
    *,
    server_url: str,
    actor: str,
) -> None:
    """`keep_secrets`, without the form that it was typed in."""
    own = own_secrets(provider, form)
    if own:
        state.secrets(provider).replace(
            connection,
            server_url=server_url,
            typed={name: secret for name, secret in typed.items() if name in own},
            declared=own,
            actor=actor,
        )
