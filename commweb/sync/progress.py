"""What a run has done so far, recorded in batches and fenced by the room's lease."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from datetime import datetime
from typing import Any

from commweb.account_locks import ask_room
from commweb.account_rows import found_out, store_accounts
from commweb.accounts import take
from commweb.database import Database
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.rooms import AccountFacts, EnsureAccount
from commweb.sync.choose_account import EXTERNAL_ID
from commweb.sync.known import Applied, AppliedMember, Seat
from commweb.sync.leases import Lease, awake_seconds
from commweb.sync.records import fenced, now_surer, store_members, store_past
from commweb.sync.standing import Standing

__all__ = ["Progress"]

BATCH_ROWS = 25
BATCH_SECONDS = 1.0


class Progress:
    """The record of one run. Nothing is written between `flush`es."""

    def __init__(
        self,
        database: Database,
        lease: Lease,
        provider: str,
        applied: Applied,
    ) -> None:
        self._database = database
        self._lease = lease
        self._room_id = lease.room_id
        self._provider = provider
        self._rows = {
            key: _row(self._room_id, key, record) for key, record in applied.members.items()
        }
        self._open_level = applied.open_level
        self._creatable: set[str] = set()
        self._locks: tuple[tuple[str, ...], set[str]] | None = None
        self._known_past = frozenset(applied.past)
        self._past: dict[str, str] = {}
        self._after: dict[str, AppliedMember] = {}
        self._intended: dict[str, Any] = {}
        self._undone: dict[str, str] = {}
        self._notes: list[str] = []
        self._dirty: set[str] = set()
        self._accounts: dict[str, dict[str, Any]] = {}
        self._room: dict[str, Any] = {}
        self._late: dict[str, Any] | None = None
        self._unsure: tuple[int, int, datetime | None] | None = None
        self._flushed_at = time.monotonic()

    def seated(self, seats: Iterable[Seat]) -> None:
        """The seats of the run: whose accounts commweb may create."""
        self._creatable = {seat.person_id for seat in seats if seat.make and seat.rename}

    def look_at_locks(self, away: tuple[str, ...], seats: Iterable[Seat]) -> None:
        """Accounts are locked of people who are ``away``, and of nobody who has a seat: see to it
        where that was not reported."""
        self._locks = (away, {seat.person_id for seat in seats})

    def may_create(self, person_id: str) -> bool:
        """Whether the person's account is commweb's to create."""
        return person_id in self._creatable

    def takes(self, person_id: str, remote_id: str, server: str) -> bool:
        """Whether the account, which the person's single sign-on opens, is theirs. Whoever has it
        by less gets another one. A transaction of its own."""
        with self._database.write() as connection:
            return take(
                connection,
                self._provider,
                person_id,
                remote_id,
                server=server,
                origin=EXTERNAL_ID,
            )

    def is_in(self, person_id: str) -> bool:
        """Whether the person is recorded as inside."""
        return person_id in self._rows and self._rows[person_id]["state"] == "in"

    @property
    def open_level(self) -> int | None:
        """The level for messages that is on record to go back to."""
        return self._open_level

    def intend(self, standings: tuple[Standing, ...]) -> None:
        """What is about to be done and what the observation confirmed."""
        for standing in standings:
            self._remember_accounts(standing)
            self._set(standing.person_id, **asdict(standing.before))
            if standing.after is not None:
                self._after[standing.person_id] = standing.after

    def _remember_accounts(self, standing: Standing) -> None:
        """The person's account, and the one used until now, were ours to put into the room."""
        before = self._rows.get(standing.person_id)
        recorded = before["remote_user_id"] if before and before["state"] != "waiting" else None
        here = standing.before.state in ("adding", "in", "invited")
        for remote in (recorded, standing.before.remote_user_id if here else None):
            if remote and remote not in self._known_past:
                self._past[remote] = standing.person_id

    def away(self, person_ids: tuple[str, ...]) -> None:
        """People who are enrolled but suspended have a row, so that a report of such a person
        finds the room."""
        for person_id in person_ids:
            if person_id not in self._rows:
                self._set(person_id, state="removed")

    def details(self, record: Applied) -> None:
        """What the observation confirmed about the room's details, and what is on its way."""
        self._open_level = record.open_level
        coming = asdict(record.intended)
        self._intended = {key: value for key, value in coming.items() if value is not None}
        self.room(
            name=record.name,
            topic=record.topic,
            picture_digest=record.picture_digest,
            picture_uri=record.picture_uri,
            read_only=record.read_only,
            open_level=record.open_level,
            intended=self._intended,
        )

    def uploaded(self, digest: str, uri: str) -> None:
        """The picture is on the server and about to be shown; written at once."""
        self._intended = {**self._intended, "picture_digest": digest, "picture_uri": uri}
        self.flush(intended=self._intended)

    def joined(self, person_id: str, *, invited: bool = False) -> None:
        """The person is in, or was invited. A reason that is on record is about the level."""
        if invited:
            reason = _("Was invited and has not accepted yet.")
            self._set(person_id, state="invited", reason=reason)
        else:
            self._set(person_id, state="in")

    def leveled(self, remote_ids: Mapping[str, object]) -> None:
        """These people have the levels we intended."""
        for person_id, row in self._rows.items():
            if row["remote_user_id"] in remote_ids:
                self._set(person_id, applied_level=row["intended_level"])

    def removed(self, person_id: str) -> None:
        """The person is out."""
        after = self._after.pop(person_id, None)
        if after is not None:
            self._set(person_id, **{**asdict(after), "removed_at": now()})

    def failed(self, person_id: str, reason: str) -> None:
        """The person cannot be put in (or, being in, renamed or taken out), for a reason in
        words. It is tried again."""
        inside = person_id in self._rows and self._rows[person_id]["state"] == "in"
        self._set(person_id, state="in" if inside else "failing", reason=reason)
        self._undone[f"person:{person_id}"] = ""

    def waits(self, person_id: str, reason: str) -> None:
        """The person waits for something that is nobody's own fault. It is tried again."""
        self._set(person_id, state="waiting", reason=reason)
        self._undone[f"person:{person_id}"] = ""

    def undone(self, key: str, reason: str) -> None:
        """Something about the room (``key``: name, picture, account:@x ...) could not be done, for
        a reason in words. It is tried again."""
        self._undone[key] = reason

    def note(self, reason: str) -> None:
        """Something about the room that is said and not tried again."""
        self._notes.append(reason)

    @property
    def undone_keys(self) -> tuple[str, ...]:
        """What could not be done: ``person:ID`` or the name of a detail."""
        failing = {f"person:{key}" for key, row in self._rows.items() if row["state"] == "failing"}
        return tuple(sorted(failing | set(self._undone)))

    @property
    def notes(self) -> tuple[str, ...]:
        """What could not be done to the room, as sentences."""
        said = [reason for reason in self._undone.values() if reason]
        return tuple(dict.fromkeys([*self._notes, *said]))

    def looked_at(self, action: EnsureAccount, facts: AccountFacts) -> None:
        """The account was looked at, or created, just now."""
        self._accounts[action.person_id] = found_out(
            self._provider, action.person_id, action.remote_user_id, action.display_name, facts
        )

    def keep_name_back(self) -> None:
        """Write the room's name with `finish` only: a room without a name on record is one that
        an earlier try made, and everything in it is set, until a run has done all of it."""
        self._late = {}

    def room(self, **values: Any) -> None:
        """Columns of the room to write with the next flush."""
        if self._late is not None and "name" in values:
            self._late["name"] = values.pop("name")
        self._room.update(values)

    @property
    def failing(self) -> int:
        """How many people cannot be put in."""
        return sum(1 for row in self._rows.values() if row["state"] == "failing")

    def flush_if_due(self) -> None:
        """Write when a batch is full or a second has passed."""
        full = len(self._dirty) >= BATCH_ROWS
        if full or time.monotonic() - self._flushed_at >= BATCH_SECONDS:
            self.flush()

    def flush(self, **room: Any) -> None:
        """Write everything that changed in one transaction. Raises `LeaseLost`."""
        self.room(**room)
        began = awake_seconds()
        with self._database.write() as connection:
            # Accounts before the room, as linking an account does.
            store_accounts(connection, [self._accounts[key] for key in sorted(self._accounts)])
            if self._locks is not None:
                ask_room(connection, self._provider, *self._locks)
            fenced(connection, self._room_id, self._lease.holder, **self._room)
            store_members(connection, [self._rows[key] for key in sorted(self._dirty)])
            store_past(connection, self._room_id, self._past)
            if self._unsure is not None:
                before, after, until = self._unsure
                now_surer(connection, self._room_id, before=before, after=after, until=until)
        self._lease.extended(began)
        self._locks = None
        self._past.clear()
        self._dirty.clear()
        self._accounts.clear()
        self._room.clear()
        self._flushed_at = time.monotonic()

    def finish(
        self, *, unsure: tuple[int, int, datetime | None] = (0, 0, None), **room: Any
    ) -> None:
        """The last flush of a run that has done all it wanted. ``unsure``: what it was when the
        run began, and what it is now; a late act of somebody else is not forgotten. Raises
        `LeaseLost`."""
        late, self._late = self._late or {}, None
        if self._undone:
            late = {}
        self._unsure = unsure
        self.flush(**late, **room)

    def _set(self, person_id: str, **values: Any) -> None:
        row = self._rows.setdefault(person_id, _row(self._room_id, person_id, None))
        changed = {**row, **values}
        if changed != row:
            self._rows[person_id] = changed
            self._dirty.add(person_id)


def _row(room_id: int, person_id: str, record: AppliedMember | None) -> dict[str, Any]:
    return {
        "room_id": room_id,
        "person_id": person_id,
        "display_name": record.display_name if record else "",
        "remote_user_id": record.remote_user_id if record else None,
        "intended_level": record.intended_level if record else None,
        "applied_level": record.applied_level if record else None,
        "state": record.state if record else "waiting",
        "reason": record.reason if record else None,
        "removed_at": record.removed_at if record else None,
    }
