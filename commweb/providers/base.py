"""`Provider`: the contract of a communication provider, with null defaults.

A provider states only its differences. It touches no table and no host: settings, tokens and
network policy are handed in, and plain data comes back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from commweb.connection import TokenPair, TokenStore
from commweb.encryption import Secret
from commweb.errors import Refused
from commweb.i18n import LazyText, lazy_gettext
from commweb.net import NetworkPolicy
from commweb.plain import PlainFields
from commweb.providers.names import Names
from commweb.providers.rooms import (
    AccountFacts,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    ObservedRoom,
    OwnRoom,
    Picture,
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
    from commweb.providers.options import CourseOptions

__all__ = [
    "SESSION_SECRETS",
    "Backend",
    "Finding",
    "Introduced",
    "People",
    "Provider",
    "ProviderContext",
    "RoomLinks",
    "SignedIn",
]

SESSION_SECRETS = ("access_token", "refresh_token")
"""The fields of a settings form whose secrets are a session's token pair."""


@dataclass(frozen=True)
class ProviderContext:
    """What a provider may use: its settings (never a secret), the tokens of its session, the
    secrets of its own by the name of their field, the network's rules."""

    values: Mapping[str, Any]
    tokens: TokenStore
    network: NetworkPolicy
    instance: str
    secrets: Mapping[str, Secret] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Finding(PlainFields):
    """One thing a check found out. ``level``: success, info, warning or danger.
    ``code`` names it for programs (``rate_limited`` brings the button that lifts limits).
    ``use_address``: the address to offer in place of the one that was tried."""

    level: str
    message: str
    code: str = ""
    use_address: str = ""


@dataclass(frozen=True)
class RoomLinks(PlainFields):
    """Where one person opens a room: ``web`` in a browser, ``app`` in an app of his own."""

    web: str | None
    app: str | None = None


@dataclass(frozen=True)
class SignedIn:
    """What signing in gave."""

    pair: TokenPair
    user_id: str
    device_id: str


@dataclass(frozen=True)
class Introduced:
    """Whose a pair of tokens is. ``refreshed``: its access token was not known to the server, and
    ``pair`` came in its place."""

    pair: TokenPair
    user_id: str
    server_name: str
    device_id: str | None
    refreshed: bool = False


class Backend(Names):
    """A provider at work on rooms. One per worker thread and job; `close` when done.

    Every call may raise `commweb.errors.ProviderError`. What an error means is decided by the
    provider, once: `RoomGone` and None are said of this very thing by its own server;
    `ProviderStopped` concerns the acting account or the whole server; `UserLimitReached` stops
    new accounts and joins; `Refused` is a definite no about this one thing; everything else is
    `Unreachable`.
    """

    before_request: Callable[[float], None] | None = None
    """Called just before each request with the seconds it may take; it raises when the room is
    not ours to work on any longer."""

    def highest_level(self) -> int:
        """The highest power level to give to people in a new room, so that the acting account
        can still take it away."""
        return 100

    def home_of(self, remote_user_id: str) -> str:
        """The name of the server that the account belongs to; empty: there is only one."""
        return ""

    def answers(self) -> bool:
        """Whether the server answers at all, asked with a short deadline. Never raises
        `ProviderError`."""
        return True

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        """The room as it is now; None when it is gone."""
        raise NotImplementedError

    def accept_invitation(self, room: RoomRef) -> None:
        """Join ``room``, to which the acting account is invited."""
        raise NotImplementedError

    def leave(self, room: RoomRef) -> None:
        """Take the acting account out of the room; not being in it is fine."""
        raise NotImplementedError

    def own_rooms(self, known: frozenset[str] = frozenset()) -> Iterable[OwnRoom]:
        """The rooms that the acting account created for commweb, whatever installation, but for
        the ones whose remote ids are ``known``. Each is asked for as it is read."""
        return ()

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        """Make the room, or find it; its remote id. Never makes a second one for the same key.
        Raises `RoomUnsettled` when a half-made one is in the way: `find` deals with that."""
        raise NotImplementedError

    def find(self, room: RoomRef, slug: str, started_at_seconds: float) -> FoundRoom | None:
        """What a `create` left that was interrupted: looked for by ``room.creation_key`` and
        ``slug``, the room's as `create` got them. ``started_at_seconds``: since 1970.

        Raises `RoomUnsettled` while somebody may still finish it.
        """
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

    def upload(self, picture: Picture) -> str:
        """Put a picture on the server; the URI to show it with."""
        raise NotImplementedError

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        """Change the picture to the uploaded one, or clear it; the URI it has now."""
        raise NotImplementedError

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        """Change power levels, in one write."""
        raise NotImplementedError

    def close_door(self, room: RoomRef, action: CloseDoor) -> None:
        """Let only invited people join; a closed door is fine."""
        raise NotImplementedError

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        """Get the acting account back in with power."""
        raise NotImplementedError

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        """Ask for deletion or look how far it is; an id to ask again with, None when gone."""
        raise NotImplementedError

    def close(self) -> None:
        """Give connections back."""


class People:
    """A provider at work on the account of one person, for a page; `close` when done.

    Every call may raise `commweb.errors.ProviderError`.
    """

    def identify(self, username: str) -> str:
        """The remote user id that a person of that name would get first."""
        raise NotImplementedError

    def examine(self, remote_user_id: str) -> AccountFacts:
        """Whether a person could use this account for rooms; nothing is made or changed."""
        raise NotImplementedError

    def send_code(self, remote_user_id: str, text: str) -> str:
        """Send a private message to the account alone; the id of the conversation. Each call
        starts a new one."""
        raise NotImplementedError

    def end_conversation(self, conversation: str) -> None:
        """Remove what `send_code` started."""
        raise NotImplementedError

    def set_password(self, remote_user_id: str, password: Secret) -> None:
        """Give the account a password, and sign its other devices out. Refused for an
        administrator of the server."""
        raise NotImplementedError

    def set_locked(self, remote_user_id: str, locked: bool) -> None:
        """Lock the account, so that nobody can use it until it is unlocked. For a provider with the
        setting ``lock_suspended``; called for accounts that commweb created and just examined."""
        raise Refused("This provider locks no accounts.")

    def close(self) -> None:
        """Give connections back."""


class Provider:
    """One way to communicate. Subclasses set ``id`` and ``name`` and override what differs."""

    id: str = ""
    name: LazyText = lazy_gettext("")
    uninstallable: bool = False
    """Whether an admin may remove it; the providers that ship here stay."""
    has_session: bool = False
    """It keeps a session with its server: the secrets `SESSION_SECRETS` of its settings form are a
    token pair, in `ProviderContext.tokens`. All other secrets are in `ProviderContext.secrets`."""
    has_rooms: bool = True
    """False: nothing to keep in step (a link); no worker, no homeserver."""
    settings: tuple[Setting, ...] = ()
    """The plain settings, in the order of the form. For a server without
    power levels: ``level_teacher`` and ``level_admin`` of 0, ``who_may_invite`` "everybody"."""
    reapplied: tuple[str, ...] = ()
    """The settings that the rooms there are have to follow when they change."""
    account_page: LazyText | None = None
    """The name of the page on which people see their account; None: they have none there."""
    account_label: LazyText = lazy_gettext("User ID")
    """What an account's id is called."""
    account_example: str = ""
    """What an account's id looks like."""
    form_template: str = "commweb/provider_settings.html"

    @property
    def can_check(self) -> bool:
        """Whether its server can be tried: it has `check`."""
        return type(self).check is not Provider.check

    @property
    def can_sign_in(self) -> bool:
        """Whether a user name and a password give its session: it has `sign_in`."""
        return type(self).sign_in is not Provider.sign_in

    @property
    def can_lift_limits(self) -> bool:
        """Whether its server's limits can be lifted: it has `lift_limits`."""
        return type(self).lift_limits is not Provider.lift_limits

    def settings_form(self) -> type[SettingsForm] | None:
        """The form of its settings page; None: it has none. Each field is one of `settings` or a
        `commweb.fields.SecretField`, which is stored sealed and never shown again."""
        return None

    def server_url(self, values: Mapping[str, Any]) -> str:
        """The server its session belongs to; empty: it needs no session."""
        return ""

    def configured(self, values: Mapping[str, Any], has_session: bool) -> bool:
        """Whether it can work with these settings. ``has_session``: what it signs its requests
        with is stored for `server_url`: tokens (dead or alive), and each secret that its form
        requires."""
        return True

    def course_form(self) -> type[CourseOptions] | None:
        """The fields that a course fills in; None: there are none. With rooms: the room's name,
        topic and picture."""
        if not self.has_rooms:
            return None
        from commweb.providers.options import RoomOptions

        return RoomOptions

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        """Whether a new course gets this provider by default."""
        return False

    def check(self, context: ProviderContext, deadline_seconds: float) -> list[Finding]:
        """Try the server and say in words what was found; never raises `ProviderError`."""
        return []

    def answers(self, context: ProviderContext, deadline_seconds: float) -> bool:
        """Whether its server answers at all: tells a fault of one room from a server that is
        down. Never raises `ProviderError`."""
        return True

    def sign_in(
        self, values: Mapping[str, Any], network: NetworkPolicy, username: str, password: Secret
    ) -> SignedIn:
        """Get tokens for a user name and password. Raises `ProviderError`."""
        raise Refused("This provider has no sign-in.")

    def introduce(
        self, server_url: str, network: NetworkPolicy, pair: TokenPair, deadline_seconds: float
    ) -> Introduced | None:
        """Whose the tokens are, before they are stored; None: this provider has no such question.
        Raises `ProviderError`."""
        return None

    def end_session(
        self,
        server_url: str,
        network: NetworkPolicy,
        pair: TokenPair,
        kept: tuple[str, TokenPair] | None,
    ) -> None:
        """Log out tokens that were replaced or cleared, unless ``kept`` (their server's address
        and they themselves) are of the same device. Takes a few seconds at most. Raises
        `ProviderError`."""

    def keep_alive(self, context: ProviderContext, deadline_seconds: float) -> None:
        """Refresh the stored session if its access token is near its end. Raises
        `ProviderError`."""

    def lift_limits(self, context: ProviderContext) -> None:
        """Lift the server's rate limits for the acting account. Raises `ProviderError`."""
        raise Refused("This provider has no limits to lift.")

    def backend(self, context: ProviderContext) -> Backend:
        """Start work. Raises `SignInNeeded` when there is no session."""
        raise NotImplementedError

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        """Start work on people's accounts. Raises `SignInNeeded` when there is no session."""
        raise NotImplementedError

    def account_problem(self, remote_user_id: str) -> str | None:
        """Why this text cannot be the id of an account, as a sentence; None: it can."""
        return None

    def names(self, own_id: str, server_name: str) -> Names:
        """How accounts are named while ``own_id`` acts on that server; for pages, which do not
        ask the server. Its `Backend` answers the same."""
        return Names()

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        """Where a person opens the room in a browser."""
        return None

    def room_links(
        self, values: Mapping[str, Any], remote_id: str, person: str | None, server_name: str
    ) -> RoomLinks:
        """Where a person opens the room. ``person`` is his remote user id (None: not known),
        ``server_name`` the server's own name."""
        return RoomLinks(self.room_url(values, remote_id))

    def course_url(self, options: Mapping[str, Any]) -> str | None:
        """For a provider without rooms: where the course's people go, by what the course filled
        in; None: that is not complete."""
        return None
