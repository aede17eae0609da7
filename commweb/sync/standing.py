"""How each person stands towards a room: what to do, and what to record. Pure.

An account that commweb ever put into a room is commweb's to remove; everybody else is a guest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from commweb.i18n import gettext as _
from commweb.providers.rooms import ObservedRoom
from commweb.sync.known import Applied, AppliedMember, Policy, Seat, Target
from commweb.sync.levels import LevelChoice, Marks, dropped_level, outranked, wanted_level

__all__ = [
    "OWN_CHOICE",
    "Applied",
    "AppliedMember",
    "Policy",
    "Seat",
    "Standing",
    "Stray",
    "Target",
    "gone_by_hand",
    "is_inside",
    "standings",
    "strays",
]

KEPT_OUT = ("left", "kicked", "banned", "failing", "waiting")
OWN_CHOICE = ("left", "kicked")
"""What was decided in the chat, and is kept while a person or a room is only away."""


@dataclass(frozen=True)
class Standing:
    """One person and one room.

    ``join``: put the account of ``before`` in. ``remove``: take it out. ``levels``: power levels
    to write, None takes off the list. ``before`` is what to record before anything is done,
    ``after`` what to record once ``remove`` is out.
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


@dataclass(frozen=True)
class Stray:
    """An account in the room that was a person's here and is not used now. ``after``: the person's
    new account has to be inside first; False: it goes whatever happens."""

    person_id: str
    remote_user_id: str
    after: bool


def standings(
    target: Target | None, applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> tuple[Standing, ...]:
    """Everybody who is wanted or was put there by us, by person id."""
    seats = _seats(target)
    view = _View(
        observed,
        used=_used(target),
        away=frozenset(target.room.away if target else ()),
        written=_written(applied),
        respect=policy.respect_hand_changes,
        unsure=applied.unsure,
        closing=target is None,
        former=_former(applied),
        foreign=target.foreign if target else frozenset(),
    )
    people = {}
    for key, record in applied.members.items():
        if key not in seats:
            gone = _unwanted(key, record, view)
            dropped = _left_to_others(key, record.remote_user_id, set(), view)
            people[key] = replace(gone, levels={**dropped, **gone.levels}) if dropped else gone
    for key, seat in seats.items():
        last = applied.members.get(key)
        if last and last.state in OWN_CHOICE and target and key in target.newcomers:
            last = replace(last, state="removed")  # that was somebody else
        people[key] = _wanted(seat, last, view)
    return tuple(people[key] for key in sorted(people))


def strays(
    target: Target | None, applied: Applied, observed: ObservedRoom | None
) -> tuple[Stray, ...]:
    """The accounts inside that people used before: each goes once the person is inside with the
    account used now, and at once when it is proven to be somebody else's."""
    if observed is None:
        return ()
    return tuple(_strays(target, applied, observed))


def _strays(target: Target | None, applied: Applied, observed: ObservedRoom) -> Iterator[Stray]:
    seats, used = _seats(target), _used(target)
    foreign = target.foreign if target else frozenset()
    current = {record.remote_user_id for key, record in applied.members.items() if key not in seats}
    for remote, person_id in sorted(_past(applied).items()):
        if remote in used or remote in current or remote == observed.own_id:
            continue
        if is_inside(observed, remote) and not outranked(remote, observed):
            new = seats[person_id].remote_user_id if person_id in seats else None
            comes = new not in (None, observed.own_id)
            yield Stray(person_id, remote, after=comes and remote not in foreign)


def _past(applied: Applied) -> Mapping[str, str]:
    """Every account that was ever put in, with its person."""
    recorded = {
        record.remote_user_id: key
        for key, record in applied.members.items()
        if record.remote_user_id and record.state != "waiting"
    }
    return {**recorded, **applied.past}


def _former(applied: Applied) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for remote, person_id in sorted(_past(applied).items()):
        found.setdefault(person_id, []).append(remote)
    return {person_id: tuple(remotes) for person_id, remotes in found.items()}


def _seats(target: Target | None) -> Mapping[str, Seat]:
    return {seat.person_id: seat for seat in target.seats} if target else {}


def _used(target: Target | None) -> frozenset[str]:
    seats = _seats(target).values()
    return frozenset(seat.remote_user_id for seat in seats if seat.remote_user_id)


def _written(applied: Applied) -> Mapping[str | None, set[int]]:
    """The levels commweb wrote or meant to write, by account."""
    written: dict[str | None, set[int]] = {}
    for record in applied.members.values():
        written.setdefault(record.remote_user_id, set()).update(_levels_of(record))
    for remote, person_id in applied.past.items():
        person = applied.members.get(person_id)
        if person is not None:
            written.setdefault(remote, set()).update(_levels_of(person))
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
    wrote, whether hand changes are kept, whether what was sent may still be processed, whether the
    room itself is not wanted, all accounts each person ever had here, and those of them that are
    proven to be somebody else's."""

    observed: ObservedRoom | None
    used: frozenset[str]
    away: frozenset[str]
    written: Mapping[str | None, set[int]]
    respect: bool
    unsure: bool
    closing: bool
    former: Mapping[str, tuple[str, ...]]
    foreign: frozenset[str]

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
    # Somebody who left and is only suspended, or whose room is only closed, was not added again.
    waits = person_id in view.away or view.closing
    state = record.state if record.state in OWN_CHOICE and waits else "removed"
    gone = replace(record, state=state, reason=None, intended_level=None)
    if remote is None or remote in view.used or remote == room.own_id:
        return Standing(person_id, replace(gone, applied_level=None))
    level = _dropped(remote, record, view)
    gone = replace(gone, applied_level=None if level.changes else level.applied)
    before = replace(gone, applied_level=level.applied)
    if not is_inside(room, remote):
        if record.state == "adding" and view.unsure:
            # They may still come in; then it was commweb that put them there.
            before = replace(before, state="adding")
        return Standing(person_id, before, levels=level.changes)
    before = replace(before, state=record.state)
    if outranked(remote, room):
        reason = _("Cannot be removed: their power level is as high as the site's account.")
        return Standing(person_id, replace(before, reason=reason))
    gone = replace(gone, state="removed")
    return Standing(person_id, before, after=gone, remove=remote, levels=level.changes)


def _dropped(remote: str, record: AppliedMember, view: _View) -> LevelChoice:
    if view.observed is None:
        return LevelChoice(applied=_last_sent(record))
    return dropped_level(remote, view.written[remote], view.observed, respect=view.respect)


def _wanted(seat: Seat, record: AppliedMember | None, view: _View) -> Standing:
    new = _seated(seat, record, view)
    dropped = _left_to_others(seat.person_id, seat.remote_user_id, {seat.level}, view)
    return replace(new, levels={**dropped, **new.levels}) if dropped else new


def _left_to_others(
    person_id: str, current: str | None, levels: set[int], view: _View
) -> dict[str, int | None]:
    """The levels that commweb gave to accounts the person used before."""
    changes: dict[str, int | None] = {}
    if view.observed is None:
        return changes
    for remote in view.former.get(person_id, ()):
        if remote in view.used or remote in (current, view.room.own_id):
            continue
        written = view.written.get(remote, set()) | levels
        changes.update(dropped_level(remote, written, view.observed, respect=view.respect).changes)
    return changes


def _seated(seat: Seat, record: AppliedMember | None, view: _View) -> Standing:
    remote = seat.remote_user_id
    plain = AppliedMember(remote, seat.display_name, None, None, "in")
    if remote is None or remote == view.room.own_id:
        reason = seat.reason or _("Has no account yet.")
        waiting = replace(plain, remote_user_id=None, state="waiting", reason=reason)
        return Standing(seat.person_id, waiting)
    state, why = _membership(seat, remote, record, view)
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
    seat: Seat, remote: str, record: AppliedMember | None, view: _View
) -> tuple[str, str | None]:
    """The state to record, and why the person is not in. Whom a moderator banned or took out is
    not let in again with another account."""
    room = view.room
    seen = room.members.get(remote)
    membership = seen.membership if seen else ""
    gone = gone_by_hand(remote, record, room) or _taken_out_before(remote, record, view)
    state, reason = "adding", None
    if membership == "join":
        state, reason = "in", seat.reason
    elif membership == "ban" or _is_banned(seat.person_id, view):
        state, reason = "banned", _("Banned in the chat by a moderator.")
    elif seat.account == "unasked":
        # They went, or their account was closed: until that is known they are not put back.
        state, reason = record.state if record and gone else "failing", seat.reason
    elif seat.account == "unusable":
        state, reason = "failing", seat.reason or _("The account cannot be used.")
    elif gone == "left" and membership != "knock":
        # An invitation by somebody else is the person's own to answer.
        state, reason = "left", _("Left the room.")
    elif gone == "kicked" and membership in ("", "leave"):
        state, reason = "kicked", _("Removed in the chat by a moderator.")
    elif membership == "invite" and seat.by_invitation:
        state, reason = "invited", _("Was invited and has not accepted yet.")
    return state, reason


def gone_by_hand(remote: str, record: AppliedMember | None, room: ObservedRoom) -> str:
    """Whether the person went ("left") or was taken out in the chat ("kicked"); else empty."""
    if record is None:
        return ""
    if record.state in OWN_CHOICE:
        return record.state
    seen = room.members.get(remote)
    was_in = record.remote_user_id == remote and record.state in ("in", "invited")
    if seen is None or seen.membership != "leave" or not was_in:
        return ""
    if seen.by_self:
        return "left"
    return "kicked" if seen.by and seen.by != room.own_id else ""


def _is_banned(person_id: str, view: _View) -> bool:
    """Whether an account that the person used before is banned, and is nobody else's now."""
    return any(
        seen.membership == "ban"
        for remote in view.former.get(person_id, ())
        if remote not in view.used | view.foreign and (seen := view.room.members.get(remote))
    )


def _taken_out_before(remote: str, record: AppliedMember | None, view: _View) -> str:
    """Whether the account that the person used last was taken out in the chat; else empty."""
    last = record.remote_user_id if record else None
    if last in (None, remote, *view.used, *view.foreign):
        return ""
    gone = gone_by_hand(last or "", record, view.room)
    return gone if gone == "kicked" else ""


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
