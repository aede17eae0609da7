"""Sealing stored secrets again after a new key was put first in COMMWEB_SECRET_KEYS."""

from __future__ import annotations

from sqlalchemy import select, update

from commweb import audit
from commweb.kept_secrets import rekey_kept
from commweb.models import Connection
from commweb.state import State

__all__ = ["rekey"]

SECRETS = ("access", "refresh", "previous")


def rekey(state: State) -> int:
    """How many secrets were sealed again, in one transaction. Raises `EncryptionError` (and
    changes nothing) when one cannot be opened."""
    count = 0
    columns = [getattr(Connection, name) for name in SECRETS]
    with state.database.write(durable=True) as connection:
        # Locked: a refresh that is stored meanwhile would be overwritten with the dead pair.
        stored = select(Connection.provider, *columns).with_for_update()
        for provider, *sealed in connection.execute(stored).all():
            kept = {name: value for name, value in zip(SECRETS, sealed, strict=True) if value}
            if not kept:
                continue
            connection.execute(
                update(Connection)
                .where(Connection.provider == provider)
                .values({name: state.sealer.rotate(value) for name, value in kept.items()})
            )
            count += len(kept)
        count += rekey_kept(connection, state.sealer)
        audit.record(connection, actor="", action="secrets.rekeyed", detail={"count": count})
    return count
