"""The engine of commweb's own writes: short transactions on the host's database.

The host's session only ever gets inserts and single statements. Everything that must read and
then write (claims, token leases, outcomes) goes through `Database`, whose transactions on SQLite
start with BEGIN IMMEDIATE, so that two writers queue instead of failing or losing updates. On
PostgreSQL they are READ COMMITTED: what is read to be written is read FOR UPDATE, several rooms
are locked in the order of their ids, and accounts before rooms, so that nobody waits in a circle.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError

from commweb.errors import MisuseError

__all__ = ["FAULTS", "Database", "TablesMissingError", "first_line", "is_in_memory"]

FAULTS = (OperationalError, InterfaceError, InternalError)
"""What is raised when the database is away, locked, full, read-only or chose us as the victim of
a deadlock: the same work succeeds later."""


class TablesMissingError(OperationalError, MisuseError):
    """commweb's tables are not there, or are an older version's."""

    def __str__(self) -> str:
        return (
            "commweb's tables are missing or belong to an older version. Run "
            "`flask commweb upgrade` once, and after each new version of commweb."
        )


_MISSING = ("no such table", "no such column", "has no column")
_MISSING_STATES = ("42P01", "42703")  # undefined table, undefined column (PostgreSQL)


PAGE_THREADS = 4
"""How many threads of a process that shows pages are expected to need a connection at once."""


def first_line(error: Exception) -> str:
    """What went wrong, without the statement and its parameters."""
    return str(getattr(error, "orig", None) or error).partition("\n")[0]


def is_in_memory(url: URL) -> bool:
    """Whether the database lives in one process only, so that no worker can share it."""
    return url.get_backend_name() == "sqlite" and (
        url.database in (None, "", ":memory:") or "mode=memory" in str(url)
    )


class Database:
    """Write and read transactions of one app, on an engine of its own made on first use.

    The pool is sized by `expect`. An in-memory SQLite database cannot be shared between engines:
    there the host's own engine is used, which is enough for pages and never for a worker.
    """

    def __init__(self, app: Flask, db: Any) -> None:
        self._app = app
        self._db = db
        self._threads = PAGE_THREADS
        self._lock = threading.Lock()
        self._engine: Engine | None = None

    def expect(self, threads: int) -> None:
        """Size the pool for so many threads at once, before they start."""
        self.dispose()
        self._threads = threads

    @property
    def in_memory(self) -> bool:
        with self._app.app_context():
            return is_in_memory(self._db.engine.url)

    def require_shared(self) -> None:
        """Raise `MisuseError` where no second process could see the data."""
        if self.in_memory:
            raise MisuseError(
                "The database is SQLite in memory, which no worker can share. "
                "Use a file (sqlite:///site.db) or a database server."
            )

    @property
    def engine(self) -> Engine:
        with self._lock:
            if self._engine is None:
                self._engine = self._make()
            return self._engine

    def _make(self) -> Engine:
        with self._app.app_context():
            host_engine: Engine = self._db.engine
        url = make_url(host_engine.url)
        if is_in_memory(url):
            return host_engine
        options: dict[str, Any] = {"pool_size": self._threads + 4, "max_overflow": 8}
        if url.get_backend_name() == "sqlite":
            options["connect_args"] = {"timeout": 15, "isolation_level": None}
        else:
            options |= self._for_a_server()
        engine = create_engine(url, **options)
        event.listen(engine, "handle_error", _say_what_is_missing)
        if url.get_backend_name() == "sqlite":
            event.listen(engine, "connect", _prepare_sqlite)
            event.listen(engine, "begin", _begin_deferred)
        return engine

    def _for_a_server(self) -> dict[str, Any]:
        """A server that was restarted has closed what the pool keeps. How to connect (certificates,
        time limits) is the host's business."""
        given = self._app.config.get("SQLALCHEMY_ENGINE_OPTIONS") or {}
        connect_args = dict(given.get("connect_args") or {})
        return {
            "connect_args": connect_args,
            "isolation_level": "READ COMMITTED",
            "pool_pre_ping": True,
        }

    @contextmanager
    def write(self, *, durable: bool = False) -> Iterator[Connection]:
        """A short write transaction. ``durable`` waits for the disk (SQLite: synchronous=full;
        PostgreSQL: synchronous_commit), whatever is usual there."""
        engine = self.engine
        ours = engine.dialect.name == "sqlite" and not is_in_memory(engine.url)
        options = {"commweb_begin": "IMMEDIATE"} if ours else {}
        with engine.connect().execution_options(**options) as connection:
            if ours and durable:
                _pragma(connection, "synchronous=full")
            try:
                with connection.begin():
                    if durable and engine.dialect.name == "postgresql":
                        connection.execute(text("SET LOCAL synchronous_commit TO on"))
                    yield connection
            finally:
                if ours and durable:
                    _pragma(connection, "synchronous=normal")

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A short read transaction: one consistent snapshot, closed at the end."""
        engine = self.engine
        options = {} if engine.dialect.name == "sqlite" else {"isolation_level": "REPEATABLE READ"}
        with engine.connect().execution_options(**options) as connection, connection.begin():
            yield connection

    def dispose(self) -> None:
        """Close the pool (at the end of a process or a test)."""
        with self._lock:
            if self._engine is not None and not is_in_memory(self._engine.url):
                self._engine.dispose()
            self._engine = None


def _pragma(connection: Connection, words: str) -> None:
    cursor = connection.connection.cursor()
    try:
        cursor.execute(f"PRAGMA {words}")
    finally:
        cursor.close()


def _say_what_is_missing(context: ExceptionContext) -> None:
    """A table of ours that is not there is not a fault of the database: somebody forgot to make
    it."""
    error = context.original_exception
    missing = getattr(error, "sqlstate", "") in _MISSING_STATES or any(
        words in str(error) for words in _MISSING
    )
    if missing and "commweb_" in f"{error} {context.statement}":
        raise TablesMissingError(context.statement, None, error) from error


def _prepare_sqlite(dbapi_connection: Any, _record: Any) -> None:
    cursor = dbapi_connection.cursor()
    # Asking for WAL takes a lock, even where the file has it already.
    if cursor.execute("PRAGMA journal_mode").fetchone()[0].lower() != "wal":
        cursor.execute("PRAGMA journal_mode=WAL")
    for words in ("synchronous=normal", "foreign_keys=on"):
        cursor.execute(f"PRAGMA {words}")
    cursor.close()


def _begin_deferred(connection: Connection) -> None:
    mode = connection.get_execution_options().get("commweb_begin", "")
    connection.exec_driver_sql(f"BEGIN {mode}".strip())
