"""How each person stands towards a room: what to do, and what to record. Pure.

The three-way rule lives here: what commweb applied or intended last is compared with what is
observed; a value that differs from both was set by a person in the chat and is kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from commweb.i18n import gettext as _
from commweb.providers.rooms import ObservedRoom
from commweb.sync.desired import DesiredRoom

__all__ = ["Applied", "AppliedMember", "Policy", "Seat", "Standing", "Target", "standings"]

OURS = ("adding", "in")
"""States of people whom commweb put into the room, or is about to."""


@dataclass(frozen=True)
class Seat:
    """A desired member with the account to use.

    ``account``: new (not made yet), stale (look again before joining), renamed (its display name
    is not the person's), known, or unusable (with ``reason``).
    """

    person_id: str
    display_name: str
    remote_user_id: str | None
    level: int
    account: str = "known"
    external_id: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class Target:
    """The desired room with its seats."""

    room: DesiredRoom
    seats: tuple[Seat, ...]


@dataclass(frozen=True)
class AppliedMember:
    """What is recorded of a person: see ``commweb_member``."""

    remote_user_id: str | None
    display_name: str
    intended_level: int | None
    applied_level: int | None
    state: str
    reason: str | None = None


@dataclass(frozen=True)
class Applied:
    """What commweb applied last to a room."""

    name: str | None = None
    topic: str | None = None
    picture_digest: str | None = None
    picture_uri: str | None = None
    members: Mapping[str, AppliedMember] = field(default_factory=dict)


@dataclass(frozen=True)
class Policy:
    """What the admin chose. ``respect_hand_changes``: values set in the chat are kept."""

    respect_hand_changes: bool = True
    closing_rule: str = "remove_members"


@dataclass(frozen=True)
class Standing:
    """One person and one room: the state to record if nothing has to be done, and what to do.

    ``level`` is the level to write: an int, None (take off the list) or ``keep``.
    """

    person_id: str
    display_name: str
    remote_user_id: str | None
    state: str
    reason: str | None = None
    join: bool = False
    remove: str | None = None
    set_level: bool = False
    level: int | None = None
    applied_level: int | None = None
    intended_level: int | None = None


def standings(
    target: Target | None, applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> tuple[Standing, ...]:
    """Everybody who is wanted or was put there by us, by person id."""
    seats = {seat.person_id: seat for seat in target.seats} if target else {}
    room = observed or ObservedRoom(remote_id="")
    result = [_wanted(seat, applied.members.get(key), room, policy) for key, seat in seats.items()]
    result += [
        _unwanted(key, record, room, policy)
        for key, record in applied.members.items()
        if key not in seats
    ]
    return tuple(sorted(result, key=lambda standing: standing.person_id))


def _wanted(
    seat: Seat, record: AppliedMember | None, room: ObservedRoom, policy: Policy
) -> Standing:
    moved = None
    if record and record.remote_user_id and record.remote_user_id != seat.remote_user_id:
        moved = record.remote_user_id if _inside(room, record.remote_user_id) else None
        moved = moved if record.state in OURS else None
        record = None
    if seat.remote_user_id is None or seat.account == "unusable":
        return Standing(
            seat.person_id, seat.display_name, seat.remote_user_id, "failing", seat.reason,
            remove=moved,
        )  # fmt: skip
    state, reason, join = _membership(seat, record, room)
    base = Standing(
        seat.person_id, seat.display_name, seat.remote_user_id, state, reason, join, moved
    )
    if state in ("left", "banned") or seat.remote_user_id == room.own_id:
        return base
    return _level(base, seat, record, room, policy)


def _membership(
    seat: Seat, record: AppliedMember | None, room: ObservedRoom
) -> tuple[str, str | None, bool]:
    observed = room.members.get(seat.remote_user_id or "")
    membership = observed.membership if observed else ""
    if membership == "join":
        return "in", None, False
    if membership == "ban":
        return "banned", _("Banned in the chat by a moderator."), False
    left = observed is not None and membership == "leave" and observed.by_self
    if left and record is not None and record.state in ("in", "left"):
        return "left", _("Left the room by himself or herself."), False
    return "adding", None, True


def _level(
    base: Standing,
    seat: Seat,
    record: AppliedMember | None,
    room: ObservedRoom,
    policy: Policy,
) -> Standing:
    remote = seat.remote_user_id or ""
    last_applied = record.applied_level if record else None
    if remote in room.creators:
        return _with(base, seat.level, False, None, last_applied)
    now = room.levels.get(remote, room.default_level)
    if now == seat.level:
        return _with(base, seat.level, False, None, seat.level)
    ours = {last_applied, record.intended_level if record else None} - {None}
    by_hand = now not in (ours or {room.default_level})
    if by_hand and policy.respect_hand_changes:
        return _with(base, seat.level, False, None, last_applied, _hand_note(base, now))
    if now >= _own_power(room):
        return _with(base, seat.level, False, None, last_applied, _("Has as much power as we do."))
    return _with(base, seat.level, True, seat.level, last_applied)


def _own_power(room: ObservedRoom) -> float:
    if room.own_id in room.creators:
        return float("inf")
    return room.levels.get(room.own_id, float("inf"))


def _hand_note(base: Standing, level: int) -> str:
    return base.reason or _("The power level %(level)d was set by hand.", level=level)


def _with(
    base: Standing,
    intended: int,
    set_level: bool,
    level: int | None,
    applied: int | None,
    reason: str | None = None,
) -> Standing:
    return Standing(
        base.person_id,
        base.display_name,
        base.remote_user_id,
        base.state,
        reason or base.reason,
        base.join,
        base.remove,
        set_level,
        level,
        applied,
        intended,
    )


def _inside(room: ObservedRoom, remote_user_id: str) -> bool:
    observed = room.members.get(remote_user_id)
    return observed is not None and observed.membership in ("join", "invite")


def _unwanted(
    person_id: str, record: AppliedMember, room: ObservedRoom, policy: Policy
) -> Standing:
    remote = record.remote_user_id
    ours = record.state in OURS
    protected = remote is None or remote == room.own_id or remote in room.creators
    remove = remote if ours and not protected and _inside(room, remote or "") else None
    now = room.levels.get(remote or "")
    known = {record.applied_level, record.intended_level} - {None, room.default_level}
    drop = not protected and now is not None and now in known and now < _own_power(room)
    return Standing(
        person_id,
        record.display_name,
        remote,
        "removed",
        None,
        remove=remove,
        set_level=drop,
        level=None,
    )
