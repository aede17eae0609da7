"""One room: read, observe, plan, record the intent, apply, record the outcome."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from commweb.errors import LeaseLost, Refused, RoomUnsettled, Unreachable
from commweb.i18n import gettext as _
from commweb.i18n import joined, ngettext
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import CreateRoom, RoomRef
from commweb.room_access import access_of
from commweb.state import State
from commweb.sync.apply import Hands
from commweb.sync.bounds import LATE, rests
from commweb.sync.closing import Deletions, left_behind
from commweb.sync.guests import guests_of
from commweb.sync.leases import Lease
from commweb.sync.look import Look, look
from commweb.sync.patience import retry_seconds
from commweb.sync.progress import Progress
from commweb.sync.records import UNSURE, RoomRecord, abandon_attempt, store_attempt
from commweb.sync.standing import is_inside

__all__ = ["ALIAS_TAKEN", "Look", "Stopped", "look", "run"]

ALIAS_TAKEN = "COMMWEB_ALIAS_TAKEN"
"""The ``errcode`` with which a provider says that a room's key cannot be used."""

DELETION_SECONDS = 5.0
"""How long to wait before the server is asked again how far a deletion is."""

SOON_SECONDS = 5.0


class Stopped(Exception):  # noqa: N818  (not a failure: the worker was asked to end)
    """The worker stops; the room is given back as it is."""


def run(state: State, lease: Lease, backend: Backend, stop: Callable[[], bool]) -> None:
    """Make the room equal its course. The caller holds ``lease``.

    Raises `ProviderError`, `HostError`, `LeaseLost` and `Stopped`; what was done until then is
    recorded, and a later run goes on from there.
    """
    seen = look(state, lease.room_id, backend, lease)
    if seen is None:
        return
    if seen.blocked is not None:
        raise Refused(seen.blocked)
    _Running(state, lease, backend, stop, seen).run()


@dataclass
class _Running:
    """One run of one room."""

    state: State
    lease: Lease
    backend: Backend
    stop: Callable[[], bool]
    seen: Look

    def run(self) -> None:
        seen = self.seen
        progress = Progress(self.state.database, self.lease, seen.record.provider, seen.applied)
        if _adopted(seen.record):
            progress.keep_name_back()
        if seen.target is not None:
            progress.seated(seen.target.seats)
            if seen.locking:
                progress.look_at_locks(seen.target.room.away, seen.target.seats)
        progress.intend(seen.people)
        progress.away(seen.target.room.away if seen.target else ())
        if seen.details is not None:
            progress.details(seen.details.record)
        self._write_attempt_down()
        progress.flush(**_room_columns(seen))
        deletions = Deletions(seen.record.pending_delete)
        hands = Hands(self.backend, _ref(seen), progress, deletions, self.lease)
        try:
            self._act(hands, progress)
        except LeaseLost:
            raise
        except BaseException as error:
            progress.flush(**_left_by(error))
            raise
        _finish(progress, hands, seen, deleting=bool(deletions))

    def _act(self, hands: Hands, progress: Progress) -> None:
        seen = self.seen
        if _may_be_left_behind(seen):
            self._take_over(hands, progress)
        for action in seen.actions:
            if self.stop():
                raise Stopped
            hands.do(action)
        for person_id, reason in _who_cannot_be_removed(seen):
            progress.undone(f"person:{person_id}", reason)
        for key, reason in seen.undone:
            progress.undone(key, reason)
        hands.clean_up()

    def _write_attempt_down(self) -> None:
        """The key with which a room is asked for is kept, even when the try is given up: what a
        server creates late can then be told to be ours."""
        seen = self.seen
        if not any(isinstance(action, CreateRoom) for action in seen.actions):
            return
        key, slug = seen.record.creation_key or "", seen.target.room.slug if seen.target else ""
        with self.state.database.write() as connection:
            name = self.backend.server_name
            store_attempt(connection, seen.record, key=key, slug=slug, server_name=name)

    def _take_over(self, hands: Hands, progress: Progress) -> None:
        record = self.seen.record
        found = left_behind(self.backend, hands.room, record)
        if found is None and not _answers_are_sure(record):
            # The server may still process the request: it is asked once more.
            until = now() + LATE
            progress.flush(unsure=1, unsure_until=until)
            raise RoomUnsettled(
                _("The room may still be created by the homeserver."),
                retry_after_seconds=LATE.total_seconds(),
            )
        hands.take_over(found, record.creation_slug or "")
        if found is None and record.creation_key:
            with self.state.database.write() as connection:
                abandon_attempt(connection, record.provider, record.creation_key)


def _who_cannot_be_removed(seen: Look) -> list[tuple[str, str]]:
    """People who are inside, are not wanted and have too much power: that is not done yet."""
    if seen.observed is None:
        return []
    wanted = {seat.person_id for seat in seen.target.seats} if seen.target else set()
    return [
        (one.person_id, one.before.reason)
        for one in seen.people
        if one.person_id not in wanted
        and one.remove is None
        and one.before.reason
        and one.before.remote_user_id
        and is_inside(seen.observed, one.before.remote_user_id)
    ]


def _answers_are_sure(record: RoomRecord) -> bool:
    """Whether what was sent without an answer would have been processed by now."""
    if record.unsure == 0:
        return True
    over = record.unsure_until is not None and not rests(record.unsure_until, now(), LATE)
    return record.unsure == 1 and over


def _left_by(error: BaseException) -> dict[str, object]:
    """What a fault leaves to be remembered of the room."""
    if isinstance(error, Refused) and error.errcode == ALIAS_TAKEN:
        return {"creation_key": None, "creation_started_at": None}
    if isinstance(error, Unreachable):
        return {"unsure": UNSURE}
    return {}


def _adopted(record: RoomRecord) -> bool:
    """Whether the room was found after a lost reply, and no run has done all of it since."""
    return record.remote_id is not None and record.name is None


def _room_columns(seen: Look) -> dict[str, object]:
    record, observed = seen.record, seen.observed
    if any(isinstance(action, CreateRoom) for action in seen.actions):
        return {
            "remote_id": None,
            "creation_key": record.creation_key,
            "creation_slug": seen.target.room.slug if seen.target else None,
            "creation_started_at": record.creation_started_at or now(),
        }
    if observed is None:
        return {}
    # A room that was held as gone answers again: it is no longer counted. One that was created
    # anew goes on counting for its hour, so that many cannot go one by one.
    columns: dict[str, object] = {"gone_at": None} if record.held_kind == "room_gone" else {}
    if observed.remote_id != record.remote_id:
        # The room was upgraded.
        made = observed.creator == observed.own_id
        columns |= {"remote_id": observed.remote_id, "chain": [*seen.chain], "made_by_us": made}
    return columns


def _ref(seen: Look) -> RoomRef:
    record = seen.record
    remote = seen.observed.remote_id if seen.observed else None
    return RoomRef(record.course_id, record.made_for_group, record.creation_key or "", remote)


def _may_be_left_behind(seen: Look) -> bool:
    """Whether the room is not wanted any more, and was being created when that was decided."""
    started = seen.record.creation_started_at is not None
    return seen.target is None and seen.hold is None and seen.record.remote_id is None and started


def _status(seen: Look, progress: Progress) -> str:
    if seen.hold is not None:
        return "held"
    if seen.target is None:
        return "failing" if progress.undone_keys else "off"
    return "read_only" if seen.target.room.read_only else "ready"


def _reason(progress: Progress, seen: Look) -> str | None:
    words = [seen.hold.reason] if seen.hold else []
    words += [*progress.notes, *seen.problems, *(seen.details.kept if seen.details else ())]
    if progress.failing:
        words.append(
            ngettext(
                "%(count)d person could not be added.",
                "%(count)d people could not be added.",
                progress.failing,
            )
        )
    return joined(words) or None


@dataclass(frozen=True)
class _Again:
    """When the room is synced again although nobody asks: ``at`` (None: at once), or never."""

    wanted: bool = False
    at: datetime | None = None

    def sooner(self, at: datetime | None) -> _Again:
        if self.wanted and (self.at is None or (at is not None and self.at <= at)):
            return self
        return _Again(True, at)


def _in(seconds: float) -> datetime:
    return now() + timedelta(seconds=seconds)


def _finish(progress: Progress, hands: Hands, seen: Look, *, deleting: bool) -> None:
    """The run is over: record its outcome, and when the room is synced again."""
    record, again = seen.record, _Again()
    undone, attempts = progress.undone_keys, 0
    if deleting:
        again = again.sooner(_in(DELETION_SECONDS))
    elif seen.observed is None and record.creation_started_at is not None and not seen.hold:
        # A room that may have been created in an earlier try is synced once more: what that
        # try gave it is known only from an observation.
        again = again.sooner(None)
    if undone:
        known = set(undone) <= set(record.undone)
        attempts = record.attempts + 1 if known else 1
        again = again.sooner(_in(retry_seconds(attempts)))
    unsure, until = _still_unsure(record, late=hands.late)
    if until is not None:
        again = again.sooner(until)
    elif unsure and attempts < 2:
        # What fails every time is not tried every few seconds.
        again = again.sooner(_in(SOON_SECONDS))
    done = not undone and seen.hold is None
    values: dict[str, Any] = {
        "status": _status(seen, progress),
        "reason": _reason(progress, seen),
        "synced_revision": record.revision - (1 if again.wanted else 0),
        "attempts": attempts,
        "next_attempt_at": again.at,
        "priority": 1 if again.wanted else 0,
        "expected": len(seen.target.seats) if seen.target else 0,
        "undone": list(undone),
        "held_kind": seen.hold.kind if seen.hold else "",
        "held_people": list(seen.hold.people) if seen.hold else [],
        "lease": None,
        "lease_until": None,
    }
    if seen.observed is not None:
        values["guests"] = guests_of(seen.target, seen.applied, seen.observed)
        values["access"] = access_of(seen.observed)
    if done:
        values["synced_at"] = now()
        if record.confirmed_people:
            # What was confirmed after the room was read is for the next sync.
            values["confirmed_people"] = []
    progress.finish(unsure=(record.unsure, unsure, until), **values)


def _still_unsure(record: RoomRecord, *, late: bool) -> tuple[int, datetime | None]:
    """How many more syncs an act without an answer asks for, and when the next of them is."""
    if late:
        return UNSURE, None
    if record.unsure > 1:
        return 1, now() + LATE
    if record.unsure and rests(record.unsure_until, now(), LATE):
        return 1, record.unsure_until
    return 0, None
