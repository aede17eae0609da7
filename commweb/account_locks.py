"""The rows of ``commweb_account`` as far as locking is concerned: whose account has to be looked
at, who is at it, what commweb locked. Every function is part of the caller's transaction.

Only an account that commweb created, and that the person uses for no better reason, is ever locked;
only what commweb locked is unlocked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Update, and_, or_, select, update

from commweb.account_rows import in_parts, of_server
from commweb.models import Account, now
from commweb.sync.choose_account import CREATED

__all__ = [
    "SETTING",
    "LockRow",
    "ask_all",
    "ask_people",
    "ask_room",
    "done",
    "put_back",
    "remember",
    "rest",
    "take",
]

SETTING = "lock_suspended"
"""The setting of a provider that can lock accounts."""
HELD_FOR = timedelta(seconds=120)
"""For so long nobody else works on an account that was taken: longer than all requests about it."""
REST = timedelta(hours=1)
"""When an account that the server refused to lock is tried again."""
AT_ONCE = 50

CREATED_HERE = and_(Account.origin == CREATED, Account.made_user_id == Account.remote_user_id)
LIVING = Account.retired_at.is_(None)


@dataclass(frozen=True)
class LockRow:
    """An account to look at. ``ours``: commweb created it, and the person uses it as that.
    ``locked_at``: when commweb locked it; None: it did not. ``until``: to whom it belongs now."""

    provider: str
    server_name: str
    person_id: str
    user_id: str
    ours: bool
    locked_at: datetime | None
    until: datetime


def ask_people(connection: Connection, locking: Collection[str], person_ids: Iterable[str]) -> None:
    """These people were suspended, reinstated or renamed. ``locking``: the providers whose
    setting is on."""
    may_be_locked = and_(CREATED_HERE, Account.provider.in_(sorted(locking)))
    concerned = or_(may_be_locked, Account.locked_at.is_not(None))
    for part in in_parts(person_ids):
        connection.execute(_ask(Account.person_id.in_(part), concerned))


def ask_all(connection: Connection, provider: str) -> None:
    """The provider's setting was changed."""
    concerned = or_(CREATED_HERE, Account.locked_at.is_not(None))
    connection.execute(_ask(Account.provider == provider, concerned))


def ask_room(
    connection: Connection, provider: str, away: Iterable[str], seated: Collection[str]
) -> None:
    """What a sync found that nobody reported: people who are ``away`` and whose accounts are not
    locked, and people who are wanted in the room (``seated``) and whose accounts still are."""
    locked = select(Account.person_id).where(
        Account.provider == provider, Account.locked_at.is_not(None), Account.lock_asked.is_(False)
    )
    back = sorted(set(connection.execute(locked).scalars()) & set(seated))
    for condition, people in (
        (and_(CREATED_HERE, Account.locked_at.is_(None)), away),
        (Account.locked_at.is_not(None), back),
    ):
        for part in in_parts(people):
            connection.execute(
                _ask(Account.provider == provider, Account.person_id.in_(part), condition)
            )


def _ask(*where: ColumnElement[bool]) -> Update:
    unasked = (LIVING, Account.lock_asked.is_(False))
    return update(Account).where(*where, *unasked).values(lock_asked=True)


def take(connection: Connection, provider: str, server: str) -> list[LockRow]:
    """Take the accounts that have to be looked at, a few at a time: nobody else gets them."""
    at = now()
    # An end that is too far away was written by a clock that was ahead.
    over = or_(Account.lock_until <= at, Account.lock_until > at + 2 * REST)
    free = or_(Account.lock_until.is_(None), over)
    left_over = and_(Account.lock_until.is_not(None), over)
    due = (
        Account.provider == provider,
        of_server(server),
        LIVING,
        free,
        or_(Account.lock_asked, left_over),
    )
    query = select(Account.person_id, Account.server_name).where(*due)
    rows = connection.execute(
        query.order_by(Account.person_id).limit(AT_ONCE).with_for_update(skip_locked=True)
    ).all()
    until = at + HELD_FOR
    found = []
    for person_id, server_name in rows:
        mine = _one(provider, server_name, person_id)
        taken = connection.execute(
            update(Account)
            .where(*mine)
            .values(lock_asked=False, lock_until=until)
            .returning(
                Account.remote_user_id, Account.made_user_id, Account.origin, Account.locked_at
            )
        ).one()
        ours = taken.origin == CREATED and taken.made_user_id == taken.remote_user_id
        user_id = taken.made_user_id or taken.remote_user_id
        found.append(
            LockRow(provider, server_name, person_id, user_id, ours, taken.locked_at, until)
        )
    return found


def remember(connection: Connection, row: LockRow, locked_at: datetime | None) -> bool:
    """Write down that commweb locks the account, before it does (or that it does not any more).
    False: the account is another one by now, or somebody else is at it."""
    same = or_(Account.made_user_id == row.user_id, Account.locked_at.is_not(None))
    changed = connection.execute(
        update(Account)
        .where(*_one(row.provider, row.server_name, row.person_id), same)
        .where(Account.lock_until == row.until)
        .values(locked_at=locked_at)
    )
    return changed.rowcount == 1


def done(connection: Connection, row: LockRow) -> None:
    """The account was looked at; what was asked meanwhile stays asked."""
    _give_back(connection, row)


def rest(connection: Connection, row: LockRow) -> None:
    """The server refused: it is asked again in a while."""
    mine = _one(row.provider, row.server_name, row.person_id)
    connection.execute(
        update(Account)
        .where(*mine, Account.lock_until == row.until)
        .values(lock_until=now() + REST)
    )


def put_back(connection: Connection, rows: Sequence[LockRow]) -> None:
    """These accounts were not looked at: they are still to be."""
    for row in rows:
        _give_back(connection, row, lock_asked=True)


def _give_back(connection: Connection, row: LockRow, **values: bool) -> None:
    connection.execute(
        update(Account)
        .where(*_one(row.provider, row.server_name, row.person_id))
        .where(Account.lock_until == row.until)
        .values(lock_until=None, **values)
    )


def _one(provider: str, server_name: str, person_id: str) -> tuple[ColumnElement[bool], ...]:
    return (
        Account.provider == provider,
        Account.server_name == server_name,
        Account.person_id == person_id,
    )
