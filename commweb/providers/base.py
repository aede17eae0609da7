"""`Provider`: the contract of a communication provider, with null defaults.

A provider states only its differences. It touches no table and no host: settings, tokens and
network policy are handed in, and plain data comes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from commweb.connection import TokenPair, TokenStore
from commweb.encryption import Secret
from commweb.errors import Refused
from commweb.i18n import LazyText, lazy_gettext
from commweb.net import NetworkPolicy
from commweb.providers.rooms import (
    AccountFacts,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    ObservedRoom,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.settings import Setting

if TYPE_CHECKING:
    from commweb.fields import SettingsForm

__all__ = ["Backend", "Finding", "Provider", "ProviderContext", "SignedIn"]


@dataclass(frozen=True)
class ProviderContext:
    """What a provider may use: its settings (never a secret), its tokens, the network's rules."""

    values: Mapping[str, Any]
    tokens: TokenStore
    network: NetworkPolicy
    instance: str


@dataclass(frozen=True)
class Finding:
    """One thing a check found out. ``level``: success, info, warning or danger.
    ``code`` names it for programs (``rate_limited`` brings the button that lifts limits)."""

    level: str
    message: str
    code: str = ""


@dataclass(frozen=True)
class SignedIn:
    """What signing in gave."""

    pair: TokenPair
    user_id: str
    device_id: str


class Backend:
    """A provider at work on rooms. One per worker thread and job; `close` when done.

    Every call may raise `commweb.errors.ProviderError`.
    """

    def identify(self, username: str, taken: frozenset[str]) -> str:
        """The remote user id for a person without a linked account, not one of ``taken``."""
        raise NotImplementedError

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        """The room as it is now; None when it is gone."""
        raise NotImplementedError

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        """Make or finish the room; its remote id. Never makes a second one for the same key."""
        raise NotImplementedError

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        """Make or check the account."""
        raise NotImplementedError

    def join(self, room: RoomRef, action: Join) -> None:
        """Put the person in; somebody already in is fine."""
        raise NotImplementedError

    def remove(self, room: RoomRef, action: Remove) -> None:
        """Take the person out; somebody not in is fine."""
        raise NotImplementedError

    def set_name(self, room: RoomRef, action: SetName) -> None:
        """Rename."""
        raise NotImplementedError

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        """Change the topic."""
        raise NotImplementedError

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        """Change the picture; the URI it has now."""
        raise NotImplementedError

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        """Change power levels, in one write."""
        raise NotImplementedError

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        """Get the acting account back in with power."""
        raise NotImplementedError

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        """Ask for deletion or look how far it is; an id to ask again with, None when gone."""
        raise NotImplementedError

    def close(self) -> None:
        """Give connections back."""


class Provider:
    """One way to communicate. Subclasses set ``id`` and ``name`` and override what differs."""

    id: str = ""
    name: LazyText = lazy_gettext("")
    uninstallable: bool = False
    """Whether an admin may remove it; the providers that ship here stay."""
    has_rooms: bool = True
    """False: nothing to keep in step (a link); no worker, no homeserver."""
    settings: tuple[Setting, ...] = ()
    """The plain settings, in the order of the form."""
    form_template: str = "commweb/provider_settings.html"

    def settings_form(self) -> type[SettingsForm] | None:
        """The form of its settings page; None: it has none."""
        return None

    def server_url(self, values: Mapping[str, Any]) -> str:
        """The server its session belongs to; empty: it needs no session."""
        return ""

    def configured(self, values: Mapping[str, Any], has_session: bool) -> bool:
        """Whether it can work with these settings. ``has_session``: tokens for `server_url`
        are stored (dead or alive)."""
        return True

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        """Whether a new course gets this provider by default."""
        return False

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        """Try the server and say in words what was found; never raises `ProviderError`."""
        return []

    def sign_in(
        self, values: Mapping[str, Any], network: NetworkPolicy, username: str, password: Secret
    ) -> SignedIn:
        """Get tokens for a user name and password. Raises `ProviderError`."""
        raise Refused("This provider has no sign-in.")

    def lift_limits(self, context: ProviderContext) -> None:
        """Lift the server's rate limits for the acting account. Raises `ProviderError`."""
        raise Refused("This provider has no limits to lift.")

    def backend(self, context: ProviderContext) -> Backend:
        """Start work. Raises `SignInNeeded` when there is no session."""
        raise NotImplementedError

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        """Where a person opens the room in a browser."""
        return None
