"""How long anything rests at most. A rest that ends later was written by a clock that was ahead,
and counts as over."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_

from commweb.clocks import SLACK

__all__ = [
    "FOLD_REST",
    "LATE",
    "LEASE",
    "ROOM_REST",
    "SERVER_PAUSE",
    "SLACK",
    "ends",
    "over",
    "rests",
]

LEASE = timedelta(seconds=60)
ROOM_REST = timedelta(hours=4)
SERVER_PAUSE = timedelta(hours=24)
"""The longest pause that a homeserver may ask for."""
FOLD_REST = timedelta(hours=1)
LATE = timedelta(seconds=60)
"""How long after the server's first good answer a room with a late act is synced once more."""


def rests(until: datetime | None, at: datetime, longest: timedelta) -> bool:
    """Whether something that rests ``longest`` at most still rests at ``at``."""
    return until is not None and at < until <= at + longest + SLACK


def over(until: Any, at: datetime, longest: timedelta) -> ColumnElement[bool]:
    """For a WHERE: the rest in the column ``until`` is over, or there is none."""
    return or_(until.is_(None), until <= at, until > at + longest + SLACK)


def ends(until: Any, at: datetime, longest: timedelta) -> ColumnElement[bool]:
    """For a WHERE: the rest in the column ``until`` is not over; `over` is its opposite."""
    return and_(until > at, until <= at + longest + SLACK)
