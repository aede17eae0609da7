"""One room: read, observe, plan, record the intent, apply, record the outcome."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from functools import partial
from typing import Any

from commweb.errors import Refused, Unreachable
from commweb.i18n import joined, ngettext
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import Action, CloseDoor, CreateRoom, ObservedRoom, RoomRef
from commweb.state import State
from commweb.sync.apply import Hands
from commweb.sync.closing import Deletions, left_behind
from commweb.sync.desired import DesiredRoom
from commweb.sync.details import Details, details
from commweb.sync.identity import capped, level_map, rules_of
from commweb.sync.known import Applied, Policy, Target
from commweb.sync.plan import Birth, follows, guard, plan
from commweb.sync.progress import Progress
from commweb.sync.reading import is_gone, read_course
from commweb.sync.records import RoomRecord, applied, read_room
from commweb.sync.seats import Seating
from commweb.sync.standing import Standing, standings

__all__ = ["ALIAS_TAKEN", "Look", "Stopped", "look", "run"]

ALIAS_TAKEN = "COMMWEB_ALIAS_TAKEN"
"""The ``errcode`` with which a provider says that a room's key cannot be used."""

DELETION_SECONDS = 5.0
"""How long to wait before the server is asked again how far a deletion is."""

LATE_SECONDS = 60.0
"""For how long a request that got no answer may still be worked by the server."""

UPGRADES = 5
"""How many upgrades of a room are followed at one look."""


class Stopped(Exception):  # noqa: N818  (not a failure: the worker was asked to end)
    """The worker stops; the room is given back as it is."""


@dataclass(frozen=True)
class Look:
    """A room as it should be, as it was applied last and as it is, and what to do about it."""

    record: RoomRecord
    target: Target | None
    applied: Applied
    observed: ObservedRoom | None
    people: tuple[Standing, ...]
    actions: tuple[Action, ...]
    held: str | None
    details: Details | None


def run(
    state: State, room_id: int, holder: str, backend: Backend, stop: Callable[[], bool]
) -> None:
    """Make the room equal its course. The caller holds the lease as ``holder``.

    Raises `ProviderError`, `HostError`, `LeaseLost` and `Stopped`; what was done until then is
    recorded, and a later run goes on from there.
    """
    seen = look(state, room_id, backend)
    if seen is None:
        return
    progress = Progress(state.database, room_id, seen.record.provider, holder, seen.applied)
    if _adopted(seen.record):
        progress.keep_name_back()
    if seen.held:
        _keep_shut(backend, seen)
        _finish(progress, seen, status="held", reason=seen.held)
        return
    progress.intend(seen.people)
    progress.away(seen.target.room.away if seen.target else ())
    if seen.details is not None:
        progress.details(seen.details.record)
    progress.flush(**_room_columns(seen))
    deletions = Deletions(seen.record.pending_delete)
    hands = Hands(backend, _ref(seen.record, seen), progress, deletions)
    try:
        if _may_be_left_behind(seen):
            found = left_behind(backend, hands.room, seen.record)
            hands.take_over(found, seen.record.creation_slug or "")
        for action in seen.actions:
            if stop():
                raise Stopped
            hands.do(action)
        hands.clean_up()
    except BaseException as error:
        progress.flush(**_left_by(error))
        raise
    again = DELETION_SECONDS if deletions else None
    _finish(progress, seen, status=_status(seen), reason=_reason(progress, seen), again=again)


def _left_by(error: BaseException) -> dict[str, object]:
    """What a fault leaves to be remembered of the room."""
    if isinstance(error, Refused) and error.errcode == ALIAS_TAKEN:
        return {"creation_key": None, "creation_started_at": None}
    if isinstance(error, Unreachable):
        return {"unsure_until": now() + timedelta(seconds=LATE_SECONDS)}
    return {}


def _keep_shut(backend: Backend, seen: Look) -> None:
    """A held room waits for a person; a door that was left open does not wait."""
    if seen.observed is not None and seen.observed.own_can_manage:
        for action in seen.actions:
            if isinstance(action, CloseDoor):
                backend.close_door(_ref(seen.record, seen), action)


def look(state: State, room_id: int, backend: Backend) -> Look | None:
    """Read and observe the room and plan; stores only new accounts' names. None: no room."""
    with state.database.read() as connection:
        record = read_room(connection, room_id)
        if record is None:
            return None
        last = applied(connection, record)
    desired = _desired(state, record)
    if desired and record.creation_started_at and record.creation_slug:
        # The room may exist under the alias of the first try, whatever the course is called now.
        desired = replace(desired, slug=record.creation_slug)
    target = _target(state, record, desired, backend) if desired else None
    record = _with_key(record)
    ref = RoomRef(record.course_id, record.group_id, record.creation_key or "", record.remote_id)
    observed = _observed(backend, ref) if record.remote_id else None
    if record.remote_id and observed is None:
        record = replace(record, remote_id=None, creation_key=_new_key(), creation_started_at=None)
        ref = replace(ref, remote_id=None, creation_key=record.creation_key or "")
    target = capped(target, observed, backend) if target else None
    policy = _policy(state, record.provider)
    if _adopted(record):
        # Whatever differs is from our own earlier try.
        policy = replace(policy, respect_hand_changes=False)
    people = standings(target, last, observed, policy)
    actions = plan(target, last, observed, birth=_birth(state, record), policy=policy)
    confirmed = record.confirmed_revision >= record.revision
    held = None if confirmed else guard(target, last, people, observed, actions)
    found = details(target, last, observed, policy) if target else None
    return Look(record, target, last, observed, people, actions, held, found)


def _adopted(record: RoomRecord) -> bool:
    """Whether the room was found after a lost reply, and no run has done all of it since."""
    return record.remote_id is not None and record.name is None


def _observed(backend: Backend, ref: RoomRef) -> ObservedRoom | None:
    """The room, or the one that it was upgraded to if that is ours to keep."""
    observed = backend.observe(ref)
    for _step in range(UPGRADES):
        if observed is None or not observed.replaced_by:
            break
        newer = backend.observe(replace(ref, remote_id=observed.replaced_by))
        if newer is None or not follows(newer):
            break
        observed = newer
    return observed


def _desired(state: State, record: RoomRecord) -> DesiredRoom | None:
    levels = level_map(_values(state, record.provider))
    for room in read_course(state, record.course_id).rooms(levels):
        if (room.group_id, room.provider) == (record.group_id, record.provider):
            return room
    return None


def _target(state: State, record: RoomRecord, desired: DesiredRoom, backend: Backend) -> Target:
    rules = rules_of(state.registry.get(record.provider), _values(state, record.provider))
    seating = Seating(record.provider, backend, rules, partial(is_gone, state))
    return seating.target(state.database, desired, record.id)


def _values(state: State, provider_id: str) -> Mapping[str, Any]:
    provider = state.registry.get(provider_id)
    return state.values(provider).values if provider else {}


def _policy(state: State, provider_id: str) -> Policy:
    values = _values(state, provider_id)
    return Policy(
        respect_hand_changes=bool(values.get("respect_hand_changes", True)),
        closing_rule=str(values.get("closing_rule", "remove_members")),
        remove_others=bool(values.get("remove_others", False)),
        fast_fill=bool(values.get("fast_fill", False)),
    )


def _new_key() -> str:
    return secrets.token_hex(16)


def _with_key(record: RoomRecord) -> RoomRecord:
    return record if record.creation_key else replace(record, creation_key=_new_key())


def _birth(state: State, record: RoomRecord) -> Birth:
    started = record.creation_started_at
    origin = (
        ("instance", state.config.instance),
        ("course", record.course_id),
        ("group", record.group_id),
    )
    return Birth(record.creation_key or "", started.timestamp() if started else None, origin)


def _room_columns(seen: Look) -> dict[str, object]:
    if not any(isinstance(action, CreateRoom) for action in seen.actions):
        # Another one than before when the room was upgraded.
        return {"remote_id": seen.observed.remote_id} if seen.observed else {}
    return {
        "remote_id": None,
        "creation_key": seen.record.creation_key,
        "creation_slug": seen.target.room.slug if seen.target else None,
        "creation_started_at": seen.record.creation_started_at or now(),
    }


def _ref(record: RoomRecord, seen: Look) -> RoomRef:
    remote = seen.observed.remote_id if seen.observed else None
    return RoomRef(record.course_id, record.group_id, record.creation_key or "", remote)


def _status(seen: Look) -> str:
    if seen.target is None:
        return "off"
    return "read_only" if seen.target.room.read_only else "ready"


def _reason(progress: Progress, seen: Look) -> str | None:
    words = [*progress.notes, *(seen.details.kept if seen.details else ())]
    if progress.failing:
        words.append(
            ngettext(
                "%(count)d person could not be added.",
                "%(count)d people could not be added.",
                progress.failing,
            )
        )
    return joined(words) or None


def _may_be_left_behind(seen: Look) -> bool:
    """Whether the room is not wanted any more, and was being made when that was decided."""
    started = seen.record.creation_started_at is not None
    return seen.target is None and seen.record.remote_id is None and started


def _finish(
    progress: Progress,
    seen: Look,
    *,
    status: str,
    reason: str | None,
    again: float | None = None,
) -> None:
    """The run is over. ``again``: in how many seconds to look once more."""
    if again is None and seen.observed is None and seen.record.creation_started_at is not None:
        # A room that may have been born in an earlier try is looked at once more: what that
        # try gave it is known only from an observation.
        again = 0.0
    rest = now() + timedelta(seconds=again) if again else None
    unsure = seen.record.unsure_until if seen.applied.unsure else None
    if again is None and unsure is not None:
        # Until then the server may work what was sent.
        again, rest = 0.0, unsure
    progress.finish(
        status=status,
        reason=reason,
        synced_revision=seen.record.revision - (0 if again is None else 1),
        attempts=0,
        next_attempt_at=rest,
        expected=len(seen.target.seats) if seen.target else 0,
        unsure_until=unsure,
        lease=None,
        lease_until=None,
    )
