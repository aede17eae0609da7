"""Who did what to which room and setting, when. Never a secret."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, insert

from commweb.models import Event, now

__all__ = ["record"]


def record(
    connection: Connection,
    *,
    actor: str,
    action: str,
    subject: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Add one event in the transaction of what it tells about.

    ``actor`` is a person's id, or ``""`` for commweb itself; ``action`` a dotted word such as
    ``settings.saved``; ``detail`` plain JSON without secrets.
    """
    connection.execute(
        insert(Event).values(
            at=now(), actor=actor, action=action, subject=subject, detail=dict(detail or {})
        )
    )
