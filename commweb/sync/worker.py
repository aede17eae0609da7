"""The worker: fold what was reported, claim rooms, run them, retry or rest.

A wake-up only says "look now"; `commweb.sync.sweep` says so when nobody else did.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from commweb.connection import OK, Session
from commweb.database import FAULTS, first_line
from commweb.errors import (
    CommWebError,
    HostError,
    LeaseLost,
    ProviderError,
    ProviderStopped,
    Refused,
    Unreachable,
)
from commweb.models import now
from commweb.priority import Priority
from commweb.providers.base import Backend, Provider
from commweb.state import State
from commweb.sync.bounds import SERVER_PAUSE, rests
from commweb.sync.changes import fold, pending
from commweb.sync.claims import Claim, Claims
from commweb.sync.leases import Lease
from commweb.sync.locks import Locks
from commweb.sync.orphans import due_for_orphans, seek_orphans
from commweb.sync.patience import LINE_DOWN_SECONDS, rest_after
from commweb.sync.records import (
    RoomRecord,
    begun,
    due,
    fenced,
    read_room,
)
from commweb.sync.run import Stopped, run
from commweb.sync.schedule import end_rests, soonest

__all__ = ["SWEEP_SECONDS", "Worker", "working_providers"]

KNOWN_FOR_SECONDS = 1.0
SWEEP_SECONDS = 10.0
PROBE_SECONDS = 5.0
CHECK_SECONDS = 10.0
ANSWERED_SECONDS = 60.0
ASKED_SECONDS = 15.0
SEEK_SECONDS = 60.0

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
        if current.active and not _rests(current.session):
            working[provider.id] = provider
    return working


def _rests(session: Session | None) -> bool:
    """Whether nothing can be done with the session now."""
    if session is None:
        return False
    if session.state != OK or session.trouble_code is not None:
        return True
    return rests(session.blocked_until, now(), SERVER_PAUSE)


def _says_failing(record: RoomRecord, error: Exception) -> bool:
    """Whether the room is not usable: there is none yet, or the server said no to all of it."""
    return record.remote_id is None or isinstance(error, Refused)


@dataclass
class _Tools(threading.local):
    """What a worker thread keeps: one backend a provider, until its settings change."""

    backends: dict[str, tuple[int, Backend]] = field(default_factory=dict)


class Worker:
    """Works for one app. `work` may be called by many threads at once."""

    def __init__(self, state: State, *, stop: Callable[[], bool] = lambda: False) -> None:
        self._state = state
        self._claims = Claims(state.database, uuid.uuid4().hex[:12])
        self._known: tuple[float, Mapping[str, Provider]] | None = None
        self._stop = stop
        self._folding = threading.Lock()
        self._tools = _Tools()
        self._versions: dict[str, int] = {}
        self._answered_at: dict[str, float] = {}
        self._ask_again_at = 0.0
        self._stopped_until: dict[str, float] = {}
        self._seek_again_at = 0.0
        self._locks = Locks(state)

    def try_work(self) -> None:
        """`work`; a fault of the database only delays it, because the next sweep goes on."""
        try:
            self.work()
        except (CommWebError, *FAULTS) as error:
            log.warning("The work is put off: %s", first_line(error))
        except Exception:
            # The thread has to live: there may be no other.
            log.exception("The work met a fault.")

    def work(self) -> int:
        """Fold and run until nothing is due; how many rooms were run."""
        self._known = None
        self._notice_settings()
        self._ask_stopped()
        self.fold()
        count = 0
        try:
            self._locks.work(self._working().values())
            self._seek_orphans()
            while not self._stop():
                claim = self._claims.take(list(self._working()))
                if claim is None:
                    return count
                self._one(claim)
                count += 1
                if self.fold():
                    self._locks.work(self._working().values())
            return count
        finally:
            if self._stop():
                self._give_back(waiting=True)

    def _working(self) -> Mapping[str, Provider]:
        """`working_providers` as it was a moment ago: it is asked for every room."""
        known = self._known
        if known is None or time.monotonic() - known[0] > KNOWN_FOR_SECONDS:
            working = working_providers(self._state)
            at = time.monotonic()
            for provider_id, until in self._stopped_until.items():
                if until > at:
                    working.pop(provider_id, None)
            known = self._known = (at, working)
        return known[1]

    def _give_back(self, *claims: Claim, waiting: bool = False) -> None:
        try:
            self._claims.give_back(*claims)
            if waiting:
                self._claims.give_back_waiting()
        except FAULTS as error:
            log.warning("Rooms are given back when their lease ends: %s", first_line(error))

    def _notice_settings(self) -> None:
        """After a provider's settings or tokens were saved nobody has to wait out a rest."""
        for provider in self._state.registry:
            if not provider.has_rooms:
                continue
            version = self._state.values(provider).version
            if self._versions.setdefault(provider.id, version) != version:
                self._versions[provider.id] = version
                with self._state.database.write() as connection:
                    end_rests(connection, provider.id)

    def fold(self) -> bool:
        """Fold, unless another thread is at it, and wake others for what came of it. Whether
        anything was folded."""
        if not self._folding.acquire(blocking=False):
            return False
        try:
            with self._state.database.read() as connection:
                some = pending(connection)
            if not some or not fold(self._state, self._stop):
                return False
        finally:
            self._folding.release()
        self._state.queue.wake(self.waiting() - 1)
        return True

    def _one(self, claim: Claim) -> None:
        state, room_id, holder = self._state, claim.room_id, claim.holder
        lease = Lease(state.database, room_id, holder)
        try:
            with state.database.write() as connection:
                fenced(connection, room_id, holder)
                record = begun(connection, read_room(connection, room_id))
        except LeaseLost:
            return
        provider = self._working().get(record.provider) if record else None
        if record is None or provider is None or self._stop():
            # Stopping, or switched off, dead or blocked since the claim.
            self._give_back(claim)
            return
        try:
            self._run(lease, provider)
            self._answered(provider)
        except LeaseLost:
            return
        except Stopped:
            self._give_back(claim)
        except ProviderStopped as error:
            self._stopped(provider, error)
            self._give_back(claim)
        except (ProviderError, HostError, *FAULTS) as error:
            self._postpone(record, holder, error)
        except Exception as error:
            log.exception("Room %d failed unexpectedly.", room_id)
            self._postpone(record, holder, error)

    def _seek_orphans(self) -> None:
        """Once a day, in one process, look for rooms that no course has."""
        if time.monotonic() < self._seek_again_at:
            return
        self._seek_again_at = time.monotonic() + SEEK_SECONDS
        for provider in self._working().values():
            with self._state.database.write() as connection:
                due_now = due_for_orphans(connection, provider.id)
            if due_now:
                seek_orphans(self._state, provider.id, partial(self._backend, provider))

    def _run(self, lease: Lease, provider: Provider) -> None:
        backend = self._backend(provider)
        backend.before_request = lease.require
        try:
            run(self._state, lease, backend, self._stop)
        except (Exception, KeyboardInterrupt):
            raise
        except BaseException as error:  # a provider may leave, or raise as greenlets do
            raise RuntimeError(f"The provider raised {type(error).__name__}.") from error
        finally:
            backend.before_request = None

    def _stopped(self, provider: Provider, error: ProviderStopped) -> None:
        """The acting account or the server can do nothing for anybody: every room of the provider
        waits as it is, and nothing is booked on rooms or people."""
        log.warning("Provider %s is stopped: %s", provider.id, error.message)
        self._known = None
        self._stopped_until[provider.id] = time.monotonic() + ASKED_SECONDS
        self._state.tokens(provider).stop(error.errcode or "STOPPED", error.sentence)

    def _answered(self, provider: Provider) -> None:
        """Note the server's good answer, once a minute."""
        last = self._answered_at.get(provider.id)
        if last is not None and time.monotonic() - last < ANSWERED_SECONDS:
            return
        self._answered_at[provider.id] = time.monotonic()
        tokens = self._state.tokens(provider)
        session = tokens.read()
        if session is not None and session.trouble_code is None:
            tokens.go_on()

    def _ask_stopped(self) -> None:
        """Ask the servers of stopped providers whether they work again: the same check as an
        administrator's, which tries what was refused."""
        if time.monotonic() < self._ask_again_at:
            return
        self._ask_again_at = time.monotonic() + ASKED_SECONDS
        for provider in self._state.registry:
            if not provider.has_rooms:
                continue
            session = self._state.tokens(provider).read()
            if session is None or session.trouble_code is None or session.state != OK:
                continue
            found = provider.check(self._state.context(provider), CHECK_SECONDS)
            if not any(finding.level == "danger" for finding in found):
                self._state.tokens(provider).go_on()
                self._stopped_until.pop(provider.id, None)
                self._known = None

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

    def _postpone(self, record: RoomRecord, holder: str, error: Exception) -> None:
        self._known = None  # the session may have ended, or the server asked to wait
        line_down = isinstance(error, Unreachable) and not self._answers(record.provider)
        rest = rest_after(error, record.attempts, line_down=line_down)
        log.warning("Room %d waits %.1f s: %s", record.id, rest.seconds, rest.reason)
        values: dict[str, object] = {"reason": rest.reason, "lease": None, "lease_until": None}
        if rest.counts:
            values["attempts"] = record.attempts + 1
        try:
            with self._state.database.write() as connection:
                current = read_room(connection, record.id, lock=True)
                if rest.failing and current is not None and _says_failing(current, error):
                    values["status"] = "failing"
                if rest.counts:
                    values["priority"] = int(Priority.FAILING)
                # What was reported meanwhile is not made to wait for what failed before it.
                if current is not None and current.revision == record.revision:
                    values["next_attempt_at"] = now() + timedelta(seconds=rest.seconds)
                fenced(connection, record.id, holder, **values)
        except LeaseLost:
            return

    def _answers(self, provider_id: str) -> bool:
        """Whether the provider's server answers at all. If not, none of its rooms is tried for
        a moment, whoever works on them."""
        provider = self._state.registry.get(provider_id)
        if provider is None or provider.answers(self._state.context(provider), PROBE_SECONDS):
            return True
        pause = timedelta(seconds=LINE_DOWN_SECONDS)
        self._state.tokens(provider).block_until(now() + pause)
        return False

    def next_look_seconds(self) -> float:
        """How long the sweep may rest: until the next rest or lease ends, 10 s at most."""
        with self._state.database.read() as connection:
            end = soonest(connection)
        if end is None:
            return SWEEP_SECONDS
        return min(SWEEP_SECONDS, max(0.1, (end - now()).total_seconds() + 0.05))

    def waiting(self) -> int:
        """How many threads would find something to do now, 8 at most."""
        providers: Sequence[str] = list(working_providers(self._state))
        with self._state.database.read() as connection:
            rooms = due(connection, providers) if providers else 0
            return min(rooms, 8) or int(pending(connection))
