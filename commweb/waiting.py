"""Tokens that wait for a confirmation: sealed on the server, for ten minutes, for one person.

A browser never gets them: the page that asks knows a key only. They lie among the settings, in a
scope of their own, until they are confirmed, cancelled or too old.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select

from commweb.clocks import SLACK
from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.errors import EncryptionError
from commweb.models import SettingRow, now

__all__ = ["WAITS", "Waiting"]

WAITS = timedelta(minutes=10)


class Waiting:
    """What waits for one person and one provider (an id)."""

    def __init__(self, database: Database, sealer: Sealer, provider: str, person_id: str) -> None:
        self._database = database
        self._sealer = sealer
        self._provider = provider
        self._person_id = person_id

    def put(self, payload: Mapping[str, Any]) -> str:
        """Keep this and nothing else for the person; the key to ask for it with."""
        key = secrets.token_urlsafe(16)
        sealed = self._sealer.seal(Secret(json.dumps(dict(payload))), self._context(key))
        with self._database.write(durable=True) as connection:
            self._forget(connection)
            row = {"scope": self._scope(), "key": self._place(), "version": 0}
            value = json.dumps({"key": key, "sealed": sealed})
            connection.execute(
                insert(SettingRow).values(**row, value=value, updated_at=now(), updated_by="")
            )
        return key

    def read(self) -> tuple[str, dict[str, Any]] | None:
        """The key, and what waits; None when there is nothing, or it is too old or cannot be
        opened."""
        with self._database.read() as connection:
            query = select(SettingRow.value).where(self._mine(), _young())
            value = connection.execute(query).scalar()
        if value is None:
            return None
        kept = json.loads(value)
        try:
            opened = self._sealer.open(kept["sealed"], self._context(kept["key"]))
        except EncryptionError:
            return None
        return str(kept["key"]), json.loads(opened.reveal())

    def drop(self) -> None:
        """Forget it, and what anybody left too long."""
        with self._database.write() as connection:
            self._forget(connection)

    def _forget(self, connection: Connection) -> None:
        connection.execute(delete(SettingRow).where(self._mine()))
        too_old = and_(SettingRow.scope == self._scope(), ~_young())
        connection.execute(delete(SettingRow).where(too_old))

    def _scope(self) -> str:
        return f"waiting.{self._provider}"

    def _place(self) -> str:
        return hashlib.sha256(self._person_id.encode()).hexdigest()

    def _mine(self) -> ColumnElement[bool]:
        return and_(SettingRow.scope == self._scope(), SettingRow.key == self._place())

    def _context(self, key: str) -> tuple[str, ...]:
        return (self._provider, "waiting", self._person_id, key)


def _young() -> ColumnElement[bool]:
    """Put there within the time, and not by a clock that was ahead."""
    return SettingRow.updated_at.between(now() - WAITS, now() + SLACK)
