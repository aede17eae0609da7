"""Which due room is synced first. A smaller number goes first; within one, who waits longest."""

from __future__ import annotations

from enum import IntEnum

__all__ = ["Priority"]


class Priority(IntEnum):
    """``commweb_room.priority``. What is later than `REPORTED` can wait, and does not wait for
    ever: see `commweb.sync.records.claim`."""

    NEW = -1
    """A course or group that has no room yet."""
    REPORTED = 0
    """The host reported it, or a person asked for it."""
    SETTINGS = 10
    """A provider's settings changed."""
    DRIFT = 20
    """Nobody reported anything; it may have drifted."""
    FAILING = 30
    """It failed by itself before."""
    BACKFILL = 40
    """Rooms for courses that were there before."""
