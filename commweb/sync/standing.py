"""How each person stands towards a room: what to do, and what to record. Pure.

Whoever the course had in its room is commweb's to remove; everybody else in it is a guest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from commweb.i18n import gettext as _
from commweb.providers.rooms import ObservedRoom
from commweb.sync.known import Applied, AppliedMember, Policy, Seat, Target
from commweb.sync.levels import LevelChoice, Marks, dropped_level, outranked, wanted_level

__all__ = [
    "Applied",
    "AppliedMember",
    "Policy",
    "Seat",
    "Standing",
    "Target",
    "is_inside",
    "standings",
]

KEPT_OUT = ("left", "banned", "failing", "waiting")


@dataclass(frozen=True)
class Standing:
    """One person and one room.

    ``join``: put the account of ``before`` (or, if there is one, of ``after``) in. ``remove``:
    the account to take out. ``levels``: power levels to write, None takes off the list.
    ``before`` is what to record before anything is done, ``after`` what to record once
    ``remove`` is out; until then the person's old account must not be forgotten.
    """

    person_id: str
    before: AppliedMember
    after: AppliedMember | None = None
    join: bool = False
    remove: str | None = None
    levels: Mapping[str, int | None] = field(default_factory=dict)

    @property
    def final(self) -> AppliedMember:
        """What is recorded when everything is done."""
        return self.after or self.before


def standings(
    target: Target | None, applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> tuple[Standing, ...]:
    """Everybody who is wanted or was put there by us, by person id."""
    seats = {seat.person_id: seat for seat in target.seats} if target else {}
    view = _View(
        observed,
        used=frozenset(seat.remote_user_id for seat in seats.values() if seat.remote_user_id),
        away=frozenset(target.room.away if target else ()),
        written=_written(applied),
        respect=policy.respect_hand_changes,
        unsure=applied.unsure,
    )
    people = {
        key: _unwanted(key, record, view)
        for key, record in applied.members.items()
        if key not in seats
    }
    for key, seat in seats.items():
        people[key] = _wanted(seat, applied.members.get(key), view)
    return tuple(people[key] for key in sorted(people))


def _written(applied: Applied) -> Mapping[str | None, set[int]]:
    """The levels commweb wrote or meant to write, by account."""
    written: dict[str | None, set[int]] = {}
    for record in applied.members.values():
        written.setdefault(record.remote_user_id, set()).update(_levels_of(record))
    return written


def _levels_of(record: AppliedMember) -> set[int]:
    return {level for level in (record.applied_level, record.intended_level) if level is not None}


def is_inside(room: ObservedRoom, remote_user_id: str) -> bool:
    """Whether the account is in the room, or invited."""
    seen = room.members.get(remote_user_id)
    return seen is not None and seen.membership in ("join", "invite")


@dataclass(frozen=True)
class _View:
    """The room, which accounts wanted people use, who is enrolled but suspended, what commweb
    wrote, whether hand changes are kept, whether what was sent may still be worked."""

    observed: ObservedRoom | None
    used: frozenset[str]
    away: frozenset[str]
    written: Mapping[str | None, set[int]]
    respect: bool
    unsure: bool

    @property
    def room(self) -> ObservedRoom:
        return self.observed or ObservedRoom(remote_id="")

    def marks(self, remote: str, record: AppliedMember | None) -> Marks:
        """What commweb did to the account's level; ``record`` is its person's."""
        levels: set[int | None] = set(self.written.get(remote, ()))
        if record is None:
            return Marks(frozenset({*levels, None}))
        levels.update(_levels_of(record))
        same = record.remote_user_id == remote
        if not same or record.state == "removed" or record.applied_level is None:
            levels.add(None)
        return Marks(frozenset(levels), record.applied_level if same else None)


def _unwanted(person_id: str, record: AppliedMember, view: _View) -> Standing:
    remote, room = record.remote_user_id, view.room
    # Who left and is suspended stays away when he is reinstated: nobody added him again.
    state = "left" if record.state == "left" and person_id in view.away else "removed"
    gone = replace(record, state=state, reason=None, intended_level=None)
    if remote is None or remote in view.used or remote == room.own_id:
        return Standing(person_id, replace(gone, applied_level=None))
    level = _dropped(remote, record, view)
    gone = replace(gone, applied_level=None if level.changes else level.applied)
    before = replace(gone, applied_level=level.applied)
    if record.state == "removed" or not is_inside(room, remote):
        if record.state == "adding" and view.unsure:
            # He may still come in; then it was commweb that put him there.
            before = replace(before, state="adding")
        return Standing(person_id, before, levels=level.changes)
    before = replace(before, state=record.state)
    if outranked(remote, room):
        reason = _("Cannot be removed: has as much power in the room as commweb.")
        return Standing(person_id, replace(before, reason=reason))
    return Standing(person_id, before, after=gone, remove=remote, levels=level.changes)


def _dropped(remote: str, record: AppliedMember, view: _View) -> LevelChoice:
    if view.observed is None:
        return LevelChoice(applied=_last_sent(record))
    # Somebody who was removed and is back is a guest, with whatever level the chat gives him.
    respect = view.respect or record.state == "removed"
    return dropped_level(remote, view.written[remote], view.observed, respect=respect)


def _wanted(seat: Seat, record: AppliedMember | None, view: _View) -> Standing:
    new = _seated(seat, record, view)
    if record is None or record.remote_user_id in (None, seat.remote_user_id):
        return new
    old = _unwanted(seat.person_id, record, view)
    levels = {**old.levels, **new.levels}
    if old.remove is None:
        inside = is_inside(view.room, record.remote_user_id or "")
        if old.before.state == "adding" and not inside:
            return old  # the old account may still come in: until that is known, it has the place
        return replace(new, levels=levels)
    before = replace(old.before, intended_level=seat.level)
    return replace(new, before=before, after=new.before, remove=old.remove, levels=levels)


def _seated(seat: Seat, record: AppliedMember | None, view: _View) -> Standing:
    remote = seat.remote_user_id
    plain = AppliedMember(remote, seat.display_name, None, None, "in")
    if remote is None:
        reason = seat.reason or _("Has no account yet.")
        return Standing(seat.person_id, replace(plain, state="waiting", reason=reason))
    if remote == view.room.own_id:
        return Standing(seat.person_id, plain)
    state, why = _membership(seat, remote, record, view.room)
    level = _level(remote, seat.level, record, view, only_lower=state in KEPT_OUT)
    before = replace(
        plain,
        intended_level=seat.level,
        applied_level=level.applied,
        state=state,
        reason=why or level.reason,
    )
    return Standing(seat.person_id, before, join=state == "adding", levels=level.changes)


def _membership(
    seat: Seat, remote: str, record: AppliedMember | None, room: ObservedRoom
) -> tuple[str, str | None]:
    """The state to record, and why the person is not in."""
    seen = room.members.get(remote)
    membership = seen.membership if seen else ""
    if membership == "join":
        return "in", seat.reason
    if membership == "ban":
        return "banned", _("Banned in the chat by a moderator.")
    was = record.state if record else ""
    same = record is not None and record.remote_user_id == remote
    went = seen is not None and membership == "leave" and seen.by_self
    # An invitation by somebody else is the person's own to answer.
    if (was == "left" and membership != "knock") or (went and same and was in ("in", "invited")):
        return "left", _("Left the room by himself or herself.")
    if seat.account == "unusable":
        return "failing", seat.reason or _("The account cannot be used.")
    if membership == "invite" and seat.by_invitation:
        return "invited", _("Was invited and has not accepted yet.")
    return "adding", None


def _level(
    remote: str, level: int, record: AppliedMember | None, view: _View, *, only_lower: bool
) -> LevelChoice:
    if view.observed is None:
        return LevelChoice(applied=_last_sent(record) if record else None)
    marks = view.marks(remote, record)
    return wanted_level(
        remote, level, marks, view.observed, respect=view.respect, only_lower=only_lower
    )


def _last_sent(record: AppliedMember) -> int | None:
    """The level that a room made in an earlier try may have."""
    return record.applied_level if record.intended_level is None else record.intended_level
