"""The worker: fold what was reported, claim rooms, run them, retry or rest.

A wake-up only says "look now". A sweep in a thread of its own finds what nobody woke the worker
for: lost wake-ups, leases of killed workers, attempts whose time has come.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import func, select

from commweb.errors import (
    CommWebError,
    HostError,
    LeaseLost,
    ProviderError,
    RateLimited,
    RoomUnsettled,
    SignInNeeded,
)
from commweb.i18n import gettext as _
from commweb.models import RoomRow, now
from commweb.providers.base import Backend, Provider
from commweb.state import State
from commweb.sync.changes import fold, pending
from commweb.sync.records import claim, due, fenced, read_room, release
from commweb.sync.run import Stopped, run

__all__ = ["Worker", "working_providers"]

CLAIM = 4
SWEEP_SECONDS = 10.0
HOST_PAUSE_SECONDS = 30.0
LINE_DOWN_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 900.0

log = logging.getLogger(__name__)


def working_providers(state: State) -> dict[str, Provider]:
    """The providers whose rooms may be worked on now, by id: the subsystem is on, the provider
    enabled and configured, its session alive, and its server did not ask us to wait."""
    if not state.subsystem_on():
        return {}
    working = {}
    for provider in state.registry:
        if not provider.has_rooms:
            continue
        current = state.provider_state(provider)
        session = current.session
        alive = session is None or session.state == "ok"
        waiting = session is not None and (session.blocked_until or now()) > now()
        if current.active and alive and not waiting:
            working[provider.id] = provider
    return working


@dataclass
class _Tools(threading.local):
    """What a worker thread keeps: one backend a provider, until its settings change."""

    backends: dict[str, tuple[int, Backend]] = field(default_factory=dict)


class Worker:
    """Works for one app. `work` may be called by many threads at once."""

    def __init__(self, state: State, *, stop: Callable[[], bool] = lambda: False) -> None:
        self._state = state
        self._name = uuid.uuid4().hex[:12]
        self._stop = stop
        self._folding = threading.Lock()
        self._tools = _Tools()

    def work(self) -> int:
        """Fold and run until nothing is due; how many rooms were run."""
        self.fold()
        holder = f"{self._name}-{threading.get_ident():x}"
        count = 0
        try:
            while not self._stop():
                claimed = self._claim(holder)
                if not claimed:
                    return count
                for room_id in claimed:
                    self._one(room_id, holder)
                    count += 1
                self.fold()
            return count
        finally:
            with self._state.database.write() as connection:
                release(connection, holder)

    def fold(self) -> None:
        """Fold, unless another thread is at it."""
        if not self._folding.acquire(blocking=False):
            return
        try:
            with self._state.database.read() as connection:
                some = pending(connection)
            if some:
                fold(self._state)
        finally:
            self._folding.release()

    def _claim(self, holder: str) -> list[int]:
        providers = list(working_providers(self._state))
        if not providers:
            return []
        with self._state.database.read() as connection:
            if not due(connection, providers):
                return []
        with self._state.database.write() as connection:
            return claim(connection, holder, providers, CLAIM)

    def _one(self, room_id: int, holder: str) -> None:
        state = self._state
        with state.database.read() as connection:
            record = read_room(connection, room_id)
        if record is None or self._stop():
            return
        try:
            self._renew(room_id, holder)
            provider = working_providers(state).get(record.provider)
            if provider is None:
                return  # switched off, dead or blocked since the claim: given back at the end
            run(state, room_id, holder, self._backend(provider), self._stop)
        except (LeaseLost, Stopped):
            return
        except (ProviderError, HostError) as error:
            self._postpone(room_id, holder, record.attempts, error)
        except Exception as error:
            log.exception("Room %d failed unexpectedly.", room_id)
            self._postpone(room_id, holder, record.attempts, error)

    def _renew(self, room_id: int, holder: str) -> None:
        with self._state.database.write() as connection:
            fenced(connection, room_id, holder)

    def _backend(self, provider: Provider) -> Backend:
        version = self._state.values(provider).version
        held = self._tools.backends.get(provider.id)
        if held is not None and held[0] == version:
            return held[1]
        if held is not None:
            held[1].close()
        backend = provider.backend(self._state.context(provider))
        self._tools.backends[provider.id] = (version, backend)
        return backend

    def close(self) -> None:
        """Close what this thread keeps."""
        for _version, backend in self._tools.backends.values():
            backend.close()
        self._tools.backends.clear()

    def _postpone(self, room_id: int, holder: str, attempts: int, error: Exception) -> None:
        pause, counts = _pause(error, attempts)
        reason = error.message if isinstance(error, ProviderError) else _words(error)
        log.warning("Room %d waits %.1f s: %s", room_id, pause, reason)
        try:
            with self._state.database.write() as connection:
                record = read_room(connection, room_id)
                values: dict[str, object] = {}
                if counts and record is not None and record.remote_id is None:
                    values["status"] = "failing"
                fenced(
                    connection,
                    room_id,
                    holder,
                    reason=reason,
                    attempts=attempts + (1 if counts else 0),
                    next_attempt_at=now() + timedelta(seconds=pause),
                    lease=None,
                    lease_until=None,
                    **values,
                )
        except LeaseLost:
            return

    def next_look_seconds(self) -> float:
        """How long the sweep may rest: until the next attempt is due, 10 s at most."""
        with self._state.database.read() as connection:
            soonest: datetime | None = connection.execute(
                select(func.min(RoomRow.next_attempt_at)).where(
                    RoomRow.synced_revision < RoomRow.revision, RoomRow.next_attempt_at > now()
                )
            ).scalar()
        if soonest is None:
            return SWEEP_SECONDS
        return min(SWEEP_SECONDS, max(0.1, (soonest - now()).total_seconds() + 0.05))

    def sweep(self, wait: Callable[[float], bool], wake: Callable[[int], None]) -> None:
        """Look for work until ``wait(seconds)`` answers True; faults only delay it."""
        while True:
            rest = 1.0
            try:
                wake(self._waiting() - 1)
                self.work()
                rest = self.next_look_seconds()
            except CommWebError as error:
                log.warning("The sweep met a fault: %s", error)
            except Exception:
                log.exception("The sweep met a fault.")
            if wait(rest):
                self.close()
                return

    def _waiting(self) -> int:
        providers: Sequence[str] = list(working_providers(self._state))
        with self._state.database.read() as connection:
            return min(due(connection, providers), 8) if providers else 0


def _words(error: Exception) -> str:
    if isinstance(error, CommWebError):
        return str(error)
    return _("An unexpected fault; the log of the worker names it.")


def _pause(error: Exception, attempts: int) -> tuple[float, bool]:
    """How many seconds the room rests, and whether the attempt counts as one."""
    if isinstance(error, RateLimited | RoomUnsettled):
        return error.retry_after_seconds or 5.0, False
    if isinstance(error, SignInNeeded):
        return 1.0, False
    if isinstance(error, HostError):
        return HOST_PAUSE_SECONDS, False
    longest = LONGEST_PAUSE_SECONDS
    if isinstance(error, ProviderError) and error.retryable and error.status is None:
        longest = LINE_DOWN_SECONDS  # the line is down for every room: look again soon
    return min(longest, 2.0 ** min(attempts, 12)), True
