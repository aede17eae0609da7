"""Admin settings: strict typed keys in scopes, saved as a whole, each save audited.

A scope's version grows with each save; a save names the version it started from, so that the
second of two admins is told instead of overwriting the first. Secrets are not settings: tokens
live in ``commweb_connection`` and are saved in the same transaction through ``also``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb import audit
from commweb.database import Database
from commweb.errors import StaleSettings, UnknownSetting
from commweb.models import SettingRow, now

__all__ = ["Setting", "Settings", "Values"]


@dataclass(frozen=True)
class Setting:
    """One key: its type is its default's type (str, bool or int)."""

    key: str
    default: str | bool | int

    def check(self, value: Any) -> str | bool | int:
        """The value if it has the right type. Raises `UnknownSetting`."""
        if type(value) is not type(self.default):
            raise UnknownSetting(
                f"The setting {self.key!r} takes a {type(self.default).__name__}, "
                f"not a {type(value).__name__}."
            )
        checked: str | bool | int = value
        return checked


@dataclass(frozen=True)
class Values:
    """A scope as it was read. ``updated_by`` is a person's id; empty before the first save."""

    version: int
    values: Mapping[str, Any]
    updated_at: datetime | None = None
    updated_by: str = ""

    def __getitem__(self, key: str) -> Any:
        return self.values[key]


class Settings:
    """Reads and saves scopes of one app's database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self, scope: str, schema: Iterable[Setting]) -> Values:
        """Every key of ``schema`` in ``scope``; a key never saved has its default."""
        with self._database.read() as connection:
            return self.read_in(connection, scope, schema)

    def read_in(self, connection: Connection, scope: str, schema: Iterable[Setting]) -> Values:
        """`read`, as part of the caller's transaction."""
        rows = connection.execute(
            select(
                SettingRow.key,
                SettingRow.value,
                SettingRow.version,
                SettingRow.updated_at,
                SettingRow.updated_by,
            ).where(SettingRow.scope == scope)
        ).all()
        stored = {row.key: row for row in rows}
        head = stored.get("")
        values = {
            field.key: (
                field.check(json.loads(stored[field.key].value))
                if field.key in stored
                else field.default
            )
            for field in schema
        }
        if head is None:
            return Values(0, values)
        return Values(head.version, values, head.updated_at, head.updated_by)

    def save(
        self,
        scope: str,
        schema: Iterable[Setting],
        values: Mapping[str, Any],
        *,
        expected_version: int | None,
        actor: str,
        also: Callable[[Connection], None] | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> int:
        """Save ``values`` (some or all keys of ``schema``), run ``also`` in the same
        transaction, audit which keys changed; the new version.

        Raises `StaleSettings` when the version is not ``expected_version`` (None: do not
        compare), `UnknownSetting` for a key outside the schema or a wrong type.
        """
        fields = {field.key: field for field in schema}
        unknown = sorted(set(values) - set(fields))
        if unknown:
            raise UnknownSetting(f"No such setting in {scope}: {', '.join(unknown)}.")
        checked = {key: fields[key].check(value) for key, value in values.items()}
        with self._database.write() as connection:
            version = self._raise_version(connection, scope, expected_version, actor)
            changed = _store(connection, scope, checked, version, actor)
            if also is not None:
                also(connection)
            audit.record(
                connection,
                actor=actor,
                action="settings.saved",
                subject=scope,
                detail={"changed": changed, **(detail or {})},
            )
        return version

    def _raise_version(
        self, connection: Connection, scope: str, expected: int | None, actor: str
    ) -> int:
        of_scope = (SettingRow.scope == scope, SettingRow.key == "")
        locked = select(SettingRow.version).where(*of_scope).with_for_update()
        head = connection.execute(locked).scalar()
        if head is None:
            # Two first saves at once: the second waits here for the first.
            dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
            first = dialect.insert(SettingRow).values(scope=scope, key="", version=0)
            connection.execute(first.on_conflict_do_nothing())
            head = connection.execute(locked).scalar_one()
        if expected is not None and expected != head:
            raise StaleSettings("These settings were saved by somebody else meanwhile.")
        version = int(head) + 1
        connection.execute(
            update(SettingRow)
            .where(*of_scope)
            .values(version=version, updated_at=now(), updated_by=actor)
        )
        return version


def _store(
    connection: Connection, scope: str, values: Mapping[str, Any], version: int, actor: str
) -> list[str]:
    rows = connection.execute(
        select(SettingRow.key, SettingRow.value).where(SettingRow.scope == scope)
    )
    stored = {row.key: row.value for row in rows}
    changed = []
    for key, value in values.items():
        text = json.dumps(value)
        if stored.get(key) == text:
            continue
        changed.append(key)
        row = {"value": text, "version": version, "updated_at": now(), "updated_by": actor}
        if key in stored:
            connection.execute(
                update(SettingRow)
                .where(SettingRow.scope == scope, SettingRow.key == key)
                .values(**row)
            )
        else:
            connection.execute(insert(SettingRow).values(scope=scope, key=key, **row))
    return sorted(changed)
