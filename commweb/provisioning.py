"""What scripts do to a provider without a form: save its settings, store tokens, sign in."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta

from sqlalchemy import Connection

from commweb.connection import OK, Session
from commweb.encryption import Secret
from commweb.errors import MisuseError, ProviderError, UnknownSetting
from commweb.i18n import gettext as _
from commweb.i18n import joined
from commweb.models import now
from commweb.places import follow_settings
from commweb.providers.base import Provider, SignedIn
from commweb.providers.declared import own_secrets
from commweb.state import State, provider_scope

__all__ = ["configure", "end_replaced", "known_provider", "sign_in"]


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
) -> Session | None:
    """Save settings and, where given, the tokens of the provider's session and the ``secrets`` of
    its own by field name, in one transaction. No request is made: the session that was replaced,
    which is answered, lives on.

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

    replaced: list[Session | None] = [None]

    def also(connection: Connection) -> None:
        if own:
            state.secrets(provider).replace(
                connection,
                server_url=provider.server_url(merged),
                typed=typed,
                declared=own,
                actor=actor,
            )
        replaced[0] = state.tokens(provider).replace(
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
    return replaced[0]


def sign_in(
    state: State,
    provider: Provider,
    username: str,
    password: Secret,
    *,
    actor: str,
    allow_new_server: bool = True,
) -> tuple[SignedIn, str | None]:
    """Get tokens for the saved server and store them, and log out those they replace. Also what
    to tell when that could not be done.

    ``allow_new_server``: a script that signs in means it; pages and the command line ask first.
    Raises `ProviderError`, and `AnotherServer` for an account of another server than the rooms
    there are, unless ``allow_new_server``; the new session is ended then.
    """
    values = state.values(provider).values
    done = provider.sign_in(values, state.network, username, password)
    try:
        old = configure(
            state,
            provider.id,
            {},
            access=done.pair.access,
            refresh=done.pair.refresh,
            expires_in_seconds=done.pair.lifetime_seconds,
            user_id=done.user_id,
            device_id=done.device_id,
            actor=actor,
            allow_new_server=allow_new_server,
        )
    except BaseException:  # nobody has these tokens
        with suppress(ProviderError):
            provider.end_session(provider.server_url(values), state.network, done.pair, None)
        raise
    session = state.tokens(provider).read()
    problem = end_replaced(state, provider, old, session) if old is not None else None
    return done, problem


def end_replaced(state: State, provider: Provider, old: Session, new: Session | None) -> str | None:
    """Log out the session that was stored before, as far as it is alive and ours; a sentence
    when that was not done. ``new``: what is stored now; None: nothing.

    A session of the installation whose database was copied is left alone: it works with it.
    """
    if not old.pair.access or not provider.has_session:
        return None
    if old.copied:
        return _(
            "The old session was not ended: it belongs to the installation from which the "
            "database was copied."
        )
    if new is not None and (new.state != OK or new.user_id is None):
        return _("The old session was not ended, because the new one is not confirmed yet.")
    kept = None if new is None else (new.base_url, new.pair)
    try:
        provider.end_session(old.base_url, state.network, old.pair, kept)
    except ProviderError as error:
        told = _("The old session could not be ended. End it in the settings of its account.")
        return joined([told, error.sentence])
    return None
