"""Sealing secrets at rest, bound to the place they belong to."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NoReturn

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from commweb.errors import EncryptionError, MisuseError

__all__ = ["Sealer", "Secret"]


class Secret:
    """A value that does not show itself: ask with `reveal`. It cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one place that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "Secret('…')"

    __str__ = __repr__

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("A Secret is not pickled.")


class Sealer:
    """Seals with the first key and opens with all of them.

    ``context`` names what the value is for (for example ``("matrix", "https://hs.example")``):
    a value moved to another place does not open there.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        try:
            self._fernet = MultiFernet([Fernet(key) for key in keys])
        except (ValueError, TypeError):
            raise MisuseError(
                "COMMWEB_SECRET_KEYS holds something that is not a Fernet key "
                "(32 random bytes in URL-safe base64)."
            ) from None

    def seal(self, secret: Secret, context: tuple[str, ...]) -> str:
        """The sealed text of ``secret`` for ``context``."""
        payload = json.dumps([list(context), secret.reveal()])
        return self._fernet.encrypt(payload.encode()).decode()

    def open(self, sealed: str, context: tuple[str, ...]) -> Secret:
        """The secret again. Raises `EncryptionError` for another key or another context."""
        try:
            kept, value = json.loads(self._fernet.decrypt(sealed.encode()))
        except (InvalidToken, ValueError):
            raise EncryptionError(
                "A stored secret cannot be opened with the keys in COMMWEB_SECRET_KEYS."
            ) from None
        if kept != list(context):
            raise EncryptionError("A stored secret was sealed for another place.")
        return Secret(value)

    def rotate(self, sealed: str) -> str:
        """The same secret sealed with the first key. Raises `EncryptionError`."""
        try:
            return self._fernet.rotate(sealed.encode()).decode()
        except InvalidToken:
            raise EncryptionError(
                "A stored secret cannot be opened with the keys in COMMWEB_SECRET_KEYS."
            ) from None
