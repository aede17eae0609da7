"""The secrets of a provider's own, sealed in ``commweb_setting``: an API key, a signing key.

A scope for each provider, a row for each field. A secret is bound to where it belongs: provider,
server, installation and field; it opens nowhere else. The tokens of a session are not here, they
live in ``commweb_connection`` (`commweb.connection`).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Delete, delete, insert, select, update

from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.errors import EncryptionError
from commweb.models import SettingRow, now

__all__ = ["SCOPE", "KeptSecret", "KeptSecrets", "rekey_kept"]

SCOPE = "secret."


@dataclass(frozen=True)
class KeptSecret:
    """A stored secret, the server it belongs to and when it was stored."""

    secret: Secret
    server_url: str
    since: datetime


class KeptSecrets:
    """One provider's. A secret that was stored under another ``instance`` (the database was
    copied), or that no key opens, counts as not stored."""

    def __init__(self, database: Database, sealer: Sealer, provider: str, instance: str) -> None:
        self._database = database
        self._sealer = sealer
        self._provider = provider
        self._instance = instance

    def read(self) -> dict[str, KeptSecret]:
        """The stored secrets, by field name."""
        query = select(SettingRow.key, SettingRow.value, SettingRow.updated_at)
        with self._database.read() as connection:
            rows = connection.execute(query.where(SettingRow.scope == self._scope)).all()
        opened = ((row.key, self._opened(row.key, row.value, row.updated_at)) for row in rows)
        return {name: kept for name, kept in opened if kept is not None}

    def of_server(self, server_url: str) -> dict[str, Secret]:
        """The secrets that belong to this server."""
        return {
            name: kept.secret for name, kept in self.read().items() if kept.server_url == server_url
        }

    def replace(
        self,
        connection: Connection,
        *,
        server_url: str,
        typed: Mapping[str, Secret],
        declared: Collection[str],
        actor: str,
    ) -> None:
        """Store what was typed, in the transaction of the settings it belongs to.

        What is stored already stays; but not what belongs to another server, which this one must
        not get, nor what is no field (``declared``) of the form."""
        query = select(SettingRow.key, SettingRow.value).where(SettingRow.scope == self._scope)
        for name, value in connection.execute(query.with_for_update()).all():
            stays = name in declared and json.loads(value)["server_url"] == server_url
            if name in typed or not stays:
                connection.execute(self._forget().where(SettingRow.key == name))
        for name, secret in typed.items():
            connection.execute(
                insert(SettingRow).values(
                    scope=self._scope,
                    key=name,
                    value=self._sealed(name, server_url, secret),
                    updated_at=now(),
                    updated_by=actor,
                )
            )

    def clear(self, connection: Connection) -> None:
        """Forget them all."""
        connection.execute(self._forget())

    @property
    def _scope(self) -> str:
        return SCOPE + self._provider

    def _forget(self) -> Delete:
        return delete(SettingRow).where(SettingRow.scope == self._scope)

    def _context(self, name: str, server_url: str) -> tuple[str, ...]:
        return (self._provider, server_url, self._instance, name)

    def _sealed(self, name: str, server_url: str, secret: Secret) -> str:
        sealed = self._sealer.seal(secret, self._context(name, server_url))
        return json.dumps({"server_url": server_url, "sealed": sealed})

    def _opened(self, name: str, value: str, since: datetime) -> KeptSecret | None:
        row = json.loads(value)
        try:
            secret = self._sealer.open(row["sealed"], self._context(name, row["server_url"]))
        except EncryptionError:
            return None
        return KeptSecret(secret, row["server_url"], since)


def rekey_kept(connection: Connection, sealer: Sealer) -> int:
    """Seal every stored secret with the first key; how many. Raises `EncryptionError`."""
    query = select(SettingRow.scope, SettingRow.key, SettingRow.value)
    rows = connection.execute(query.where(SettingRow.scope.startswith(SCOPE)).with_for_update())
    count = 0
    for scope, key, value in rows.all():
        row = json.loads(value)
        row["sealed"] = sealer.rotate(row["sealed"])
        connection.execute(
            update(SettingRow)
            .where(SettingRow.scope == scope, SettingRow.key == key)
            .values(value=json.dumps(row))
        )
        count += 1
    return count
