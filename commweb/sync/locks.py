"""Locks the accounts of suspended people, where the administrator chose that, and unlocks them.

Whom that concerns is written in ``commweb_account`` (see `commweb.account_locks`); what the host
says of the person is asked anew each time. A lock is written down before it is sent, so that one
whose answer was lost is known to be ours; an account that somebody else locked is left alone.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress

from sqlalchemy import or_, select

from commweb import audit
from commweb.account_locks import SETTING, LockRow, done, put_back, remember, rest, take
from commweb.database import FAULTS, first_line
from commweb.errors import AddressRefused, HostError, ProviderError, Refused
from commweb.host import Person
from commweb.models import Account, now
from commweb.places import look_again
from commweb.providers.base import People, Provider
from commweb.state import State

__all__ = ["Locks", "locking"]

SECONDS = 10.0
AFTER_A_FAULT_SECONDS = 30.0

log = logging.getLogger(__name__)


def locking(state: State) -> frozenset[str]:
    """The providers that lock the accounts of suspended people."""
    return frozenset(one.id for one in state.registry if _is_on(state, one))


def _is_on(state: State, provider: Provider) -> bool:
    if not any(setting.key == SETTING for setting in provider.settings):
        return False
    return bool(state.values(provider).values[SETTING])


class Locks:
    """One worker's work on accounts. `work` may be called by many threads at once."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._again_at: dict[str, float] = {}

    def work(self, providers: Iterable[Provider]) -> None:
        """See to what is asked; a homeserver or host that fails only delays it."""
        for provider in providers:
            if time.monotonic() < self._again_at.get(provider.id, 0.0):
                continue
            try:
                good = self._all(provider)
            except FAULTS:
                raise
            except Exception:  # the rooms go on, whatever it is
                log.exception("Locking accounts met a fault.")
                good = False
            if not good:
                self._again_at[provider.id] = time.monotonic() + AFTER_A_FAULT_SECONDS

    def _all(self, provider: Provider) -> bool:
        while rows := self._taken(provider):
            if not _Round(self._state, provider).run(rows):
                return False
        return True

    def _taken(self, provider: Provider) -> list[LockRow]:
        some = or_(Account.lock_asked, Account.lock_until.is_not(None))
        query = select(Account.person_id).where(Account.provider == provider.id, some).limit(1)
        with self._state.database.read() as connection:
            if connection.execute(query).first() is None:
                return []
        server = self._state.tokens(provider).server_name() or ""
        with self._state.database.write() as connection:
            return take(connection, provider.id, server)


class _Round:
    """Some accounts of one provider."""

    def __init__(self, state: State, provider: Provider) -> None:
        self._state = state
        self._provider = provider
        self._on = _is_on(state, provider)
        self._people: People | None = None

    def run(self, rows: Sequence[LockRow]) -> bool:
        """False: something failed, and what is left is tried again later."""
        good = True
        left = list(rows)
        try:
            while left:
                row = left[0]
                try:
                    self._see_to(row)
                except (Refused, AddressRefused) as error:
                    self._could_not(row, error)
                except HostError as error:
                    log.warning("The account of a person is not looked at: %s", first_line(error))
                    self._put_back([row])
                    good = False
                left.pop(0)
        except ProviderError as error:
            log.warning("Accounts are locked and unlocked later: %s", first_line(error))
            good = False
        finally:
            self._put_back(left)
            if self._people is not None:
                self._people.close()
        return good

    def _see_to(self, row: LockRow) -> None:
        wish = self._wish(row)
        if wish is True:
            self._lock(row)
        elif wish is False:
            self._unlock(row)
        with self._state.database.write() as connection:
            done(connection, row)

    def _wish(self, row: LockRow) -> bool | None:
        """True: it is to be locked. False: what commweb locked is to be unlocked. None: nothing."""
        locked = row.locked_at is not None
        if not self._on:
            return False if locked else None
        person = self._person(row.person_id)
        if person is None:
            return None
        if person.active:
            return False if locked else None
        return True if locked or row.ours else None

    def _person(self, person_id: str) -> Person | None:
        with self._state.app.app_context():
            try:
                return self._state.host.person(person_id)
            except HostError:
                raise
            except Exception as error:
                raise HostError("The site could not say whether a person is active.") from error

    def _asked(self) -> People:
        if self._people is None:
            self._people = self._provider.people(self._state.context(self._provider), SECONDS)
        return self._people

    def _lock(self, row: LockRow) -> None:
        facts = self._asked().examine(row.user_id)
        if not facts.usable or facts.admin or facts.elsewhere:
            return  # locked already, deactivated, the site's own, or not ours to lock
        with self._state.database.write() as connection:
            if not remember(connection, row, row.locked_at or now()):
                return
        try:
            self._asked().set_locked(row.user_id, True)
        except Refused:
            with self._state.database.write() as connection:
                remember(connection, row, None)
            raise
        self._tell(row, "account.locked")

    def _unlock(self, row: LockRow) -> None:
        if self._asked().examine(row.user_id).locked:
            self._asked().set_locked(row.user_id, False)
        with self._state.database.write() as connection:
            remember(connection, row, None)
            look_again(connection, row.provider, row.person_id)
        self._tell(row, "account.unlocked")

    def _could_not(self, row: LockRow, error: ProviderError) -> None:
        """A definite no about this account."""
        self._tell(row, "account.not_locked", reason=error.sentence)
        with self._state.database.write() as connection:
            rest(connection, row)

    def _tell(self, row: LockRow, action: str, **detail: str) -> None:
        with self._state.database.write() as connection:
            told: Mapping[str, str] = {"account": row.user_id, "person": row.person_id, **detail}
            audit.record(connection, actor="", action=action, subject=row.provider, detail=told)

    def _put_back(self, rows: Sequence[LockRow]) -> None:
        if rows:
            with suppress(ProviderError), self._state.database.write() as connection:
                put_back(connection, rows)
