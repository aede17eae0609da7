"""What scripts do to a provider without a form: save its settings, store tokens, sign in."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from sqlalchemy import Connection

from commweb.encryption import Secret
from commweb.errors import MisuseError, UnknownSetting
from commweb.models import now
from commweb.places import follow_settings
from commweb.providers.base import Provider, SignedIn
from commweb.providers.declared import own_secrets
from commweb.state import State, provider_scope

__all__ = ["configure", "known_provider", "sign_in"]


def known_provider(state: State, provider_id: str) -> Provider:
    """The provider. Raises `MisuseError` when there is none."""
    provider = state.registry.get(provider_id)
    if provider is None:
        raise MisuseError(f"There is no provider {provider_id!r}.")
    return provider


def configure(
    state: State,
    provider_id: str,
    values: Mapping[str, str | bool | int],
    *,
    access: Secret | None = None,
    refresh: Secret | None = None,
    expires_in_seconds: float | None = None,
    user_id: str | None = None,
    device_id: str | None = None,
    secrets: Mapping[str, Secret] | None = None,
    actor: str = "",
    allow_new_server: bool = False,
) -> None:
    """Save settings and, where given, the tokens of the provider's session and the ``secrets`` of
    its own by field name, in one transaction. No request is made.

    ``allow_new_server``: ``user_id`` is an account of another server than the one the rooms are
    on; everything is created anew there. Raises `AnotherServer` where that was not said, and
    `UnknownSetting` for a key, or a secret, that the provider does not have.
    """
    provider = known_provider(state, provider_id)
    before = state.values(provider).values
    merged = {**before, **values}
    expires = None
    if expires_in_seconds is not None:
        expires = now() + timedelta(seconds=expires_in_seconds)

    own, typed = own_secrets(provider), dict(secrets or {})
    unknown = sorted(set(typed) - own)
    if unknown:
        raise UnknownSetting(f"No such secret of {provider_id}: {', '.join(unknown)}.")

    def also(connection: Connection) -> None:
        if own:
            state.secrets(provider).replace(
                connection,
                server_url=provider.server_url(merged),
                typed=typed,
                declared=own,
                actor=actor,
            )
        state.tokens(provider).replace(
            connection,
            base_url=provider.server_url(merged),
            access=access,
            refresh=refresh,
            actor=actor,
            expires_at=expires,
            lifetime_seconds=int(expires_in_seconds) if expires_in_seconds else None,
            user_id=user_id,
            device_id=device_id,
            allow_new_server=allow_new_server,
        )
        follow_settings(connection, provider, before, merged)

    state.settings.save(
        provider_scope(provider_id),
        provider.settings,
        values,
        expected_version=None,
        actor=actor,
        also=also,
    )
    state.wake()


def sign_in(
    state: State, provider: Provider, username: str, password: Secret, *, actor: str
) -> SignedIn:
    """Get tokens for the saved server and store them. Raises `ProviderError`."""
    values = state.values(provider).values
    signed_in = provider.sign_in(values, state.network, username, password)
    lifetime = signed_in.pair.lifetime_seconds
    configure(
        state,
        provider.id,
        {},
        access=signed_in.pair.access,
        refresh=signed_in.pair.refresh,
        expires_in_seconds=lifetime,
        user_id=signed_in.user_id,
        device_id=signed_in.device_id,
        actor=actor,
    )
    return signed_in
