"""Which account each desired member uses: `choose_account` with the rows behind it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from commweb.account_rows import (
    AccountRecord,
    Owner,
    accounts,
    add_accounts,
    adopt,
    looked_again,
    move_accounts,
    name_server,
    note_external_ids,
    owners,
    proven_elsewhere,
)
from commweb.accounts import agreed, displace, former, retire
from commweb.clocks import SLACK
from commweb.database import Database
from commweb.encryption import Sealer
from commweb.erased import ERASED, erased
from commweb.errors import Unreachable
from commweb.host import Person
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.base import Backend
from commweb.servers import require_connected
from commweb.sync.account_choices import Choices, Learned
from commweb.sync.choose_account import (
    CLAIM,
    CREATED,
    INTENDED,
    LINKED,
    NAMED,
    PROVEN,
    TRUSTED_NAME,
    Candidate,
    Choice,
    choose_account,
)
from commweb.sync.desired import DesiredMember, DesiredRoom
from commweb.sync.identity import (
    Knowledge,
    Rules,
    best_rank,
    candidates,
    facts_of,
    free_name,
    host_named,
    is_another_person,
    is_there,
    replaces_one_that_works,
    still_good,
    waits,
)
from commweb.sync.known import Seat, Target
from commweb.sync.marking import forget_choices
from commweb.sync.questions import Questions

__all__ = ["CHECKED_FOR", "Seating"]

LONGEST_NAME = 255
TRIES = 6
CHECKED_FOR = timedelta(days=1)
"""How long an account that was looked at counts as known."""


@dataclass(frozen=True)
class Seating:
    """Chooses and seats for the rooms of one provider (its id). ``is_gone`` asks the host whether
    it no longer has a person, for the old id of somebody with the same external id. ``sealer``
    opens the key by which accounts of erased people are known."""

    provider: str
    backend: Backend
    rules: Rules
    is_gone: Callable[[str], bool] = lambda _person_id: False
    sealer: Sealer | None = None

    def target(
        self, database: Database, desired: DesiredRoom, room_id: int | None = None
    ) -> Target:
        """Everybody's seat; what is new is stored first. Asks the server about accounts that
        would replace one that works. Raises `ProviderError`."""
        learned, questions = Learned(), Questions(self.backend)
        for _attempt in range(TRIES):
            with database.read() as connection:
                choices = self.choose(connection, desired, learned, room_id)
            if self._learns(choices, learned, questions):
                continue
            if not choices.new:
                return self.seat(None, desired, choices)
            try:
                with database.write() as connection:
                    return self.seat(connection, desired, choices)
            except KeyError:
                continue  # another room took the same new name; look again
        raise Unreachable(_("The members' accounts are being created elsewhere; trying again."))

    def _learns(self, choices: Choices, learned: Learned, questions: Questions) -> bool:
        """Ask what has to be known first; whether anything was asked."""
        doubtful = sorted(choices.doubtful - set(learned.found))
        absent = sorted(choices.absent - set(learned.gone))
        learned.found.update({one: questions.account(one) for one in doubtful})
        learned.gone.update({one: self.is_gone(one) for one in absent})
        return bool(doubtful or absent)

    def choose(
        self,
        connection: Connection,
        desired: DesiredRoom,
        learned: Learned | None = None,
        room_id: int | None = None,
    ) -> Choices:
        """Each member's account. Nothing is written."""
        learned = learned or Learned()
        provider, server = self.provider, self.backend.server_name
        rules, backend = self.rules, self.backend
        people = {member.person.id: member.person for member in desired.members}
        records = accounts(connection, provider, people, server)
        replaced = [
            key
            for key, row in records.items()
            if is_another_person(people[key], row, rules, backend)
        ]
        records = {key: row for key, row in records.items() if key not in replaced}
        former_ids = self._former(connection, people, records)
        known = dict(records)
        adopted = []
        for key, (old, row) in former_ids.items():
            if row.retired_at is not None or learned.gone.get(old):
                known[key] = row
                adopted.append((key, old))
        knowledge = self._knowledge(connection, people, known, learned)
        picks, displaced = self._settled(connection, knowledge, {old: key for key, old in adopted})
        choices = Choices(
            picks,
            known,
            displaced=displaced,
            adopted=adopted,
            replaced=replaced,
            without_server=[key for key in records if server and not records[key].server_name],
            doubtful=frozenset(self._doubtful(picks, knowledge)),
            absent=frozenset(old for old, row in former_ids.values() if row.retired_at is None),
            foreign=proven_elsewhere(connection, provider, room_id, server),
        )
        for key, person in people.items():
            self._note(choices, person, known.get(key), learned)
        return choices

    def _former(
        self,
        connection: Connection,
        people: Mapping[str, Person],
        records: Mapping[str, AccountRecord],
    ) -> dict[str, tuple[str, AccountRecord]]:
        """For people without an account: who had one under their external id."""
        wanted = {one.external_id: key for key, one in people.items() if key not in records}
        ids = [external_id for external_id in wanted if external_id]
        found = former(connection, self.provider, ids, self.backend.server_name) if ids else {}
        return {
            wanted[external_id]: one for external_id, one in found.items() if one[0] not in people
        }

    def _knowledge(
        self,
        connection: Connection,
        people: Mapping[str, Person],
        known: Mapping[str, AccountRecord],
        learned: Learned,
    ) -> list[Knowledge]:
        willing = self._willing(connection, people)
        named = {key: host_named(person, self.provider) for key, person in people.items()}
        count = Counter(named.values())
        return [
            Knowledge(
                person,
                known.get(key),
                willing=key in willing or is_there(known.get(key)),
                named=named[key],
                shared=count[named[key]] - 1,
                found=learned.found,
            )
            for key, person in people.items()
        ]

    def _willing(self, connection: Connection, people: Mapping[str, Person]) -> frozenset[str]:
        """For whom an account may be created."""
        if self.rules.mode != "create" or not self.rules.ask_consent:
            return frozenset(people)
        return agreed(connection, self.provider, people)

    def _settled(
        self, connection: Connection, knowledge: list[Knowledge], adopted: Mapping[str, str]
    ) -> tuple[dict[str, Choice], list[tuple[str, str]]]:
        """Everybody's choice, no account for two people: those with the better right come first.
        And who gets an account that somebody else had by a guess. ``adopted``: who is whom now."""
        server = self.backend.server_name

        def owned(ids: Collection[str]) -> dict[str, Owner]:
            found = owners(connection, self.provider, ids, server)
            if self.sealer is not None:
                gone = erased(connection, self.sealer, self.provider, ids, server)
                found |= {one: Owner(ERASED, CREATED) for one in gone - set(found)}
            return {
                remote_id: replace(one, person_id=adopted.get(one.person_id, one.person_id))
                for remote_id, one in found.items()
            }

        found = {one.person.id: candidates(one, self.rules, self.backend) for one in knowledge}
        ids = {candidate.user_id for each in found.values() for candidate in each}
        used = owned(ids)
        picks: dict[str, Choice] = {}
        displaced = []
        for one in sorted(
            knowledge, key=lambda one: (best_rank(found[one.person.id]), one.person.id)
        ):
            name = self._name(one, used, owned)
            choice = self._choice(replace(one, name=name), found[one.person.id], used)
            if choice.user_id is not None:
                used[choice.user_id] = Owner(one.person.id, choice.origin)
                if choice.takes_from:
                    displaced.append((one.person.id, choice.user_id))
            picks[one.person.id] = choice
        return picks, displaced

    def _name(
        self,
        known: Knowledge,
        used: dict[str, Owner],
        owned: Callable[[Collection[str]], dict[str, Owner]],
    ) -> str | None:
        """A name for a new account, which nobody has here."""

        def is_free(remote_id: str) -> bool:
            if remote_id not in used:
                used.update(owned([remote_id]))
            owner = used.get(remote_id)
            return remote_id != self.backend.own_id and (
                owner is None or owner.person_id == known.person.id
            )

        return free_name(known, self.rules, self.backend, is_free)

    def _choice(
        self, known: Knowledge, found: tuple[Candidate, ...], used: Mapping[str, Owner]
    ) -> Choice:
        waiting, own_id = waits(known, self.rules), self.backend.own_id
        return choose_account(facts_of(known, found, used, self.rules, own_id, waiting=waiting))

    def _doubtful(self, picks: Mapping[str, Choice], knowledge: list[Knowledge]) -> Iterator[str]:
        """What the host names in place of an account that works; and accounts that had a person's
        name, or were claimed, when they were last looked at, long ago."""
        for known in knowledge:
            record, pick = known.record, picks[known.person.id]
            if record is None:
                continue
            if record.origin in (NAMED, CLAIM) and not _fresh(record):
                yield record.remote_user_id
            if pick.user_id and replaces_one_that_works(record, pick):
                yield pick.user_id

    def _note(
        self, choices: Choices, person: Person, record: AccountRecord | None, learned: Learned
    ) -> None:
        """What to write for the person."""
        row = self._row(person, choices.picks[person.id], record)
        if row is not None:
            (choices.moved if record else choices.added).append(row)
        if record and person.external_id and record.external_id != person.external_id:
            choices.external_ids[person.id] = person.external_id
        found = learned.found.get(record.remote_user_id) if record else None
        if record and found and (record.origin == NAMED or still_good(record, found)):
            choices.looked_again.append(person.id)

    def _row(
        self, person: Person, pick: Choice, record: AccountRecord | None
    ) -> dict[str, Any] | None:
        """The account to write for the person; None: it is stored so."""
        if pick.user_id is None:
            return None
        meant = pick.origin != INTENDED or (record is not None and record.intended_at is not None)
        same = record and (record.remote_user_id, record.source) == (pick.user_id, pick.origin)
        if same and meant:
            return None
        return {
            "provider": self.provider,
            "server_name": self.backend.server_name,
            "person_id": person.id,
            "remote_user_id": pick.user_id,
            "origin": CREATED if pick.origin == INTENDED else pick.origin,
            "display_name": "",
            "checked_at": None,
            "made_user_id": None,
            "external_id": person.external_id or None,
            "intended_at": now(),
        }

    def seat(self, connection: Connection | None, desired: DesiredRoom, choices: Choices) -> Target:
        """Store what is new and seat every member. ``connection``: a write transaction; None
        when nothing is new.

        Raises `KeyError` when somebody took one of the accounts at the same moment.
        """
        known = choices.known
        if connection is not None:
            require_connected(connection, self.provider, self.backend.server_name)
            self._store(connection, choices)
            known = accounts(connection, self.provider, choices.picks, self.backend.server_name)
        seats = tuple(
            self._seat(member, choices.picks[member.person.id], known.get(member.person.id))
            for member in desired.members
        )
        return Target(desired, seats, choices.foreign, frozenset(choices.replaced))

    def _store(self, connection: Connection, choices: Choices) -> None:
        provider, server = self.provider, self.backend.server_name
        for person_id in choices.replaced:
            retire(connection, person_id)
        for person_id, old_id in choices.adopted:
            adopt(connection, provider, old_id, person_id, server)
        if choices.without_server:
            name_server(connection, provider, choices.without_server, server)
        for person_id, remote_id in choices.displaced:
            displace(connection, provider, person_id, remote_id, server)
        # Who lost the row to somebody else's better right gets a new one.
        add_accounts(connection, [*choices.added, *choices.moved])
        move_accounts(connection, choices.moved)
        note_external_ids(connection, provider, choices.external_ids, server)
        looked_again(connection, provider, choices.looked_again, server)
        forget_choices(connection, choices.replaced)

    def _seat(self, member: DesiredMember, pick: Choice, record: AccountRecord | None) -> Seat:
        person, create = member.person, self.rules.mode == "create"
        if pick.user_id is None:
            return replace(Seat(person.id, _shown(person), None, member.level), reason=pick.reason)
        if record is None or record.remote_user_id != pick.user_id:
            raise KeyError(person.id)
        new = pick.origin == INTENDED
        here = new or self.backend.whereabouts(pick.user_id) == "here"
        rename = create and (new or record.made_user_id == pick.user_id)
        make = create and pick.origin not in (PROVEN, LINKED, CLAIM)
        intended = record.intended_at
        return Seat(
            person_id=person.id,
            display_name=_shown(person),
            remote_user_id=pick.user_id,
            level=member.level,
            account=("new" if make else "stale") if new else _state(person, record, rename=rename),
            external_id=person.external_id or None,
            reason=pick.reason,
            by_invitation=self.rules.mode == "invite" or not here,
            make=make,
            rename=rename,
            theirs=not new,
            trust_names=self.rules.trust_names,
            intended_at_seconds=intended.timestamp() if intended else None,
            last_name=record.display_name,
            guessed=record.origin in (CLAIM, TRUSTED_NAME),
        )


def _shown(person: Person) -> str:
    """The name as far as databases and homeservers keep it."""
    return person.display_name[:LONGEST_NAME]


def _fresh(record: AccountRecord) -> bool:
    return record.checked_at is not None and -SLACK <= now() - record.checked_at < CHECKED_FOR


def _state(person: Person, record: AccountRecord, *, rename: bool) -> str:
    if record.checked_at is None:
        return "new" if rename else "stale"
    if rename and record.display_name != _shown(person):
        return "renamed"
    # A claim is looked at before each room: nobody proved it.
    return "known" if _fresh(record) and record.origin != CLAIM else "stale"
