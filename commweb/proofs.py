"""Codes that prove that an account is a person's own: sent to the account, typed on the page.

A code lives for 15 minutes and five tries; another one may be asked for after a minute, and so
many in an hour. Only its keyed hash is stored. Every function is part of the caller's transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb import audit
from commweb.clocks import SLACK
from commweb.models import AccountProof, Event, now

__all__ = [
    "DIGITS",
    "PASSWORD_RIGHT",
    "Pending",
    "Started",
    "Verdict",
    "forget",
    "may_ask",
    "may_try_password",
    "pending",
    "redeem",
    "revoke",
    "sent",
    "start",
]

CODE_ASKED = "account.code_asked"
PASSWORD_TYPED = "account.password_typed"  # noqa: S105  (the name of an event)
PASSWORD_RIGHT = "account.password_right"  # noqa: S105  (the name of an event)
HOUR = timedelta(hours=1)
CODES_PER_PERSON = 5
CODES_PER_ACCOUNT = 5
CODES_PER_ADDRESS = 60
PASSWORDS_PER_PERSON = 5
COUNTING = 0x636F6D6D
"""The advisory lock under which tries are counted, on PostgreSQL."""
LATEST_EVENTS = 20_000
"""So many events are looked through at most: the limits are for one hour."""
DIGITS = 8
EXPIRES = timedelta(minutes=15)
PAUSE = timedelta(minutes=1)
TRIES = 5


@dataclass(frozen=True)
class Pending:
    """A code on its way. ``conversation`` is where it was sent; None: not sent yet.
    ``alive``: it can still be typed."""

    remote_user_id: str
    expires_at: datetime
    tries_left: int
    conversation: str | None
    wait_seconds: int

    @property
    def alive(self) -> bool:
        """Whether the code can still be typed."""
        sent = self.conversation is not None
        at = now()
        good = at < self.expires_at <= at + EXPIRES + SLACK
        return sent and self.tries_left > 0 and good


@dataclass(frozen=True)
class Started:
    """A new code (empty: wait ``wait_seconds`` first), and the conversation it replaces."""

    code: str
    wait_seconds: int = 0
    replaces: str | None = None

    def __repr__(self) -> str:  # the code is nobody's to read but the account's
        return f"<Started, wait {self.wait_seconds} s>"


@dataclass(frozen=True)
class Verdict:
    """What typing a code gave: ``right`` (the account is ``remote_user_id``), or not; then
    ``tries_left`` more may be typed."""

    right: bool
    remote_user_id: str = ""
    conversation: str | None = None
    tries_left: int = 0


def pending(connection: Connection, provider: str, person_id: str) -> Pending | None:
    """The person's code, also one that is over; None: none was asked for."""
    row = connection.execute(
        select(
            AccountProof.remote_user_id,
            AccountProof.expires_at,
            AccountProof.tries_left,
            AccountProof.conversation,
            AccountProof.sent_at,
        ).where(*_of(provider, person_id))
    ).first()
    return Pending(*row[:4], _wait(row[4], now())) if row else None


def start(
    connection: Connection, key: str, provider: str, person_id: str, remote_id: str
) -> Started:
    """A new code for the account, unless one was asked for within the last minute."""
    at = now()
    row = connection.execute(
        select(AccountProof.sent_at, AccountProof.conversation)
        .where(*_of(provider, person_id))
        .with_for_update()
    ).first()
    if row is not None and _wait(row[0], at):
        return Started("", _wait(row[0], at))
    code = "".join(secrets.choice("0123456789") for _digit in range(DIGITS))
    values = {
        "remote_user_id": remote_id,
        "code_hash": _hash(key, provider, person_id, remote_id, code),
        "sent_at": at,
        "expires_at": at + EXPIRES,
        "tries_left": TRIES,
        "conversation": None,
    }
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    connection.execute(
        dialect.insert(AccountProof)
        .values(provider=provider, person_id=person_id, **values)
        .on_conflict_do_update(index_elements=["provider", "person_id"], set_=values)
    )
    return Started(code, replaces=row[1] if row else None)


def may_ask(
    connection: Connection,
    key: str,
    *,
    provider: str,
    person_id: str,
    remote_id: str,
    address: str,
) -> bool:
    """Whether the person may ask for one more code now; if so, that is written down. Limited for a
    person, for the account that gets the codes, and for the network address it is asked from,
    which is kept as a keyed hash only."""
    origin = _hash(key, "address", address)[:16]
    _one_at_a_time(connection)
    events = _lately(connection, CODE_ASKED, provider)
    counts = (
        (sum(actor == person_id for actor, _detail in events), CODES_PER_PERSON),
        (sum(detail.get("account") == remote_id for _actor, detail in events), CODES_PER_ACCOUNT),
        (sum(detail.get("from") == origin for _actor, detail in events), CODES_PER_ADDRESS),
    )
    if any(count >= limit for count, limit in counts):
        return False
    detail = {"account": remote_id, "from": origin}
    audit.record(connection, actor=person_id, action=CODE_ASKED, subject=provider, detail=detail)
    return True


def may_try_password(connection: Connection, provider: str, person_id: str) -> bool:
    """Whether the person may type the site's password once more now; if so, that is written down
    before anybody looks whether it is right. `PASSWORD_RIGHT` takes it back."""
    _one_at_a_time(connection)
    typed, right = (
        sum(actor == person_id for actor, _detail in _lately(connection, action, provider))
        for action in (PASSWORD_TYPED, PASSWORD_RIGHT)
    )
    if typed - right >= PASSWORDS_PER_PERSON:
        return False
    audit.record(connection, actor=person_id, action=PASSWORD_TYPED, subject=provider, detail={})
    return True


def _one_at_a_time(connection: Connection) -> None:
    """Until the transaction ends nobody else counts. On SQLite there is one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(COUNTING)))


def _lately(connection: Connection, action: str, provider: str) -> list[tuple[str, dict[str, Any]]]:
    """(actor, detail) of these events within the last hour."""
    newest = select(func.max(Event.id)).scalar_subquery()
    statement = select(Event.actor, Event.detail).where(
        Event.id > newest - LATEST_EVENTS,
        Event.action == action,
        Event.subject == provider,
        Event.at.between(now() - HOUR, now() + SLACK),
    )
    return [(row.actor, row.detail) for row in connection.execute(statement)]


def sent(
    connection: Connection, provider: str, person_id: str, remote_id: str, conversation: str
) -> bool:
    """The code is there: it may be typed now. False: it is not wanted any more."""
    done = connection.execute(
        update(AccountProof)
        .where(*_of(provider, person_id), AccountProof.remote_user_id == remote_id)
        .where(AccountProof.conversation.is_(None))
        .values(conversation=conversation)
    )
    return done.rowcount == 1


def redeem(connection: Connection, key: str, provider: str, person_id: str, code: str) -> Verdict:
    """Compare what was typed; it costs a try, and the right code can be used once. Commit it
    whatever the verdict is."""
    counted = connection.execute(
        update(AccountProof)
        .where(
            *_of(provider, person_id),
            AccountProof.conversation.is_not(None),
            AccountProof.tries_left > 0,
            AccountProof.expires_at.between(now(), now() + EXPIRES + SLACK),
        )
        .values(tries_left=AccountProof.tries_left - 1)
    )
    if counted.rowcount != 1:
        return Verdict(False)
    remote_id, stored, tries_left, conversation = connection.execute(
        select(
            AccountProof.remote_user_id,
            AccountProof.code_hash,
            AccountProof.tries_left,
            AccountProof.conversation,
        ).where(*_of(provider, person_id))
    ).one()
    typed = _hash(key, provider, person_id, remote_id, code)
    if not hmac.compare_digest(typed, stored):
        return Verdict(False, remote_id, tries_left=tries_left)
    forget(connection, provider, person_id)
    return Verdict(True, remote_id, conversation)


def revoke(connection: Connection, provider: str, person_id: str) -> str | None:
    """The code is good no more, and the minute until another one goes on; the conversation it
    was sent in, if there is one."""
    conversation = connection.execute(
        select(AccountProof.conversation).where(*_of(provider, person_id))
    ).scalar()
    connection.execute(
        update(AccountProof)
        .where(*_of(provider, person_id))
        .values(tries_left=0, conversation=None)
    )
    return conversation


def forget(connection: Connection, provider: str, person_id: str) -> str | None:
    """The code is not wanted any more; the conversation it was sent in, if there is one."""
    conversation = connection.execute(
        select(AccountProof.conversation).where(*_of(provider, person_id))
    ).scalar()
    connection.execute(delete(AccountProof).where(*_of(provider, person_id)))
    return conversation


def _of(provider: str, person_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return AccountProof.provider == provider, AccountProof.person_id == person_id


def _wait(sent_at: datetime, at: datetime) -> int:
    """How many seconds until another code may be asked for."""
    if sent_at > at + SLACK:
        return 0  # by a clock that was ahead
    return max(0, math.ceil((sent_at + PAUSE - at).total_seconds()))


def _hash(key: str, *parts: str) -> str:
    """Keyed: an eight-digit code would be found from a plain hash by trying them all."""
    text = "\0".join(("commweb account proof", *parts))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
