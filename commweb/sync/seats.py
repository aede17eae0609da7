"""Which account each desired member uses: the identity chain with the rows behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from commweb.accounts import (
    CREATED,
    LINKED,
    AccountRecord,
    accounts,
    add_accounts,
    agreed,
    move_accounts,
    owners,
)
from commweb.host import Person
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.base import Backend
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.identity import Pick, Rules, name_of, wish
from commweb.sync.known import Seat, Target

__all__ = ["CHECKED_FOR", "Choices", "Seating"]

LONGEST_NAME = 255
CHECKED_FOR = timedelta(days=1)
"""How long an account that was looked at counts as known."""


@dataclass(frozen=True)
class Choices:
    """The account of each member of a room, and the rows to write for that."""

    picks: Mapping[str, Pick]
    known: Mapping[str, AccountRecord]
    added: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)

    @property
    def new(self) -> bool:
        """Whether there is anything to write."""
        return bool(self.added or self.moved)


@dataclass(frozen=True)
class Seating:
    """Chooses and seats for the rooms of one provider (its id)."""

    provider: str
    backend: Backend
    rules: Rules

    def choose(self, connection: Connection, desired: DesiredRoom) -> Choices:
        """Each member's account. Nothing is written."""
        people = [member.person for member in desired.members]
        known = accounts(connection, self.provider, (person.id for person in people))
        willing = self._willing(connection, people)
        rules, backend = self.rules, self.backend
        wishes = {
            p.id: wish(p, known.get(p.id), willing=p.id in willing, rules=rules, backend=backend)
            for p in people
        }
        picks = self._settled(connection, people, wishes)
        choices = Choices(picks, known)
        for person in people:
            row = self._row(person.id, picks[person.id], known.get(person.id))
            if row is not None:
                (choices.moved if person.id in known else choices.added).append(row)
        return choices

    def seat(self, connection: Connection | None, desired: DesiredRoom, choices: Choices) -> Target:
        """Store what is new and seat every member. ``connection``: a write transaction; None
        when nothing is new.

        Raises `KeyError` when somebody took one of the accounts at the same moment.
        """
        known = choices.known
        if connection is not None:
            add_accounts(connection, choices.added)
            move_accounts(connection, choices.moved)
            known = accounts(connection, self.provider, choices.picks)
        seats = []
        for member in desired.members:
            pick = choices.picks[member.person.id]
            seats.append(self._seat(member, pick, known.get(member.person.id)))
        return Target(desired, tuple(seats))

    def _willing(self, connection: Connection, people: list[Person]) -> frozenset[str]:
        """For whom an account may be made."""
        ids = frozenset(person.id for person in people)
        if self.rules.mode != "create" or not self.rules.ask_consent:
            return ids
        return agreed(connection, self.provider, ids)

    def _settled(
        self, connection: Connection, people: list[Person], wishes: Mapping[str, Pick]
    ) -> dict[str, Pick]:
        """The wishes, but no account for two people."""
        wanted = [wish.remote_user_id for wish in wishes.values() if wish.remote_user_id]
        used = owners(connection, self.provider, wanted)
        settled = {}
        for person in people:
            pick = wishes[person.id]
            if used.get(pick.remote_user_id or "", person.id) != person.id:
                pick = self._instead(connection, person, pick, used)
            if pick.remote_user_id is not None:
                used[pick.remote_user_id] = person.id
            settled[person.id] = pick
        return settled

    def _instead(
        self, connection: Connection, person: Person, pick: Pick, used: dict[str, str]
    ) -> Pick:
        """For an account that is somebody else's: another name, or none."""
        if pick.origin != CREATED:
            reason = _(
                "The account %(user)s belongs to another person already.", user=pick.remote_user_id
            )
            return Pick(None, reason=reason)
        name = name_of(person, self.rules) or person.username
        remote = pick.remote_user_id or ""
        while remote in used:
            remote = self.backend.identify(name, frozenset(used))
            used |= owners(connection, self.provider, [remote])
        return replace(pick, remote_user_id=remote)

    def _row(
        self, person_id: str, pick: Pick, record: AccountRecord | None
    ) -> dict[str, Any] | None:
        """What to write for the person; None: nothing."""
        if pick.remote_user_id is None:
            return None
        if record and (record.remote_user_id, record.origin) == (pick.remote_user_id, pick.origin):
            return None
        return {
            "provider": self.provider,
            "person_id": person_id,
            "remote_user_id": pick.remote_user_id,
            "origin": pick.origin,
            "display_name": "",
            "checked_at": None,
            "made_user_id": None,
        }

    def _seat(self, member: DesiredMember, pick: Pick, record: AccountRecord | None) -> Seat:
        person, create = member.person, self.rules.mode == "create"
        if pick.remote_user_id is None:
            plain = Seat(person.id, _shown(person), None, member.level)
            return replace(plain, reason=pick.reason)
        if record is None or record.remote_user_id != pick.remote_user_id:
            raise KeyError(person.id)
        ours = pick.origin == CREATED
        here = ours or self.backend.whereabouts(pick.remote_user_id) == "here"
        rename = ours and create
        return Seat(
            person_id=person.id,
            display_name=_shown(person),
            remote_user_id=pick.remote_user_id,
            level=member.level,
            account=_freshness(person, record, rename=rename),
            external_id=person.external_id,
            by_invitation=self.rules.mode == "invite" or not here,
            make=create and pick.origin != LINKED,
            rename=rename,
        )


def _shown(person: Person) -> str:
    """The name as far as databases and homeservers keep it."""
    return person.display_name[:LONGEST_NAME]


def _freshness(person: Person, record: AccountRecord, *, rename: bool) -> str:
    if record.checked_at is None:
        return "new" if rename else "stale"
    if rename and record.display_name != _shown(person):
        return "renamed"
    return "known" if now() - record.checked_at < CHECKED_FOR else "stale"
