"""Which account each desired member uses: the identity chain, with the rows behind it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from commweb.models import now
from commweb.providers.base import Backend
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.records import AccountRecord, accounts, add_accounts, taken
from commweb.sync.standing import Seat, Target

__all__ = ["CHECKED_FOR", "new_accounts", "resolve"]

CHECKED_FOR = timedelta(days=1)
"""How long an account that was looked at counts as known."""


def new_accounts(
    connection: Connection, provider: str, desired: DesiredRoom, backend: Backend
) -> list[dict[str, Any]]:
    """Rows for members who have no account row yet: a linked id first, else one made from the
    user name that nobody has. Nothing is written."""
    known = accounts(connection, provider, (member.person.id for member in desired.members))
    missing = [member.person for member in desired.members if member.person.id not in known]
    candidates = {
        person.id: person.matrix_user_id or backend.identify(person.username, frozenset())
        for person in missing
    }
    used = set(taken(connection, provider, candidates.values()))
    rows = []
    for person in missing:
        remote = candidates[person.id]
        while remote in used:
            remote = backend.identify(person.username, frozenset(used))
            used |= taken(connection, provider, [remote])
        used.add(remote)
        rows.append(
            {
                "provider": provider,
                "person_id": person.id,
                "remote_user_id": remote,
                "origin": "linked" if remote == person.matrix_user_id else "created",
                "display_name": "",
                "checked_at": None,
            }
        )
    return rows


def resolve(
    connection: Connection, provider: str, desired: DesiredRoom, rows: Sequence[dict[str, Any]]
) -> Target:
    """Store the new account rows and seat every desired member.

    Raises `KeyError` when somebody else took one of the new remote ids at the same moment.
    """
    add_accounts(connection, rows)
    known = accounts(connection, provider, (member.person.id for member in desired.members))
    seats = tuple(_seat(member, known[member.person.id]) for member in desired.members)
    return Target(desired, seats)


def _seat(member: DesiredMember, account: AccountRecord) -> Seat:
    return Seat(
        person_id=member.person.id,
        display_name=member.person.display_name,
        remote_user_id=account.remote_user_id,
        level=member.level,
        account=_freshness(member, account),
        external_id=member.person.external_id,
    )


def _freshness(member: DesiredMember, account: AccountRecord) -> str:
    if account.checked_at is None:
        return "new" if account.origin == "created" else "stale"
    if account.origin == "created" and account.display_name != member.person.display_name:
        return "renamed"
    return "known" if now() - account.checked_at < CHECKED_FOR else "stale"
