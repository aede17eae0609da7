"""What belongs to one app: configuration, host, database, settings, providers.

Lives in ``app.extensions["commweb"]``; two apps in one process share nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flask import Flask, current_app

from commweb.answers import CheckedHost
from commweb.config import Config
from commweb.connection import Session, StoredTokens
from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.errors import MisuseError
from commweb.kept_secrets import KeptSecrets
from commweb.net import NetworkPolicy
from commweb.providers import Registry
from commweb.providers.base import Provider, ProviderContext
from commweb.providers.declared import own_secrets, required_secrets
from commweb.queue import Queue
from commweb.settings import Setting, Settings, Values

__all__ = ["SITE", "SITE_SETTINGS", "ProviderState", "State", "current_state", "state_of"]

SITE = "site"
SITE_SETTINGS = (Setting("communication_enabled", False),)
PROVIDER_STATE_SETTINGS = (Setting("enabled", True),)


@dataclass(frozen=True)
class ProviderState:
    """Whether an admin enabled a provider, whether it has what it needs, whether it can work."""

    enabled: bool
    configured: bool
    session: Session | None

    @property
    def active(self) -> bool:
        """Enabled and configured: courses may choose it."""
        return self.enabled and self.configured


@dataclass
class State:
    """One app's commweb."""

    app: Flask
    db: Any
    host: CheckedHost
    config: Config
    database: Database
    sealer: Sealer
    settings: Settings
    registry: Registry
    network: NetworkPolicy
    queue: Queue
    forms: Mapping[str, type[Any]] = field(default_factory=dict)
    """The forms the host put in place of ours, by name."""
    good_layouts: set[str] = field(default_factory=set)
    """The layouts whose blocks were looked at."""

    def wake(self) -> None:
        """Hint to the worker that there is something to do; never raises."""
        self.queue.wake()

    def subsystem_on(self) -> bool:
        """Whether an admin turned the communication subsystem on."""
        return bool(self.settings.read(SITE, SITE_SETTINGS)["communication_enabled"])

    def tokens(self, provider: Provider) -> StoredTokens:
        """The provider's token store."""
        return StoredTokens(self.database, self.sealer, provider.id, self.config.instance)

    def secrets(self, provider: Provider) -> KeptSecrets:
        """The store of the provider's own secrets."""
        return KeptSecrets(self.database, self.sealer, provider.id, self.config.instance)

    def values(self, provider: Provider) -> Values:
        """The provider's settings."""
        return self.settings.read(provider_scope(provider.id), provider.settings)

    def provider_state(self, provider: Provider) -> ProviderState:
        """Enabled, configured and the stored session, read now."""
        enabled = self.settings.read(provider_state_scope(provider.id), PROVIDER_STATE_SETTINGS)
        session = self.tokens(provider).read()
        values = self.values(provider).values
        server_url = provider.server_url(values)
        usable = session is not None and session.base_url == server_url
        needed = required_secrets(provider)
        if needed:
            signed = usable or not provider.has_session
            usable = signed and needed <= set(self.secrets(provider).of_server(server_url))
        return ProviderState(
            enabled=bool(enabled["enabled"]),
            configured=provider.configured(values, usable),
            session=session,
        )

    def context(self, provider: Provider) -> ProviderContext:
        """What the provider is handed for one job."""
        values = dict(self.values(provider).values)
        own: Mapping[str, Secret] = {}
        if own_secrets(provider):
            own = self.secrets(provider).of_server(provider.server_url(values))
        return ProviderContext(
            values=values,
            tokens=self.tokens(provider),
            network=self.network,
            instance=self.config.instance,
            secrets=own,
        )


def provider_scope(provider_id: str) -> str:
    """The scope of a provider's settings."""
    return f"provider.{provider_id}"


def provider_state_scope(provider_id: str) -> str:
    """The scope that says whether a provider is enabled."""
    return f"provider_state.{provider_id}"


def state_of(app: Flask) -> State:
    """The app's state. Raises `MisuseError` when commweb is not registered there."""
    state = app.extensions.get("commweb")
    if not isinstance(state, State):
        raise MisuseError(
            "commweb is not registered with this app. Call "
            "CommWeb(app, db=db, host=MyHost()) or comm.init_app(app, db=db, host=MyHost())."
        )
    return state


def current_state() -> State:
    """The current app's state. Raises `MisuseError` outside an application context."""
    if not current_app:
        raise MisuseError(
            "commweb needs an application context here: call it inside a request or inside "
            "`with app.app_context():`."
        )
    return state_of(current_app._get_current_object())  # type: ignore[attr-defined]
