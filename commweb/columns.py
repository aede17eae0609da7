"""Kinds of columns: aware times, and sentences that are read in the reader's language."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import DateTime, Dialect, Text, TypeDecorator

from commweb.i18n import stored, told

__all__ = ["ToldText", "UtcDateTime"]


class UtcDateTime(TypeDecorator[datetime]):
    """An aware UTC datetime, on databases that forget time zones too."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("commweb stores aware datetimes only.")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


class ToldText(TypeDecorator[str]):
    """A sentence for people, read in the language of whoever reads it, whoever wrote it."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else stored(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else told(value)
