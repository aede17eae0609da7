"""Accounts that people got for their name alone, before commweb asked whose an account is.

They keep their seats until an administrator decides: keep them, or ask for a proof. Every function
is part of the caller's transaction.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, select, update

from commweb import audit
from commweb.account_rows import in_parts, of_server
from commweb.models import Account, MemberRow, RoomRow, now
from commweb.places import look_again
from commweb.sync.choose_account import CREATED, NAMED, TRUSTED_NAME

__all__ = ["Taken", "ask_for_proof", "count_taken", "keep", "key_of", "rooms_with", "taken_by_name"]


@dataclass(frozen=True)
class Taken:
    """A person and the account they got for their name."""

    person_id: str
    name: str
    remote_user_id: str


def taken_by_name(connection: Connection, provider: str, server: str = "") -> list[Taken]:
    """All of them, by name."""
    columns = (Account.person_id, Account.display_name, Account.remote_user_id)
    rows = connection.execute(
        select(*columns)
        .where(_taken(provider, server))
        .order_by(Account.display_name, Account.person_id)
    )
    return [Taken(*row) for row in rows]


def count_taken(connection: Connection, provider: str, server: str = "") -> int:
    """How many there are."""
    query = select(func.count()).select_from(Account).where(_taken(provider, server))
    return connection.execute(query).scalar_one()


def key_of(taken: Sequence[Taken]) -> str:
    """Names these accounts, so that an answer counts for those that were shown only."""
    text = "\0".join(sorted(f"{one.person_id}\0{one.remote_user_id}" for one in taken))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def rooms_with(connection: Connection, provider: str, taken: Sequence[Taken]) -> int:
    """In how many rooms these people are."""
    return len(_rooms(connection, provider, taken))


def keep(connection: Connection, provider: str, server: str, *, key: str, actor: str) -> int | None:
    """The accounts stay theirs; how many. None: others than ``key`` names are there now."""
    return _decide(connection, provider, server, key=key, actor=actor, origin=TRUSTED_NAME)


def ask_for_proof(
    connection: Connection, provider: str, server: str, *, key: str, actor: str
) -> int | None:
    """The people leave their rooms until they prove the account; how many. None: others than
    ``key`` names are there now. It is confirmed by that for these people, and for nobody else."""
    taken = taken_by_name(connection, provider, server)
    count = _decide(connection, provider, server, key=key, actor=actor, origin=NAMED)
    if count is None:
        return None
    for room_id, people in sorted(_rooms(connection, provider, taken).items()):
        mine = RoomRow.id == room_id
        before = connection.execute(select(RoomRow.confirmed_people).where(mine)).scalar() or []
        confirmed = sorted({*before, *people})
        connection.execute(update(RoomRow).where(mine).values(confirmed_people=confirmed))
    for one in sorted(taken, key=lambda one: one.person_id):
        look_again(connection, provider, one.person_id)
    return count


def _decide(
    connection: Connection, provider: str, server: str, *, key: str, actor: str, origin: str
) -> int | None:
    taken = taken_by_name(connection, provider, server)
    if not taken or key_of(taken) != key:
        return None
    connection.execute(
        update(Account).where(_taken(provider, server)).values(origin=origin, checked_at=now())
    )
    action = "accounts.kept" if origin == TRUSTED_NAME else "accounts.proof_asked"
    detail = {"people": [one.person_id for one in taken]}
    audit.record(connection, actor=actor, action=action, subject=provider, detail=detail)
    return len(taken)


def _rooms(connection: Connection, provider: str, taken: Sequence[Taken]) -> dict[int, set[str]]:
    """Which of these people are in which room."""
    found: defaultdict[int, set[str]] = defaultdict(set)
    for part in in_parts(one.person_id for one in taken):
        rows = connection.execute(
            select(MemberRow.room_id, MemberRow.person_id)
            .join(RoomRow, RoomRow.id == MemberRow.room_id)
            .where(
                RoomRow.provider == provider,
                MemberRow.person_id.in_(part),
                MemberRow.state.in_(("in", "invited", "adding")),
            )
        )
        for room_id, person_id in rows:
            found[room_id].add(person_id)
    return found


def _taken(provider: str, server: str) -> ColumnElement[bool]:
    """As `commweb.account_rows.AccountRecord.by_name_before` says of one."""
    return and_(
        Account.provider == provider,
        of_server(server),
        Account.origin == CREATED,
        Account.made_user_id.is_(None),
        Account.intended_at.is_(None),
        Account.checked_at.is_not(None),
        Account.retired_at.is_(None),
    )
