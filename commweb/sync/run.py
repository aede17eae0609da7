"""One room: read, observe, plan, record the intent, apply, record the outcome."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from commweb.errors import HostError, Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.models import now
from commweb.providers.base import Backend
from commweb.providers.rooms import Action, CreateRoom, ObservedRoom, RoomRef
from commweb.state import State
from commweb.sync.apply import Hands
from commweb.sync.changes import choice_of
from commweb.sync.desired import DesiredRoom, rooms
from commweb.sync.plan import Birth, guard, plan
from commweb.sync.progress import Progress
from commweb.sync.records import RoomRecord, applied, read_room
from commweb.sync.seats import new_accounts, resolve
from commweb.sync.standing import Applied, Policy, Standing, Target, standings

__all__ = ["ALIAS_TAKEN", "Look", "Stopped", "look", "run"]

ALIAS_TAKEN = "COMMWEB_ALIAS_TAKEN"
"""The ``errcode`` with which a provider says that a room's key cannot be used."""


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
    if seen.held:
        _finish(progress, seen, status="held", reason=seen.held)
        return
    progress.intend(seen.people)
    progress.flush(**_birth_columns(seen))
    hands = Hands(backend, _ref(seen.record, seen), progress)
    try:
        for action in seen.actions:
            if stop():
                raise Stopped
            hands.do(action)
    except Refused as error:
        if error.errcode == ALIAS_TAKEN:
            progress.room(creation_key=None, creation_started_at=None)
        progress.flush()
        raise
    except BaseException:
        progress.flush()
        raise
    _finish(progress, seen, status=_status(seen), reason=_reason(progress))


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
    observed = backend.observe(ref) if record.remote_id else None
    if record.remote_id and observed is None:
        record = replace(record, remote_id=None, creation_key=_new_key(), creation_started_at=None)
        ref = replace(ref, remote_id=None, creation_key=record.creation_key or "")
    policy = _policy(state, record.provider)
    if record.remote_id and record.name is None:
        # Found after a lost reply: whatever differs is from our own earlier try.
        policy = replace(policy, respect_hand_changes=False)
    people = standings(target, last, observed, policy)
    actions = plan(target, last, observed, room=ref, birth=_birth(state, record), policy=policy)
    confirmed = record.confirmed_revision >= record.revision
    held = None if confirmed else guard(target, last, people)
    return Look(record, target, last, observed, people, actions, held)


def _desired(state: State, record: RoomRecord) -> DesiredRoom | None:
    with state.database.read() as connection:
        choice = choice_of(connection, record.course_id)
    with state.app.app_context():
        try:
            course = state.host.course(record.course_id)
            groups = list(state.host.groups(record.course_id)) if course else []
            members = list(state.host.members(record.course_id)) if course else []
        except Exception as error:
            raise HostError(
                _("The site could not say what the course looks like (%(kind)s).",
                  kind=type(error).__name__)
            ) from error  # fmt: skip
    for room in rooms(course, groups, members, choice, at=now()):
        if (room.group_id, room.provider) == (record.group_id, record.provider):
            return room
    return None


def _target(state: State, record: RoomRecord, desired: DesiredRoom, backend: Backend) -> Target:
    for _attempt in range(5):
        with state.database.read() as connection:
            rows = new_accounts(connection, record.provider, desired, backend)
        try:
            with state.database.write() as connection:
                return resolve(connection, record.provider, desired, rows)
        except KeyError:
            continue  # another room took the same new name; look again
    raise Unreachable(_("The accounts of the members are being made elsewhere; trying again."))


def _policy(state: State, provider_id: str) -> Policy:
    provider = state.registry.get(provider_id)
    values = state.values(provider).values if provider else {}
    return Policy(
        respect_hand_changes=bool(values.get("respect_hand_changes", True)),
        closing_rule=str(values.get("closing_rule", "remove_members")),
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


def _birth_columns(seen: Look) -> dict[str, object]:
    if not any(isinstance(action, CreateRoom) for action in seen.actions):
        return {}
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


def _reason(progress: Progress) -> str | None:
    if not progress.failing:
        return None
    return ngettext(
        "%(count)d person could not be added.",
        "%(count)d people could not be added.",
        progress.failing,
    )


def _finish(progress: Progress, seen: Look, *, status: str, reason: str | None) -> None:
    # A room that may have been born in an earlier try is looked at once more: what that try
    # gave it is known only from an observation.
    again = seen.observed is None and seen.record.creation_started_at is not None
    progress.flush(
        status=status,
        reason=reason,
        synced_revision=seen.record.revision - (1 if again else 0),
        attempts=0,
        next_attempt_at=None,
        expected=len(seen.target.seats) if seen.target else 0,
        lease=None,
        lease_until=None,
    )
