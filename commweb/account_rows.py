"""The rows of ``commweb_account``: who has which remote account, read and written in bulk.

Rows are of one server: ``server`` is the connected server's name, and a row without one counts as
that server's. Every function is part of the caller's transaction.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    String,
    Update,
    and_,
    bindparam,
    case,
    false,
    func,
    not_,
    null,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from commweb.models import Account, PastAccount, now
from commweb.providers.rooms import AccountFacts
from commweb.sync.choose_account import (
    CLAIM,
    CREATED,
    INTENDED,
    NAMED,
    PROVEN,
    REFUSED,
    TRUSTED_NAME,
)

__all__ = [
    "COLUMNS",
    "AccountRecord",
    "Owner",
    "account_of",
    "accounts",
    "add_accounts",
    "adopt",
    "found_out",
    "in_parts",
    "looked_again",
    "move_accounts",
    "name_server",
    "note_external_ids",
    "of_person",
    "of_server",
    "owners",
    "proven_elsewhere",
    "store_accounts",
]

AT_ONCE = 500


@dataclass(frozen=True)
class AccountRecord:
    """A person's remote account: see ``commweb_account``."""

    remote_user_id: str
    origin: str
    display_name: str
    checked_at: datetime | None
    made_user_id: str | None = None
    external_id: str | None = None
    intended_at: datetime | None = None
    server_name: str = ""
    retired_at: datetime | None = None

    @property
    def source(self) -> str:
        """Where the account in use comes from, as `commweb.sync.choose_account` calls it."""
        if self.origin != CREATED:
            return self.origin
        if self.made_user_id == self.remote_user_id:
            return CREATED
        return TRUSTED_NAME if self.by_name_before else INTENDED

    @property
    def by_name_before(self) -> bool:
        """Whether it was taken for its name alone, before commweb asked whose it is."""
        never_meant = self.intended_at is None and self.made_user_id is None
        return self.origin == CREATED and never_meant and self.checked_at is not None

    def source_of(self, remote_id: str) -> str:
        """Where ``remote_id`` comes from, which is the account in use or the one at rest."""
        return self.source if remote_id == self.remote_user_id else CREATED


@dataclass(frozen=True)
class Owner:
    """Who has an account here, and where from."""

    person_id: str
    source: str


COLUMNS = [getattr(Account, name) for name in AccountRecord.__dataclass_fields__]


def of_server(server: str) -> ColumnElement[bool]:
    """The rows that count as those of the server."""
    return Account.server_name.in_(sorted({"", server}))


def accounts(
    connection: Connection, provider: str, person_ids: Iterable[str], server: str = ""
) -> dict[str, AccountRecord]:
    """The accounts of these people on the server, by person id."""
    found: dict[str, AccountRecord] = {}
    for part in in_parts(person_ids):
        rows = connection.execute(
            select(Account.person_id, *COLUMNS)
            .where(Account.provider == provider, Account.person_id.in_(part), of_server(server))
            .order_by(Account.server_name)  # a row of the server itself comes last, and counts
        )
        found.update({row[0]: AccountRecord(*row[1:]) for row in rows})
    return found


def account_of(
    connection: Connection, provider: str, person_id: str, server: str = ""
) -> AccountRecord | None:
    """The person's account; None: there is none yet."""
    return accounts(connection, provider, [person_id], server).get(person_id)


def owners(
    connection: Connection, provider: str, remote_ids: Iterable[str], server: str = ""
) -> dict[str, Owner]:
    """Who has these accounts, in use or at rest; an account that nobody has is not in it. People
    who are gone keep theirs."""
    found: dict[str, Owner] = {}
    for part in in_parts(remote_ids):
        for column in (Account.made_user_id, Account.remote_user_id):
            rows = connection.execute(
                select(column, Account.person_id, *COLUMNS).where(
                    Account.provider == provider, column.in_(part), of_server(server)
                )
            )
            for remote_id, person_id, *values in rows:
                record = AccountRecord(*values)
                found[str(remote_id)] = Owner(person_id, record.source_of(str(remote_id)))
    return found


def add_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert accounts; a person or a remote id that has a row meanwhile is left alone. In the
    order of the people: two rooms with the same people would else wait for each other."""
    if rows:
        dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
        statement = dialect.insert(Account).on_conflict_do_nothing()
        connection.execute(statement, [dict(row) for row in sorted(rows, key=_person_of)])


def move_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Give people with a row another account. Nothing is done for somebody who proved one
    meanwhile, nor for a remote id that somebody else uses meanwhile."""
    other = Account.__table__.alias()
    for row in sorted(rows, key=_person_of):
        provider, server, remote = row["provider"], row["server_name"], row["remote_user_id"]
        used = select(other.c.person_id).where(
            other.c.provider == provider,
            other.c.remote_user_id == remote,
            other.c.server_name.in_(sorted({"", server})),
            other.c.person_id != row["person_id"],
        )
        connection.execute(
            of_person(provider, row["person_id"], server)
            .where(Account.origin != PROVEN, Account.remote_user_id != remote, ~used.exists())
            .values(
                remote_user_id=remote,
                origin=row["origin"],
                intended_at=row["intended_at"],
                checked_at=None,
            )
        )
        # The same account from another source stays as it was looked at.
        connection.execute(
            of_person(provider, row["person_id"], server)
            .where(Account.origin != PROVEN, Account.remote_user_id == remote)
            .values(
                origin=row["origin"],
                intended_at=func.coalesce(Account.intended_at, row["intended_at"]),
            )
        )


def note_external_ids(
    connection: Connection, provider: str, ids: Mapping[str, str], server: str = ""
) -> None:
    """Remember people's external ids, by person id."""
    for person_id in sorted(ids):
        connection.execute(
            of_person(provider, person_id, server).values(external_id=ids[person_id])
        )


def found_out(
    provider: str, person_id: str, asked_id: str, shown: str, facts: AccountFacts
) -> dict[str, Any]:
    """The row for `store_accounts` that keeps what a provider found out about ``asked_id``.
    ``shown``: the display name that the person should have."""
    ours = facts.made or facts.origin == CREATED
    # What has to be looked at again before it is used does not count as looked at.
    settled = facts.usable or facts.origin in (NAMED, REFUSED)
    return {
        "provider": provider,
        "person_id": person_id,
        "remote_user_id": asked_id,
        "display_name": shown if facts.usable else None,
        "checked_at": now() if settled else None,
        "made_user_id": asked_id if ours else None,
        "origin": facts.origin if not facts.made else None,
        "instead": facts.remote_user_id if facts.remote_user_id != asked_id else None,
    }


def store_accounts(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """What was found out about accounts. A person who has another account by now is left
    alone. None for ``made_user_id``, ``origin`` or ``display_name`` keeps what is stored;
    ``instead`` is another account that is the person's, if nobody has it."""
    for row in rows:
        if row.get("instead"):
            _exchange(connection, row)
    rows = [row for row in rows if not row.get("instead")]
    if not rows:
        return
    connection.execute(
        _storing(),
        [
            {
                "of_provider": row["provider"],
                "of_person_id": row["person_id"],
                "of_remote": row["remote_user_id"],
                "shown": row["display_name"],
                "at": row["checked_at"],
                "made": row["made_user_id"],
                "source": row.get("origin") or None,
            }
            for row in rows
        ],
    )


def _may_be_judged(source: ColumnElement[Any]) -> ColumnElement[bool]:
    """Whether what was found out may change where the account comes from: not for one that was
    linked meanwhile, and not against the one that commweb created."""
    ours = Account.made_user_id == Account.remote_user_id
    # Not by in_(), which cannot be used for many rows at once.
    against = and_(ours, or_(source == NAMED, source == REFUSED))
    by_name = or_(*(Account.origin == one for one in (CREATED, NAMED, REFUSED)))
    no_more = and_(Account.origin == TRUSTED_NAME, source == NAMED)
    judged = and_(by_name, not_(func.coalesce(against, false())))
    return and_(source.is_not(None), or_(judged, no_more))


def _exchange(connection: Connection, row: Mapping[str, Any]) -> None:
    """Another account takes the place of the one that was meant."""
    other = Account.__table__.alias()
    used = select(other.c.person_id).where(
        other.c.provider == row["provider"],
        or_(other.c.remote_user_id == row["instead"], other.c.made_user_id == row["instead"]),
    )
    connection.execute(
        update(Account)
        .where(
            Account.provider == row["provider"],
            Account.person_id == row["person_id"],
            Account.remote_user_id == row["remote_user_id"],
            Account.origin != PROVEN,
            ~used.exists(),
        )
        .values(remote_user_id=row["instead"], origin=row["origin"], checked_at=None)
    )


@lru_cache
def _storing() -> Update:
    """Putting the statement together costs more than running it."""
    source = bindparam("source", type_=String)
    return (
        update(Account)
        .where(
            Account.provider == bindparam("of_provider"),
            Account.person_id == bindparam("of_person_id"),
            Account.remote_user_id == bindparam("of_remote"),
        )
        .values(
            display_name=func.coalesce(bindparam("shown", type_=String), Account.display_name),
            # A claim that turned out to be somebody else's is looked at again before it is used.
            checked_at=case(
                (and_(Account.origin == CLAIM, func.coalesce(source, "") == NAMED), null()),
                else_=bindparam("at", type_=Account.checked_at.type),
            ),
            made_user_id=func.coalesce(bindparam("made", type_=String), Account.made_user_id),
            origin=case((_may_be_judged(source), source), else_=Account.origin),
        )
    )


def adopt(
    connection: Connection, provider: str, old_id: str, person_id: str, server: str = ""
) -> None:
    """The person who was ``old_id`` is ``person_id`` now."""
    connection.execute(
        of_person(provider, old_id, server).values(
            person_id=person_id,
            retired_at=None,
            checked_at=None,
            lock_asked=Account.locked_at.is_not(None),
        )
    )


def looked_again(
    connection: Connection, provider: str, person_ids: Iterable[str], server: str = ""
) -> None:
    """These people's accounts, which have their name or are claimed, were looked at just now and
    are as they were."""
    for part in in_parts(person_ids):
        connection.execute(
            update(Account)
            .where(
                Account.provider == provider,
                Account.person_id.in_(part),
                Account.origin.in_((NAMED, CLAIM)),
                of_server(server),
            )
            .values(checked_at=now())
        )


def proven_elsewhere(
    connection: Connection, provider: str, room_id: int | None, server: str = ""
) -> frozenset[str]:
    """The accounts that were put into the room for one person and are proven to be another's."""
    if room_id is None:
        return frozenset()
    statement = (
        select(PastAccount.remote_user_id)
        .join(Account, Account.remote_user_id == PastAccount.remote_user_id)
        .where(
            PastAccount.room_id == room_id,
            Account.provider == provider,
            Account.person_id != PastAccount.person_id,
            Account.origin == PROVEN,
            of_server(server),
        )
    )
    return frozenset(connection.execute(statement).scalars())


def name_server(
    connection: Connection, provider: str, person_ids: Iterable[str], server: str
) -> None:
    """These people's rows without a server are the connected server's, from now on."""
    for part in in_parts(person_ids):
        connection.execute(
            update(Account)
            .where(
                Account.provider == provider,
                Account.person_id.in_(part),
                Account.server_name == "",
            )
            .values(server_name=server)
        )


def _person_of(row: Mapping[str, Any]) -> str:
    return str(row["person_id"])


def of_person(provider: str, person_id: str, server: str) -> Update:
    return update(Account).where(
        Account.provider == provider, Account.person_id == person_id, of_server(server)
    )


def in_parts(ids: Iterable[str]) -> Iterable[list[str]]:
    ordered = sorted(set(ids))
    for start in range(0, len(ordered), AT_ONCE):
        yield ordered[start : start + AT_ONCE]
