"""A stored session in a database of the test's own, and what speaks with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet
from flask import Flask
from flask_sqlalchemy import SQLAlchemy

from commweb.connection import StoredTokens
from commweb.database import Database
from commweb.encryption import Sealer, Secret
from commweb.models import Base
from commweb.net import NetworkPolicy
from commweb.providers.base import ProviderContext
from commweb.providers.matrix.provider import MatrixProvider

LOOPBACK = NetworkPolicy(allowed_private_hosts=("127.0.0.0/8",))
BASE_URL = "https://hs.example"


@dataclass
class Stored:
    """A database with ``commweb_connection``; several may open the same one. ``path``: its file,
    where it is one."""

    url: str
    path: Path
    key: str
    database: Database
    app: Flask
    db: Any

    @classmethod
    def open(cls, where: Path | str, key: str | None = None) -> Stored:
        """``where``: a file for SQLite, or the address of a database."""
        url = where if isinstance(where, str) else f"sqlite:///{where}"
        app = Flask("stored")
        app.config["SQLALCHEMY_DATABASE_URI"] = url
        db = SQLAlchemy(app)
        database = Database(app, db)
        database.expect(16)
        Base.metadata.create_all(database.engine)
        path = Path(url.removeprefix("sqlite:///"))
        return cls(url, path, key or Fernet.generate_key().decode(), database, app, db)

    def close(self) -> None:
        self.database.dispose()
        with self.app.app_context():
            self.db.engine.dispose()

    def checked_out(self) -> int:
        """How many connections of our engine are in use."""
        return int(self.database.engine.pool.checkedout())  # type: ignore[attr-defined]

    def tokens(self, instance: str = "default", key: str | None = None) -> StoredTokens:
        return StoredTokens(self.database, Sealer([key or self.key]), "matrix", instance)

    def save(
        self,
        access: str | None,
        refresh: str | None,
        *,
        base_url: str = BASE_URL,
        instance: str = "default",
        expires_at: datetime | None = None,
        lifetime_seconds: int | None = None,
        user_id: str | None = None,
    ) -> None:
        """As an admin's save does."""
        with self.database.write() as connection:
            self.tokens(instance).replace(
                connection,
                base_url=base_url,
                access=Secret(access) if access else None,
                refresh=Secret(refresh) if refresh else None,
                actor="admin",
                expires_at=expires_at,
                lifetime_seconds=lifetime_seconds,
                user_id=user_id,
            )

    def context(
        self,
        base_url: str = BASE_URL,
        *,
        before_send: Callable[[], None] | None = None,
        **values: Any,
    ) -> ProviderContext:
        """What the Matrix provider is handed, with default settings and ``values``."""
        settings: Mapping[str, Any] = {one.key: one.default for one in MatrixProvider.settings}
        element = {"element_web_url": "https://app.element.io"}
        return ProviderContext(
            values={**settings, **element, "home_server_url": base_url, **values},
            tokens=self.tokens(),
            network=NetworkPolicy(LOOPBACK.allowed_private_hosts, before_send=before_send),
            instance="default",
        )
