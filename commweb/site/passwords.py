"""Passwords: hashed with argon2id, and compared in the same time whoever asks."""

from __future__ import annotations

import secrets
from typing import Any, cast

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from flask import Flask, current_app

__all__ = ["Passwords", "init_passwords", "passwords"]


class Passwords:
    """Hashes and compares. ``costs`` are arguments of `argon2.PasswordHasher`."""

    def __init__(self, **costs: Any) -> None:
        self._hasher = PasswordHasher(**costs)
        self._nobody = self._hasher.hash(secrets.token_urlsafe())

    def hash(self, password: str) -> str:
        """What is kept of the password."""
        return self._hasher.hash(password)

    def match(self, stored: str | None, typed: str) -> bool:
        """Whether ``typed`` is the password. ``stored`` None takes as long and never matches."""
        try:
            self._hasher.verify(stored or self._nobody, typed)
        except (VerificationError, InvalidHashError):
            return False
        return stored is not None

    def outdated(self, stored: str) -> bool:
        """Whether the hash was made with other costs than today's."""
        return self._hasher.check_needs_rehash(stored)


def init_passwords(app: Flask) -> None:
    """Make the app's hasher, from its ``PASSWORD_HASHING``."""
    app.extensions["site_passwords"] = Passwords(**app.config["PASSWORD_HASHING"])


def passwords() -> Passwords:
    """The current app's hasher."""
    return cast(Passwords, current_app.extensions["site_passwords"])
