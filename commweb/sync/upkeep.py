"""Keeps idle sessions alive: refreshes a stored session near its end although no room is due.

Runs in a thread of its own: neither the sweep nor the work waits for a homeserver that is slow.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

from commweb.connection import OK
from commweb.database import FAULTS, first_line
from commweb.errors import CommWebError
from commweb.state import State

__all__ = ["UPKEEP_SECONDS", "Upkeep"]

UPKEEP_SECONDS = 15.0
UNKNOWN_LIFE_SECONDS = 120.0
"""How often a session is tried of whose token nobody said how long it lives."""
DEADLINE_SECONDS = 10.0

log = logging.getLogger(__name__)


class Upkeep:
    """Looks after the sessions of one app, whether or not there is work."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._tried: dict[str, float] = {}

    def run(self, wait: Callable[[float], bool]) -> None:
        """Look until ``wait(seconds)`` answers True; faults only delay it."""
        while True:
            self.once()
            if wait(UPKEEP_SECONDS):
                return

    def once(self) -> None:
        """Refresh what is near its end; never raises."""
        for provider in self._state.registry:
            try:
                session = self._state.tokens(provider).read() if provider.has_session else None
                if session is None or session.state != OK or session.pair.refresh is None:
                    continue
                if session.pair.expires_at is None and self._tried_lately(provider.id):
                    continue
                provider.keep_alive(self._state.context(provider), DEADLINE_SECONDS)
            except (CommWebError, *FAULTS) as error:
                log.warning("A session was not refreshed: %s", first_line(error))
            except Exception:
                log.exception("Looking after a session met a fault.")

    def _tried_lately(self, provider_id: str) -> bool:
        at, before = time.monotonic(), self._tried.get(provider_id)
        if before is not None and at - before < UNKNOWN_LIFE_SECONDS:
            return True
        self._tried[provider_id] = at
        return False
