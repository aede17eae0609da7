"""Making and migrating commweb's tables with Alembic, apart from the host's own migrations."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from flask import Flask
from sqlalchemy import Connection, func, select

from commweb.state import State

__all__ = ["VERSION_TABLE", "include_name", "spare_our_tables", "upgrade"]

VERSION_TABLE = "commweb_alembic_version"
FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x636F6D6D776562
"""The number of the lock that lets one process migrate at a time; any, but always the same."""


def include_name(name: str | None, type_: str, _parent_names: object) -> bool:
    """For the host's ``env.py``: ``context.configure(..., include_name=include_name)`` keeps
    autogenerate from proposing to drop commweb's tables."""
    return not (type_ == "table" and name is not None and name.startswith("commweb_"))


def spare_our_tables(app: Flask) -> None:
    """Where the host has set Flask-Migrate up and given it no ``include_name``, give it ours."""
    migrate = app.extensions.get("migrate")
    arguments = getattr(migrate, "configure_args", None)
    if isinstance(arguments, dict):
        arguments.setdefault("include_name", include_name)


def upgrade(state: State) -> None:
    """Bring the tables to the newest version."""
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    with state.database.write() as connection:
        _one_at_a_time(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _one_at_a_time(connection: Connection) -> None:
    """Wait for another process that migrates; on SQLite the write transaction did."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
