"""The lease of a room while it is synced: by two clocks, renewed before it is refused.

A lease protects the rows by itself (every write is fenced), but a homeserver knows nothing of it.
So nothing is asked of a homeserver unless the lease lasts longer than the answer may take.
"""

from __future__ import annotations

import threading
import time
from datetime import timedelta

from commweb.database import Database
from commweb.errors import LeaseLost
from commweb.models import now
from commweb.sync.records import LEASE_SECONDS, renewed, sync_again

__all__ = ["Lease", "awake_seconds"]

MARGIN_SECONDS = 5.0
"""How much longer than an act's deadline a lease has to last."""


def awake_seconds() -> float:
    """A clock that nobody sets and that goes on while the machine sleeps, in seconds."""
    clock = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return time.clock_gettime(clock)


class Lease:
    """The right of ``holder`` to work on a room.

    What is left of it is the smaller of what the wall clock says, which other workers go by, and
    what a steady clock says, which a changed wall clock does not stretch.
    """

    def __init__(
        self, database: Database, room_id: int, holder: str, *, seconds: float = LEASE_SECONDS
    ) -> None:
        self.room_id = room_id
        self.holder = holder
        self._database = database
        self._seconds = seconds
        self._lock = threading.Lock()
        self._extend(awake_seconds())

    def _extend(self, began: float) -> None:
        """The lease was written at ``began`` or later."""
        self._steady_end = began + self._seconds
        self._wall_end = now() + timedelta(seconds=self._seconds)

    def left(self) -> float:
        """Seconds for which the lease still holds by both clocks."""
        wall = (self._wall_end - now()).total_seconds()
        return min(wall, self._steady_end - awake_seconds())

    def extended(self, began: float) -> None:
        """A fenced write, begun at ``began`` (see `awake_seconds`), extended it."""
        with self._lock:
            self._extend(began)

    def require(self, seconds: float) -> None:
        """Make sure that it lasts longer than an act that may take ``seconds``.

        Renews it where it does not. Raises `LeaseLost` when somebody else may have the room.
        """
        if self.left() < seconds + MARGIN_SECONDS:
            self.renew()

    def beat(self) -> None:
        """Renew it if half of it is over; for long waits. Raises `LeaseLost`."""
        if self.left() < self._seconds / 2:
            self.renew()

    def renew(self) -> None:
        """Write the lease anew. Raises `LeaseLost` when it is over or somebody else's."""
        with self._lock:
            if self.left() <= 0:
                raise LeaseLost(f"The lease of room {self.room_id} is over.")
            began = awake_seconds()
            with self._database.write() as connection:
                renewed(connection, self.room_id, self.holder, self._seconds)
            self._extend(began)

    def confirm(self) -> None:
        """After an act, however it ended: if the lease was over by then, the room is synced again
        by whoever has it.

        Raises `LeaseLost`.
        """
        if self.left() > 0:
            return
        with self._database.write() as connection:
            sync_again(connection, self.room_id)
        raise LeaseLost(f"The lease of room {self.room_id} was over before its answer came.")
