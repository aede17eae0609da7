"""What a run has done so far, recorded in batches and fenced by the room's lease."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from commweb.database import Database
from commweb.models import now
from commweb.sync.records import fenced, store_accounts, store_members
from commweb.sync.standing import Applied, AppliedMember, Standing

__all__ = ["Progress"]

BATCH_ROWS = 25
BATCH_SECONDS = 1.0


class Progress:
    """The record of one run. Nothing is written between `flush`es."""

    def __init__(
        self,
        database: Database,
        room_id: int,
        provider: str,
        holder: str,
        applied: Applied,
    ) -> None:
        self._database = database
        self._room_id = room_id
        self._provider = provider
        self._holder = holder
        self._rows = {key: _row(room_id, key, record) for key, record in applied.members.items()}
        self._dirty: set[str] = set()
        self._accounts: dict[str, dict[str, Any]] = {}
        self._room: dict[str, Any] = {}
        self._flushed_at = time.monotonic()

    def intend(self, standings: tuple[Standing, ...]) -> None:
        """What is about to be done and what the observation confirmed."""
        for standing in standings:
            if standing.remove and standing.state == "removed":
                continue  # stays ours until it is done
            self._set(
                standing.person_id,
                display_name=standing.display_name,
                remote_user_id=standing.remote_user_id,
                intended_level=standing.intended_level,
                applied_level=standing.applied_level,
                state=standing.state,
                reason=standing.reason,
            )

    def joined(self, person_id: str) -> None:
        """The person is in."""
        self._set(person_id, state="in", reason=None)

    def leveled(self, remote_ids: Mapping[str, object]) -> None:
        """These people have the levels we intended."""
        for person_id, row in self._rows.items():
            if row["remote_user_id"] in remote_ids and row["state"] != "removed":
                self._set(person_id, applied_level=row["intended_level"])

    def removed(self, person_id: str, remote_id: str) -> None:
        """The account is out; the person too, unless another account of his takes the place."""
        if self._rows[person_id]["remote_user_id"] == remote_id:
            self._set(person_id, state="removed", reason=None, applied_level=None)

    def failed(self, person_id: str, reason: str) -> None:
        """The person cannot be put in, for a reason in words."""
        self._set(person_id, state="failing", reason=reason)

    def checked(self, person_id: str, remote_id: str, display_name: str) -> None:
        """The account was looked at just now."""
        self._accounts[person_id] = {
            "provider": self._provider,
            "person_id": person_id,
            "remote_user_id": remote_id,
            "display_name": display_name,
            "checked_at": now(),
        }

    def room(self, **values: Any) -> None:
        """Columns of the room to write with the next flush."""
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
        with self._database.write() as connection:
            fenced(connection, self._room_id, self._holder, **self._room)
            store_members(connection, [self._rows[key] for key in sorted(self._dirty)])
            store_accounts(connection, list(self._accounts.values()))
        self._dirty.clear()
        self._accounts.clear()
        self._room.clear()
        self._flushed_at = time.monotonic()

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
    }
