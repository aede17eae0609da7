"""Whose remote account is whose: the rows of ``commweb_account``, and who agreed to have one.

An account belongs to one person only, whether it is the one in use or the one that commweb made
and that rests while another is used. Every function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    String,
    Update,
    bindparam,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from commweb import audit
from commweb.models import Account, AccountConsent, now
from commweb.places import look_again

__all__ = [
    "CREATED",
    "HOST",
    "LINKED",
    "AccountRecord",
    "account_of",
    "accounts",
    "add_accounts",
    "agree",
    "agreed",
    "link",
    "move_accounts",
    "owners",
    "store_accounts",
    "unlink",
]

LINKED = "linked"
HOST = "host"
CREATED = "created"
AT_ONCE = 500


@dataclass(frozen=True)
class AccountRecord:
    """A person's remote account: see ``commweb_account``."""

    remote_user_id: str
    origin: str
    display_name: str
    checked_at: datetime | None
    made_user_id: str | None = None


_COLUMNS = [getattr(Account, name) for name in AccountRecord.__dataclass_fields__]


def accounts(
    connection: Connection, provider: str, person_ids: Iterable[str]
) -> dict[str, AccountRecord]:
    """The accounts of these people, by person id."""
    found: dict[str, AccountRecord] = {}
    for part in _parts(person_ids):
        rows = connection.execute(
            select(Account.person_id, *_COLUMNS).where(
                Account.provider == provider, Account.person_id.in_(part)
            )
        )
        found.update({row[0]: AccountRecord(*row[1:]) for row in rows})
    return found


def account_of(connection: Connection, provider: str, person_id: str) -> AccountRecord | None:
    """The person's account; None: there is none yet."""
    return accounts(connection, provider, [person_id]).get(person_id)


def owners(connection: Connection, provider: str, remote_ids: Iterable[str]) -> dict[str, str]:
    """Whose these remote ids are, by remote id; what belongs to nobody is not in it."""
    found: dict[str, str] = {}
    for part in _parts(remote_ids):
        for column in (Account.made_user_id, Account.remote_user_id):
            rows = connection.execute(
                select(column, Account.person_id).where(
                    Account.provider == provider, column.in_(part)
                )
            )
            found.update({str(row[0]): row[1] for row in rows})
    return found


def add_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert accounts; a person or a remote id that has a row meanwhile is left alone. In the
    order of the people: two rooms with the same people would else wait for each other."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(Account).on_conflict_do_nothing()
        connection.execute(statement, [dict(row) for row in sorted(rows, key=_person_of)])


def move_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give people with a row another account. Nothing is done for somebody who linked one
    meanwhile, nor for a remote id that somebody else uses meanwhile."""
    other = aliased(Account)
    for row in sorted(rows, key=_person_of):
        used = select(other.person_id).where(
            other.provider == row["provider"], other.remote_user_id == row["remote_user_id"]
        )
        connection.execute(
            _of(row["provider"], row["person_id"])
            .where(Account.origin != LINKED, ~used.exists())
            .values(remote_user_id=row["remote_user_id"], origin=row["origin"], checked_at=None)
        )
        # The same account from another source stays as it was looked at.
        connection.execute(
            _of(row["provider"], row["person_id"])
            .where(Account.origin != LINKED, Account.remote_user_id == row["remote_user_id"])
            .values(origin=row["origin"])
        )


def store_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """What was found out about accounts. A person who has another account by now is left
    alone. ``made_user_id`` None keeps what is stored."""
    if not rows:
        return
    connection.execute(
        _storing(),
        [
            {
                "of_provider": row["provider"],
                "of_person": row["person_id"],
                "of_remote": row["remote_user_id"],
                "shown": row["display_name"],
                "at": row["checked_at"],
                "made": row["made_user_id"],
            }
            for row in rows
        ],
    )


@lru_cache
def _storing() -> Update:
    """Putting the statement together costs more than running it."""
    return (
        update(Account)
        .where(
            Account.provider == bindparam("of_provider"),
            Account.person_id == bindparam("of_person"),
            Account.remote_user_id == bindparam("of_remote"),
        )
        .values(
            display_name=bindparam("shown"),
            checked_at=bindparam("at"),
            made_user_id=func.coalesce(bindparam("made", type_=String), Account.made_user_id),
        )
    )


def link(connection: Connection, provider: str, person_id: str, remote_id: str) -> bool:
    """Use an account of the person's own. False: it belongs to somebody else."""
    if owners(connection, provider, [remote_id]).get(remote_id, person_id) != person_id:
        return False
    values = {"remote_user_id": remote_id, "origin": LINKED, "checked_at": None}
    try:
        with connection.begin_nested():
            done = connection.execute(_of(provider, person_id).values(**values))
            if not done.rowcount:
                row = {"provider": provider, "person_id": person_id, "display_name": ""}
                connection.execute(insert(Account).values(**row, **values))
    except IntegrityError:  # somebody else linked it at the same moment
        return False
    _tell(connection, provider, person_id, "account.linked", account=remote_id)
    return True


def unlink(connection: Connection, provider: str, person_id: str) -> bool:
    """Use the linked account no more. False: none is linked."""
    record = account_of(connection, provider, person_id)
    if record is None or record.origin != LINKED:
        return False
    if record.made_user_id:
        values = {"remote_user_id": record.made_user_id, "origin": CREATED, "checked_at": None}
        connection.execute(_of(provider, person_id).values(**values))
    else:
        connection.execute(
            delete(Account).where(Account.provider == provider, Account.person_id == person_id)
        )
    _tell(connection, provider, person_id, "account.unlinked", account=record.remote_user_id)
    return True


def agree(connection: Connection, provider: str, person_id: str) -> None:
    """The person agrees that an account is made; agreeing again changes nothing."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(AccountConsent).on_conflict_do_nothing()
    values = {"provider": provider, "person_id": person_id, "agreed_at": now()}
    # Not every driver counts the rows of an INSERT.
    told = statement.values(**values).returning(AccountConsent.person_id)
    if connection.execute(told).first() is not None:
        _tell(connection, provider, person_id, "account.agreed")


def agreed(connection: Connection, provider: str, person_ids: Iterable[str]) -> frozenset[str]:
    """Which of these people agreed that an account is made for them."""
    found: set[str] = set()
    for part in _parts(person_ids):
        found.update(
            connection.execute(
                select(AccountConsent.person_id).where(
                    AccountConsent.provider == provider, AccountConsent.person_id.in_(part)
                )
            ).scalars()
        )
    return frozenset(found)


def _person_of(row: Mapping[str, Any]) -> str:
    return str(row["person_id"])


def _of(provider: str, person_id: str) -> Update:
    return update(Account).where(Account.provider == provider, Account.person_id == person_id)


def _tell(
    connection: Connection, provider: str, person_id: str, action: str, **detail: str
) -> None:
    """The audit event; and the person's rooms are to be looked at."""
    audit.record(connection, actor=person_id, action=action, subject=provider, detail=detail)
    look_again(connection, provider, person_id)


def _parts(ids: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
