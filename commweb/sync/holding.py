"""What a plan would do to people, for the guard, and a plan without what is held. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from commweb.providers.rooms import Action, CloseDoor, DeleteRoom, ObservedRoom, Remove, SetLevels
from commweb.sync.guard import MESSAGES, GuardFacts, Hold
from commweb.sync.known import Applied, Target
from commweb.sync.standing import Standing, is_inside

__all__ = ["allowed", "facts_of"]

OURS_INSIDE = ("adding", "in", "invited")


def facts_of(
    target: Target | None,
    applied: Applied,
    observed: ObservedRoom | None,
    people: Sequence[Standing],
    actions: Sequence[Action],
    *,
    left_lately: frozenset[str] = frozenset(),
) -> GuardFacts:
    """What the plan (``actions``) does to the people of the room; what was confirmed or reported
    is for the caller to add."""
    owners = _owners(applied, people)
    inside = {key for key, record in applied.members.items() if record.state in OURS_INSIDE}
    if observed is not None:
        inside |= {person for remote, person in owners.items() if is_inside(observed, remote)}
    staying = _staying(target, observed, people)
    leaving: set[str] = set()
    others: set[str] = set()
    for action in actions:
        if not isinstance(action, Remove) or action.after or action.room_id is not None:
            continue
        person = action.person_id or owners.get(action.remote_user_id, "")
        if not person:
            others.add(action.remote_user_id)
        elif person not in staying:
            leaving.add(person)
    return GuardFacts(
        inside=frozenset(inside),
        leaving=frozenset(leaving),
        others_leaving=frozenset(others - set(applied.past)),
        left_lately=left_lately,
        wanted=len(target.seats) if target else 0,
        away=len(target.room.away) if target else 0,
        deletes_messages=any(isinstance(action, DeleteRoom) for action in actions),
        members=_members(observed),
        names={one.person_id: one.before.display_name for one in people},
        closing=target is None,
    )


def _owners(applied: Applied, people: Sequence[Standing]) -> dict[str, str]:
    """Whose each account is that is or was used in the room."""
    found = {remote: person for remote, person in applied.past.items() if person}
    for key, record in applied.members.items():
        if record.remote_user_id:
            found.setdefault(record.remote_user_id, key)
    for one in people:
        if one.remove:
            found[one.remove] = one.person_id
    return found


def _staying(
    target: Target | None, observed: ObservedRoom | None, people: Sequence[Standing]
) -> set[str]:
    """People who are inside with the account they use, or are about to be."""
    if target is None:
        return set()
    joining = {one.person_id for one in people if one.join}
    there = {
        seat.person_id
        for seat in target.seats
        if observed is not None and seat.remote_user_id and is_inside(observed, seat.remote_user_id)
    }
    return joining | there


def _members(observed: ObservedRoom | None) -> int:
    if observed is None:
        return 0
    return sum(
        seen.membership == "join"
        for remote, seen in observed.members.items()
        if remote != observed.own_id
    )


def allowed(
    actions: Sequence[Action], hold: Hold, applied: Applied, people: Sequence[Standing]
) -> tuple[Action, ...]:
    """The actions that do not wait: people are let in and details set, but nobody is taken out
    whom ``hold`` names, and no messages are deleted."""
    if hold.kind == "upgraded":
        # Nothing is set in a room that was closed in the chat, but who goes, goes.
        return tuple(action for action in actions if isinstance(action, Remove | CloseDoor))
    waiting = set(hold.people)
    owners = _owners(applied, people)
    accounts = {remote for remote, person in owners.items() if person in waiting}
    kept = (_allowed(action, waiting, accounts) for action in actions)
    return tuple(action for action in kept if action is not None)


def _allowed(action: Action, waiting: set[str], accounts: set[str]) -> Action | None:
    match action:
        case Remove():
            named = {action.person_id, action.remote_user_id} & waiting
            waits = action.remote_user_id in accounts and not action.after
            return None if named or waits else action
        case DeleteRoom():
            return None if MESSAGES in waiting else action
        case SetLevels():
            levels = {key: level for key, level in action.levels.items() if key not in accounts}
            changed = replace(action, levels=levels)
            others = (action.read_only, action.invite_level, action.default_level)
            return changed if levels or any(one is not None for one in others) else None
    return action
