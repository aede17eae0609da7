"""The sweep finds what nobody woke the worker for: lost wake-ups, leases of killed workers, rests
that are over, rooms that may have drifted from their courses.

It runs in a thread of its own and never works on a room, so that no homeserver, however slow,
keeps it from looking.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta

from commweb.database import FAULTS, first_line
from commweb.errors import CommWebError
from commweb.models import now
from commweb.state import State
from commweb.sync.schedule import check_again, end_pauses, paused_too_long, unchecked
from commweb.sync.worker import SWEEP_SECONDS, Worker

__all__ = ["Sweep"]

DRIFT_COURSES = 10
"""How many courses are checked at once: a few requests, 10,000 courses in 3 hours."""
AFTER_A_FAULT_SECONDS = 1.0

log = logging.getLogger(__name__)


class Sweep:
    """``wake(threads)`` is called when there is something to do for so many threads."""

    def __init__(self, state: State, worker: Worker, wake: Callable[[int], object]) -> None:
        self._state = state
        self._worker = worker
        self._wake = wake
        self._drift_at = time.monotonic()

    def run(self, wait: Callable[[float], bool]) -> None:
        """Look until ``wait(seconds)`` answers True; faults only delay it."""
        while not wait(self.once()):
            pass

    def once(self) -> float:
        """Look; in how many seconds to look again."""
        try:
            self._ask_about_drift()
            waiting = self._worker.waiting()
            if waiting:
                self._wake(waiting)
            return self._worker.next_look_seconds()
        except (CommWebError, *FAULTS) as error:
            log.warning("The sweep met a fault: %s", first_line(error))
        except Exception:
            log.exception("The sweep met a fault.")
        return AFTER_A_FAULT_SECONDS

    def _ask_about_drift(self) -> None:
        """Report courses that nobody folded for long, a few at a time, and end what a clock that
        was ahead made last too long."""
        if time.monotonic() < self._drift_at:
            return
        self._drift_at = time.monotonic() + SWEEP_SECONDS
        at, database = now(), self._state.database
        hours = self._state.config.drift_check_hours
        period = timedelta(hours=hours) if hours else None
        with database.read() as connection:
            found = unchecked(connection, at, period, DRIFT_COURSES)
            late = paused_too_long(connection, at)
        if found or late:
            with database.write() as connection:
                check_again(connection, found, at)
                end_pauses(connection, at)
