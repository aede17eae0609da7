"""What to do to a room: (desired, last applied, observed) -> actions. Pure.

The dry run, the drift report and the real run are this function. It asks nobody and changes
nothing; an empty plan means that the room equals the course.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from commweb.providers.rooms import (
    Action,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    ObservedRoom,
    Remove,
    RepairPower,
    SetLevels,
)
from commweb.sync.details import Details, details
from commweb.sync.known import Applied, Policy, Seat, Target
from commweb.sync.levels import outranked
from commweb.sync.standing import Standing, Stray, is_inside, standings, strays

__all__ = ["Birth", "follows", "is_removal", "plan"]

MODERATOR_LEVEL = 50
FEW = 2
"""Below this size fast fill saves nothing: closing the door is an event too."""

INVITED_AT_ONCE = 50
"""So many people at the most are invited in the write that makes a room: it does not wait for
hundreds of accounts, and has to be answered in time by a server that is busy with several."""


@dataclass(frozen=True)
class Birth:
    """What a room that has to be made is made with: see `CreateRoom`."""

    creation_key: str
    started_at_seconds: float | None
    origin: tuple[tuple[str, str], ...]


def plan(
    target: Target | None,
    applied: Applied,
    observed: ObservedRoom | None,
    *,
    birth: Birth,
    policy: Policy,
) -> tuple[Action, ...]:
    """The actions that make the observed room equal the target, in the order to do them: who goes,
    goes first; then people come in; details that nobody's safety depends on are last.

    ``target`` None closes the room by the policy's rule.
    """
    people = standings(target, applied, observed, policy)
    if target is None:
        return _closing(people, applied, observed, policy)
    detail = details(target, applied, observed, policy)
    if observed is None:
        return _newborn(target, people, birth, policy, detail)
    name = target.room.name
    old = strays(target, applied, observed)
    levels = _levels(people, target, observed, detail)
    early = levels if _lowers(levels, observed) else []
    actions: list[Action] = [*_repair(observed), *_door(observed)]
    actions += _removals(people, name)
    actions += [_stray(one, name) for one in old if not one.after]
    if policy.remove_others:
        actions += _others(target, people, old, observed)
    actions += early
    actions += _entries(target, people, (), old)
    actions += [] if early else levels
    actions += detail.actions
    return tuple(actions)


def _newborn(
    target: Target,
    people: tuple[Standing, ...],
    birth: Birth,
    policy: Policy,
    detail: Details,
) -> tuple[Action, ...]:
    fast = policy.fast_fill and sum(standing.join for standing in people) > FEW
    invited = () if fast else _invited(target, birth, people)
    default = policy.student_level if policy.student_level < policy.teacher_level else 0
    create = _creation(target, birth, people, invited, open_door=fast, default_level=default)
    create = replace(create, invite_level=detail.record.intended.invite_level)
    actions: list[Action] = [*map(_account, invited), create]
    if detail.read_only is not None:
        actions.append(SetLevels({}, {}, detail.read_only))
    actions += _entries(target, people, invited, ())
    if fast:
        actions.append(CloseDoor())
    return (*actions, *detail.actions)


def follows(newer: ObservedRoom, older: ObservedRoom, home_of: Callable[[str], str]) -> bool:
    """Whether ``newer`` is the upgrade of ``older``: its first event names that room as the one it
    replaces and was sent by whoever closed that room, with an account of our server. Anybody with
    the level for it can name any room as the replacement."""
    sender = older.replaced_by_sender
    ours = bool(sender) and home_of(sender or "") == home_of(older.own_id)
    return ours and newer.predecessor == older.remote_id and newer.creator == sender


def _repair(observed: ObservedRoom) -> list[Action]:
    return [] if observed.own_in_room and observed.own_can_manage else [RepairPower()]


def _door(observed: ObservedRoom | None) -> list[Action]:
    """A door that an interrupted run left open is closed before anything else is done."""
    return [CloseDoor()] if observed is not None and observed.open_door else []


def _invited(target: Target, birth: Birth, people: tuple[Standing, ...]) -> tuple[Seat, ...]:
    """Who is invited in the write that makes the room: people who get their account just before,
    so that nobody looks at the invitation yet, which says less than others. A room that an
    earlier try may have made is asked for in the plainest way."""
    if birth.started_at_seconds is not None:
        return ()
    joining = {standing.person_id for standing in people if standing.join}
    new = [seat for seat in target.seats if seat.person_id in joining and seat.account == "new"]
    return tuple(seat for seat in new if not seat.by_invitation)[:INVITED_AT_ONCE]


def _creation(
    target: Target,
    birth: Birth,
    people: tuple[Standing, ...],
    invited: tuple[Seat, ...],
    *,
    open_door: bool,
    default_level: int,
) -> CreateRoom:
    joining = {standing.person_id for standing in people if standing.join}
    levels = {
        seat.remote_user_id: seat.level
        for seat in target.seats
        if seat.person_id in joining and seat.remote_user_id and seat.level != default_level
    }
    return CreateRoom(
        name=target.room.name,
        topic=target.room.topic,
        slug=target.room.slug,
        creation_key=birth.creation_key,
        creation_started_at_seconds=birth.started_at_seconds,
        levels=levels,
        picture=None,  # set later, so that its upload is remembered
        origin=dict(birth.origin),
        open_door=open_door,
        invited=tuple(_join(seat, target.room.name) for seat in invited),
        default_level=default_level,
    )


def _levels(
    people: tuple[Standing, ...],
    target: Target | None = None,
    observed: ObservedRoom | None = None,
    detail: Details | None = None,
) -> list[SetLevels]:
    """The one write of power levels, if any differ."""
    changes: dict[str, int | None] = {}
    names: dict[str, str] = {}
    for standing in people:
        changes.update(standing.levels)
        names.update(dict.fromkeys(standing.levels, standing.before.display_name))
    if detail is None:
        return [SetLevels(changes, names)] if changes else []
    if detail.default_level is not None and target and observed:
        _give_everybody(detail.default_level, changes, target, observed)
    others = (detail.read_only, detail.invite_level, detail.default_level)
    if not changes and all(value is None for value in others):
        return []
    return [
        SetLevels(
            changes,
            names,
            detail.read_only,
            detail.open_level,
            detail.default_level,
            detail.invite_level,
        )
    ]


def _give_everybody(
    level: int, changes: dict[str, int | None], target: Target, observed: ObservedRoom
) -> None:
    """With ``level`` as everybody's, only people with another one are named."""
    for seat in target.seats:
        remote = seat.remote_user_id
        if remote is None or remote in observed.creators:
            continue
        listed = observed.levels.get(remote)
        if seat.level == level:
            changes.pop(remote, None)
            if listed is not None and remote != observed.own_id:
                changes[remote] = None
        elif listed is None and remote not in changes:
            changes[remote] = seat.level


def _lowers(actions: list[SetLevels], observed: ObservedRoom) -> bool:
    """Whether the write takes power away from somebody, which must not wait."""
    for action in actions:
        if action.read_only or action.invite_level is not None:
            return True
        for remote, level in action.levels.items():
            now = observed.levels.get(remote, observed.default_level)
            if (observed.default_level if level is None else level) < now:
                return True
    return False


def _entries(
    target: Target,
    people: tuple[Standing, ...],
    invited: tuple[Seat, ...],
    old: tuple[Stray, ...],
) -> list[Action]:
    """Accounts and joins; a person's old account goes just after the new one came.
    ``invited``: whose accounts are seen to already."""
    ready = {seat.person_id for seat in invited}
    by_id = {standing.person_id: standing for standing in people}
    former: dict[str, list[Stray]] = {}
    for one in old:
        if one.after:
            former.setdefault(one.person_id, []).append(one)
    actions: list[Action] = []
    for seat in target.seats:
        standing = by_id[seat.person_id]
        if seat.person_id not in ready and _needs_account(seat, joining=standing.join):
            actions.append(_account(seat))
        if standing.join:
            actions.append(_join(seat, target.room.name))
        if standing.join or standing.before.state == "in":
            actions += [_stray(one, target.room.name) for one in former.get(seat.person_id, ())]
    return actions


def _stray(one: Stray, room_name: str) -> Remove:
    after = one.person_id if one.after else ""
    return Remove("", one.remote_user_id, one.remote_user_id, room_name, after=after)


def _needs_account(seat: Seat, *, joining: bool) -> bool:
    return seat.account == "renamed" or (joining and seat.account != "known")


def _account(seat: Seat) -> EnsureAccount:
    return EnsureAccount(
        seat.person_id,
        seat.remote_user_id or "",
        seat.display_name,
        seat.external_id,
        known=seat.account != "new",
        make=seat.make,
        rename=seat.rename,
        theirs=seat.theirs,
        trust_names=seat.trust_names,
        intended_at_seconds=seat.intended_at_seconds,
        last_name=seat.last_name,
        guessed=seat.guessed,
    )


def _join(seat: Seat, room_name: str) -> Join:
    return Join(
        seat.person_id,
        seat.remote_user_id or "",
        seat.display_name,
        moderator=seat.level >= MODERATOR_LEVEL,
        room_name=room_name,
        by_invitation=seat.by_invitation,
    )


def is_removal(standing: Standing) -> bool:
    """Whether the person is taken out."""
    return standing.remove is not None


def _removal(standing: Standing, room_name: str) -> Remove:
    name = standing.before.display_name
    return Remove(standing.person_id, standing.remove or "", name, room_name)


def _removals(people: tuple[Standing, ...], room_name: str) -> list[Action]:
    return [_removal(standing, room_name) for standing in people if is_removal(standing)]


def _others(
    target: Target,
    people: tuple[Standing, ...],
    old: tuple[Stray, ...],
    observed: ObservedRoom,
) -> list[Action]:
    """Everybody in the room who is not of the course."""
    handled = {seat.remote_user_id for seat in target.seats} | {observed.own_id}
    handled |= {standing.remove for standing in people} | {one.remote_user_id for one in old}
    return [
        Remove("", remote, remote, target.room.name)
        for remote in sorted(observed.members)
        if remote not in handled and is_inside(observed, remote) and not outranked(remote, observed)
    ]


def _closing(
    people: tuple[Standing, ...], applied: Applied, observed: ObservedRoom | None, policy: Policy
) -> tuple[Action, ...]:
    if observed is None:
        return ()
    if policy.closing_rule == "delete_room":
        return (DeleteRoom(),)
    actions = _door(observed)
    if policy.closing_rule != "leave":
        name = applied.name or observed.name
        actions += _removals(people, name)
        actions += [_stray(one, name) for one in strays(None, applied, observed)]
        actions += _levels(people)
    return (*_repair(observed), *actions) if actions else ()
