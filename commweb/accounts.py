"""Whose remote account is whose: the rows of ``commweb_account``, and who agreed to have one.

An account belongs to one person only, whether it is the one in use or the one that commweb
created and that rests while another is used. ``server`` is the connected server's name. Every
function is part of the caller's transaction.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Connection, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from commweb import audit
from commweb.account_rows import (
    COLUMNS,
    AccountRecord,
    Owner,
    account_of,
    accounts,
    in_parts,
    of_person,
    of_server,
    owners,
)
from commweb.models import Account, AccountConsent, AccountProof, now
from commweb.places import look_again
from commweb.sync.choose_account import CLAIM, CREATED, LINKED, PROVEN, gives_way

__all__ = [
    "CLAIM",
    "OWN_LINKS",
    "RETIRED",
    "AccountRecord",
    "Owner",
    "account_of",
    "accounts",
    "agree",
    "agreed",
    "displace",
    "former",
    "link",
    "owners",
    "retire",
    "take",
    "unlink",
]

OWN_LINKS = (PROVEN, LINKED, CLAIM)
"""Where an account comes from that the person linked, and may unlink."""
RETIRED = "retired:"


def displace(
    connection: Connection, provider: str, person_id: str, remote_id: str, server: str = ""
) -> None:
    """The account is ``person_id``'s now: everybody else who has it goes back to the account that
    commweb created for them, or gets another one at the next sync."""
    others = connection.execute(
        select(Account.person_id, *COLUMNS).where(
            Account.provider == provider,
            Account.person_id != person_id,
            or_(Account.remote_user_id == remote_id, Account.made_user_id == remote_id),
            of_server(server),
        )
    ).all()
    for other_id, *values in others:
        record = AccountRecord(*values)
        own = of_person(provider, other_id, server).where(Account.server_name == record.server_name)
        if record.remote_user_id != remote_id:
            connection.execute(own.values(made_user_id=None))
        elif record.made_user_id not in (None, remote_id):
            connection.execute(own.values(**_back(record)))
        else:
            _drop(connection, provider, other_id, record.server_name)
        look_again(connection, provider, other_id)


def take(
    connection: Connection,
    provider: str,
    person_id: str,
    remote_id: str,
    *,
    server: str,
    origin: str,
) -> bool:
    """Whether the account can be the person's from ``origin``. Whoever has it by less gets another
    one."""
    owner = owners(connection, provider, [remote_id], server).get(remote_id)
    if owner is None or owner.person_id == person_id:
        return True
    if not gives_way(owner.source, origin):
        return False
    displace(connection, provider, person_id, remote_id, server)
    return True


def link(
    connection: Connection,
    provider: str,
    person_id: str,
    remote_id: str,
    *,
    server: str = "",
    origin: str = PROVEN,
) -> bool:
    """Use an account of the person's own. ``origin``: proven, or claim where proof is not asked
    for. False: it belongs to somebody else. Who had it by less than a proof gets another one."""
    values = {"remote_user_id": remote_id, "origin": origin, "checked_at": None}
    try:
        with connection.begin_nested():
            if not take(connection, provider, person_id, remote_id, server=server, origin=origin):
                return False
            done = connection.execute(of_person(provider, person_id, server).values(**values))
            if not done.rowcount:
                row = {"provider": provider, "person_id": person_id, "display_name": ""}
                connection.execute(insert(Account).values(**row, **values, server_name=server))
    except IntegrityError:  # somebody else linked it at the same moment
        return False
    _tell(connection, provider, person_id, "account.linked", account=remote_id)
    return True


def unlink(connection: Connection, provider: str, person_id: str, server: str = "") -> bool:
    """Use the linked account no more. False: none is linked."""
    record = account_of(connection, provider, person_id, server)
    if record is None or record.origin not in OWN_LINKS:
        return False
    if record.made_user_id:
        connection.execute(of_person(provider, person_id, server).values(**_back(record)))
    else:
        _drop(connection, provider, person_id, record.server_name)
    _tell(connection, provider, person_id, "account.unlinked", account=record.remote_user_id)
    return True


def retire(connection: Connection, person_id: str) -> None:
    """The person is gone: codes and consents go, and what was theirs is kept for nobody else.
    Somebody who gets the same person id later inherits nothing; somebody with the same external
    id is the same person (`former`)."""
    for model in (AccountProof, AccountConsent):
        connection.execute(delete(model).where(model.person_id == person_id))
    key = f"{RETIRED}{secrets.token_hex(8)}:{person_id}"[:255]
    connection.execute(
        update(Account)
        .where(Account.person_id == person_id, Account.retired_at.is_(None))
        .values(person_id=key, retired_at=now())
    )


def former(
    connection: Connection, provider: str, external_ids: Iterable[str], server: str = ""
) -> dict[str, tuple[str, AccountRecord]]:
    """Who had an account under these external ids, by external id, with that account. One that
    is retired is nobody's any more."""
    found: dict[str, tuple[str, AccountRecord]] = {}
    for part in in_parts(external_ids):
        rows = connection.execute(
            select(Account.person_id, *COLUMNS)
            .where(Account.provider == provider, Account.external_id.in_(part), of_server(server))
            .order_by(Account.retired_at.asc().nulls_last())
        )
        for person_id, *values in rows:
            record = AccountRecord(*values)
            found[record.external_id or ""] = (person_id, record)
    return found


def agree(connection: Connection, provider: str, person_id: str) -> None:
    """The person agrees that an account is created; agreeing again changes nothing."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(AccountConsent).on_conflict_do_nothing()
    values = {"provider": provider, "person_id": person_id, "agreed_at": now()}
    # Not every driver counts the rows of an INSERT.
    told = statement.values(**values).returning(AccountConsent.person_id)
    if connection.execute(told).first() is not None:
        _tell(connection, provider, person_id, "account.agreed")


def agreed(connection: Connection, provider: str, person_ids: Iterable[str]) -> frozenset[str]:
    """Which of these people agreed that an account is created for them."""
    found: set[str] = set()
    for part in in_parts(person_ids):
        found.update(
            connection.execute(
                select(AccountConsent.person_id).where(
                    AccountConsent.provider == provider, AccountConsent.person_id.in_(part)
                )
            ).scalars()
        )
    return frozenset(found)


def _back(record: AccountRecord) -> dict[str, Any]:
    """To the account that commweb created."""
    return {"remote_user_id": record.made_user_id, "origin": CREATED, "checked_at": None}


def _drop(connection: Connection, provider: str, person_id: str, server: str) -> None:
    connection.execute(
        delete(Account).where(
            Account.provider == provider,
            Account.person_id == person_id,
            Account.server_name == server,
        )
    )


def _tell(
    connection: Connection, provider: str, person_id: str, action: str, **detail: str
) -> None:
    """The audit event; and the person's rooms are to be synced."""
    audit.record(connection, actor=person_id, action=action, subject=provider, detail=detail)
    look_again(connection, provider, person_id)
