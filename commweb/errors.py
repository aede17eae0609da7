"""Every exception commweb raises on purpose.

::

    CommWebError
    ├── MisuseError              the host wired us wrongly; the sentence says what to do
    │   └── AnotherServer        tokens of another server than the rooms are on
    ├── HostError                the host failed to answer; nothing may be concluded from it
    │   └── WrongAnswer          the host answered another type than promised; a MisuseError too
    ├── SettingsError
    │   ├── UnknownSetting       a key nobody declared, or a value of the wrong type
    │   └── StaleSettings        somebody else saved first
    ├── EncryptionError          a sealed value cannot be opened with the keys we have
    ├── LeaseLost                another worker has the room now; our writes must not count
    └── ProviderError            a provider could not do what it was asked
        ├── AddressRefused       the address is one we do not connect to
        ├── Unreachable          no usable answer: network, timeout, 5xx, garbage
        ├── RateLimited          the homeserver asks us to wait
        ├── SignInNeeded         the stored session is dead; a person has to sign in
        ├── ProviderStopped      the acting account or the server can do nothing for anybody
        ├── RoomGone             the room does not exist
        ├── RoomUnsettled        a half-made room of ours has to be waited for
        └── Refused              the answer is a definite no
            └── UserLimitReached no new accounts and joins for now; all else goes on

Messages are sentences for people. They hold no token, no reply body and no request header. What an
exception hands to others (``args``, ``str(error)``, ``message``) is plain strings; ``sentence`` is
the same for commweb to store, told to each reader in their language.
"""

from __future__ import annotations

__all__ = [
    "AddressRefused",
    "AnotherServer",
    "CommWebError",
    "EncryptionError",
    "HostError",
    "LeaseLost",
    "MisuseError",
    "ProviderError",
    "ProviderStopped",
    "RateLimited",
    "Refused",
    "RoomGone",
    "RoomUnsettled",
    "SettingsError",
    "SignInNeeded",
    "StaleSettings",
    "UnknownSetting",
    "Unreachable",
    "UserLimitReached",
    "WrongAnswer",
]


class CommWebError(Exception):
    """The root: catch this to catch everything commweb raises on purpose.

    ``sentence`` is the message as `commweb.i18n` made it: what is stored as a reason.
    """

    def __init__(self, *args: object) -> None:
        super().__init__(*(str(arg) if isinstance(arg, str) else arg for arg in args))
        self.sentence: str = args[0] if args and isinstance(args[0], str) else str(self)


class MisuseError(CommWebError, RuntimeError):
    """The extension is used in a way that cannot work; the message says what to do."""


class AnotherServer(MisuseError):
    """Tokens of the server ``new`` were given while ``rooms`` rooms and ``accounts`` accounts are
    on ``old``, and nobody said that they are to be created anew."""

    def __init__(self, old: str, new: str, rooms: int, accounts: int) -> None:
        super().__init__(
            f"These tokens are for {new}, but {rooms} room{'s' * (rooms != 1)} and {accounts} "
            f"account{'s' * (accounts != 1)} are on {old}. "
            "Pass allow_new_server=True to have them created anew; the old rooms stay as they are."
        )
        self.old, self.new, self.rooms, self.accounts = old, new, rooms, accounts

    def __reduce__(self) -> tuple[type[AnotherServer], tuple[str, str, int, int]]:
        return type(self), (self.old, self.new, self.rooms, self.accounts)


class HostError(CommWebError):
    """The host's own read failed or answered something that is not what it promised."""


class WrongAnswer(HostError, MisuseError):
    """A method of the host's `commweb.Host` gave something of another type than it promised."""


class SettingsError(CommWebError):
    """A setting could not be read or saved."""


class UnknownSetting(SettingsError):
    """A key that no schema declares, or a value of the wrong type."""


class StaleSettings(SettingsError):
    """The settings were saved by somebody else since they were read."""


class EncryptionError(CommWebError):
    """A sealed value cannot be opened: the key is missing, or it was sealed for another place."""


class LeaseLost(CommWebError):
    """The lease of a room ran out and another worker took it."""


class ProviderError(CommWebError):
    """A provider could not do what it was asked.

    ``message`` is for people (``sentence`` is what is stored). ``retry_after_seconds`` says how
    long the other side asked us to wait, ``status`` and ``errcode`` what it answered (HTTP
    status, the server's own code).
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errcode: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = str(message)
        self.status = status
        self.errcode = errcode
        self.retry_after_seconds = retry_after_seconds


class AddressRefused(ProviderError):
    """The address is not one commweb connects to."""


class Unreachable(ProviderError):
    """No usable answer came: connection, timeout, server fault or garbage. ``use_address``: the
    address that the one asked for names as the right one; empty: it names none."""

    use_address: str = ""


class RateLimited(ProviderError):
    """The homeserver asks for a pause of ``retry_after_seconds``."""


class SignInNeeded(ProviderError):
    """The stored session is dead. Work is kept until an admin signs in again."""


class ProviderStopped(ProviderError):
    """The server refuses the acting account whatever it asks (suspended, locked, terms not agreed,
    not an administrator), or can work for nobody (no space left). It is nobody's own fault: the
    provider's rooms wait, and go on by themselves when it is over. ``message`` carries the
    server's own sentence, link and contact; ``errcode`` names the kind."""


class RoomGone(ProviderError):
    """The room does not exist on the homeserver: it said so of this very room."""


class RoomUnsettled(ProviderError):
    """A half-made room of ours was found; wait ``retry_after_seconds``, then look again."""


class Refused(ProviderError):
    """A definite no. Trying the same again does not help."""


class UserLimitReached(Refused):
    """The server takes no more people for now. New accounts and joins wait; removals go on."""
