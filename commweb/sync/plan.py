"""What to do to a room: (desired, last applied, observed) -> actions. Pure.

The dry run, the drift report and the real run are this function. It asks nobody and changes
nothing; an empty plan means that the room equals the course.
"""

from __future__ import annotations

from dataclasses import dataclass

from commweb.i18n import gettext as _
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
from commweb.sync.details import details
from commweb.sync.known import Applied, Policy, Seat, Target
from commweb.sync.levels import outranked
from commweb.sync.standing import Standing, is_inside, standings

__all__ = ["Birth", "follows", "guard", "plan"]

GUARD_PEOPLE = 10
MODERATOR_LEVEL = 50
FEW = 2
"""So many people make no room faster to fill with its door open: closing it is an event too."""

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
    """The actions that make the observed room equal the target, in the order to do them.

    ``target`` None closes the room by the policy's rule.
    """
    people = standings(target, applied, observed, policy)
    if target is None:
        return _closing(people, applied, observed, policy)
    detail = details(target, applied, observed, policy)
    actions: list[Action] = [*_door(observed), *detail.actions]
    actions += _levels(people, detail.read_only)
    fast = policy.fast_fill and sum(standing.join for standing in people) > FEW
    invited: tuple[Seat, ...] = ()
    if observed is None:
        invited = () if fast else _invited(target, birth, people)
        actions = [_account(seat) for seat in invited]
        actions += [_creation(target, birth, people, invited, open_door=fast), *detail.actions]
        actions += _levels((), detail.read_only)
    elif not (observed.own_in_room and observed.own_can_manage):
        actions.insert(0, RepairPower())
    name = target.room.name
    actions += _entries(target, people, invited)
    actions += _removals(people, name)
    if observed is not None and policy.remove_others:
        actions += _others(target, people, observed)
    if observed is None and fast:
        actions.append(CloseDoor())
    return tuple(actions)


def guard(
    target: Target | None,
    applied: Applied,
    people: tuple[Standing, ...],
    observed: ObservedRoom | None = None,
    actions: tuple[Action, ...] = (),
) -> str | None:
    """Why the plan (``actions``) must be confirmed by a person first, or None.

    A course that had members and reads as empty, or a plan that removes more than half of ten
    or more members, is more often a fault than a wish. A room that was replaced by one that
    commweb does not follow needs somebody to decide. Closing a room asks nobody.
    """
    if target is None:
        return None
    if observed is not None and observed.replaced_by:
        return _(
            "The room was upgraded in the chat, and commweb has no power in the new room. Invite "
            "its account there and give it power, or confirm to go on with the old room."
        )
    leaving = sum(1 for standing in people if _is_removal(standing))
    if leaving and not (target.seats or target.room.away):
        return _("The course had members and now reads as empty. Confirm to remove everybody.")
    states = ("adding", "in", "invited")
    ours = sum(1 for record in applied.members.values() if record.state in states)
    others = sum(1 for action in actions if isinstance(action, Remove) and not action.person_id)
    everybody, going = ours + others, leaving + others
    if everybody >= GUARD_PEOPLE and going * 2 > everybody:
        return _(
            "Of %(all)d members, %(count)d would be removed. Confirm to do it.",
            all=everybody,
            count=going,
        )
    return None


def follows(replacement: ObservedRoom | None) -> bool:
    """Whether commweb goes on with the room that replaces one of its own: it made that room
    itself, or is in it with power. Anybody can name any room as the replacement."""
    if replacement is None:
        return False
    made = replacement.own_id in replacement.creators
    return made or (replacement.own_in_room and replacement.own_can_manage)


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
) -> CreateRoom:
    joining = {standing.person_id for standing in people if standing.join}
    levels = {
        seat.remote_user_id: seat.level
        for seat in target.seats
        if seat.person_id in joining and seat.remote_user_id and seat.level
    }
    return CreateRoom(
        name=target.room.name,
        topic=target.room.topic,
        slug=target.room.slug,
        creation_key=birth.creation_key,
        creation_started_at_seconds=birth.started_at_seconds,
        levels=levels,
        picture=None,  # set next, so that its upload is remembered
        origin=dict(birth.origin),
        open_door=open_door,
        invited=tuple(_join(seat, target.room.name) for seat in invited),
    )


def _levels(people: tuple[Standing, ...], read_only: bool | None) -> list[Action]:
    changes: dict[str, int | None] = {}
    names: dict[str, str] = {}
    for standing in people:
        changes.update(standing.levels)
        names.update(dict.fromkeys(standing.levels, standing.before.display_name))
    if not changes and read_only is None:
        return []
    return [SetLevels(changes, names, read_only)]


def _entries(
    target: Target, people: tuple[Standing, ...], invited: tuple[Seat, ...]
) -> list[Action]:
    """Accounts and joins; a person's old account goes just before the new one comes.
    ``invited``: whose accounts are seen to already."""
    ready = {seat.person_id for seat in invited}
    by_id = {standing.person_id: standing for standing in people}
    actions: list[Action] = []
    for seat in target.seats:
        standing = by_id[seat.person_id]
        if standing.remove:
            actions.append(_removal(standing, target.room.name))
        if seat.person_id not in ready and _needs_account(seat, joining=standing.join):
            actions.append(_account(seat))
        if standing.join:
            actions.append(_join(seat, target.room.name))
    return actions


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


def _is_removal(standing: Standing) -> bool:
    """Whether the person, not only an old account of his, is taken out."""
    return standing.remove is not None and standing.final.state == "removed"


def _removal(standing: Standing, room_name: str) -> Remove:
    name = standing.before.display_name
    return Remove(standing.person_id, standing.remove or "", name, room_name)


def _removals(people: tuple[Standing, ...], room_name: str) -> list[Action]:
    return [_removal(standing, room_name) for standing in people if _is_removal(standing)]


def _others(target: Target, people: tuple[Standing, ...], observed: ObservedRoom) -> list[Action]:
    """Everybody in the room who is not of the course."""
    handled = {seat.remote_user_id for seat in target.seats} | {observed.own_id}
    handled |= {standing.remove for standing in people}
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
        actions += [*_levels(people, None), *_removals(people, applied.name or observed.name)]
    if actions and not (observed.own_in_room and observed.own_can_manage):
        actions.insert(0, RepairPower())
    return tuple(actions)
