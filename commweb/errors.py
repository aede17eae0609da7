"""Every exception commweb raises on purpose.

::

    CommWebError
    ├── MisuseError              the host wired us wrongly; the sentence says what to do
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
        ├── RoomGone             the room is not there (any more)
        ├── RoomUnsettled        a half-made room of ours has to be waited for
        └── Refused              the answer is a definite no

Messages are sentences for people. They hold no token, no reply body and no request header.
"""

from __future__ import annotations

__all__ = [
    "AddressRefused",
    "CommWebError",
    "EncryptionError",
    "HostError",
    "LeaseLost",
    "MisuseError",
    "ProviderError",
    "RateLimited",
    "Refused",
    "RoomGone",
    "RoomUnsettled",
    "SettingsError",
    "SignInNeeded",
    "StaleSettings",
    "UnknownSetting",
    "Unreachable",
    "WrongAnswer",
]


class CommWebError(Exception):
    """The root: catch this to catch everything commweb raises on purpose."""


class MisuseError(CommWebError, RuntimeError):
    """The extension is used in a way that cannot work; the message says what to do."""


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

    ``message`` is for people. ``retryable`` says whether trying again later can help,
    ``retry_after_seconds`` how long the other side asked us to wait, ``status`` and ``errcode``
    what it answered (HTTP status, Matrix error code).
    """

    retryable = False

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        errcode: str | None = None,
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.errcode = errcode
        self.retry_after_seconds = retry_after_seconds


class AddressRefused(ProviderError):
    """The address is not one commweb connects to."""


class Unreachable(ProviderError):
    """No usable answer came: connection, timeout, server fault or garbage."""

    retryable = True


class RateLimited(ProviderError):
    """The homeserver asks for a pause of ``retry_after_seconds``."""

    retryable = True


class SignInNeeded(ProviderError):
    """The stored session is dead. Work is kept until an admin signs in again."""

    retryable = True


class RoomGone(ProviderError):
    """The room does not exist on the homeserver (any more)."""

    retryable = True


class RoomUnsettled(ProviderError):
    """A half-made room of ours was found; wait ``retry_after_seconds``, then look again."""

    retryable = True


class Refused(ProviderError):
    """A definite no. Trying the same again does not help."""
