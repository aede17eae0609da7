"""How long a room rests after something went wrong, and what people are told. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from commweb.database import FAULTS
from commweb.errors import (
    CommWebError,
    HostError,
    RateLimited,
    RoomUnsettled,
    SignInNeeded,
)
from commweb.i18n import gettext as _

__all__ = [
    "LINE_DOWN_SECONDS",
    "LONGEST_PAUSE_SECONDS",
    "LONGEST_RETRY_SECONDS",
    "Rest",
    "rest_after",
    "retry_seconds",
]

LONGEST_PAUSE_SECONDS = 900.0
LONGEST_RETRY_SECONDS = 4 * 3600.0
LINE_DOWN_SECONDS = 5.0
"""How soon a server that does not answer at all is tried again."""
HOST_PAUSE_SECONDS = 30.0
DATABASE_PAUSE_SECONDS = 5.0
UNSETTLED_SECONDS = 5.0
SIGN_IN_SECONDS = 1.0
SHORTEST_PAUSE_SECONDS = 0.5
"""A server that asks to wait a moment less is not asked at once again."""


@dataclass(frozen=True)
class Rest:
    """``seconds`` to rest. ``counts``: the fault is the room's own, and the next rest is longer.
    ``failing``: something is wrong, rather than only waited for."""

    seconds: float
    counts: bool
    reason: str
    failing: bool = False


def retry_seconds(attempts: int) -> float:
    """How long a room rests after ``attempts`` runs that could not do the same things: half a
    minute, then longer, up to four hours."""
    return float(min(LONGEST_RETRY_SECONDS, 30.0 * 2.0 ** min(max(attempts, 1) - 1, 12)))


def rest_after(error: Exception, attempts: int, *, line_down: bool) -> Rest:
    """The rest after ``attempts`` earlier faults of the room's own.

    ``line_down``: the server answers nobody, so the fault says nothing about this room. Only a
    fault of the room's own makes its rests longer, up to a quarter of an hour.
    """
    reason = _reason(error)
    if isinstance(error, RateLimited | RoomUnsettled):
        asked = error.retry_after_seconds or UNSETTLED_SECONDS
        return Rest(max(asked, SHORTEST_PAUSE_SECONDS), False, reason)
    if isinstance(error, SignInNeeded):
        return Rest(SIGN_IN_SECONDS, False, reason)
    if isinstance(error, HostError):
        return Rest(HOST_PAUSE_SECONDS, False, reason)
    if isinstance(error, FAULTS):
        return Rest(DATABASE_PAUSE_SECONDS, False, reason)
    if line_down:
        return Rest(LINE_DOWN_SECONDS, False, reason, failing=True)
    pause = min(LONGEST_PAUSE_SECONDS, 2.0 ** min(attempts, 12))
    return Rest(pause, True, reason, failing=True)


def _reason(error: Exception) -> str:
    if isinstance(error, CommWebError):
        return error.sentence
    if isinstance(error, FAULTS):
        return _("The site's database did not answer in time or is full.")
    return _("Unexpected error. See the worker log.")
