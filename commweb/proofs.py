"""Codes that prove that an account is a person's own: sent to the account, typed on the page.

A code lives for 15 minutes and five tries; another one may be asked for after a minute. Only its
keyed hash is stored. Every function is part of the caller's transaction.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from commweb.models import AccountProof, now

__all__ = [
    "DIGITS",
    "Pending",
    "Started",
    "Verdict",
    "forget",
    "pending",
    "redeem",
    "revoke",
    "sent",
    "start",
]

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
        return sent and self.tries_left > 0 and self.expires_at > now()


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
            AccountProof.expires_at > now(),
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
    return max(0, math.ceil((sent_at + PAUSE - at).total_seconds()))


def _hash(key: str, *parts: str) -> str:
    """Keyed: an eight-digit code would be found from a plain hash by trying them all."""
    text = "\0".join(("commweb account proof", *parts))
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()
