"""What to do to a room: (desired, last applied, observed) -> actions. Pure.

The dry run, the drift report and the real run are this function. It asks nobody and changes
nothing; an empty plan means that the room equals the course.
"""

from __future__ import annotations

from dataclasses import dataclass

from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.providers.rooms import (
    Action,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    Join,
    ObservedRoom,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.standing import (
    OURS,
    Applied,
    Policy,
    Seat,
    Standing,
    Target,
    standings,
)

__all__ = ["Birth", "guard", "plan"]

GUARD_PEOPLE = 10
MODERATOR_LEVEL = 50


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
    room: RoomRef,
    birth: Birth,
    policy: Policy,
) -> tuple[Action, ...]:
    """The actions that make the observed room equal the target, in the order to do them.

    ``target`` None closes the room by the policy's rule.
    """
    people = standings(target, applied, observed, policy)
    if target is None:
        return _closing(people, observed, policy)
    if observed is None:
        creation = _creation(target, birth, people)
        return (creation, *_accounts_and_joins(target, people))
    if not (observed.own_in_room and observed.own_can_manage):
        return (RepairPower(), *_adjust(target, applied, observed, people, policy))
    return _adjust(target, applied, observed, people, policy)


def _adjust(
    target: Target,
    applied: Applied,
    observed: ObservedRoom,
    people: tuple[Standing, ...],
    policy: Policy,
) -> tuple[Action, ...]:
    return (
        *_details(target, applied, observed, policy),
        *_levels(people, target, observed),
        *_accounts_and_joins(target, people),
        *_removals(people),
    )


def _creation(target: Target, birth: Birth, people: tuple[Standing, ...]) -> CreateRoom:
    wanted = {standing.person_id: standing for standing in people if standing.join}
    levels = {
        seat.remote_user_id: seat.level
        for seat in target.seats
        if seat.person_id in wanted and seat.remote_user_id and seat.level
    }
    return CreateRoom(
        name=target.room.name,
        topic=target.room.topic,
        slug=target.room.slug,
        creation_key=birth.creation_key,
        creation_started_at_seconds=birth.started_at_seconds,
        levels=levels,
        picture=target.room.picture,
        origin=dict(birth.origin),
    )


def _details(
    target: Target, applied: Applied, observed: ObservedRoom, policy: Policy
) -> list[Action]:
    actions: list[Action] = []
    room = target.room
    if _ours_to_change(observed.name, room.name, applied.name, policy):
        actions.append(SetName(room.name))
    if _ours_to_change(observed.topic, room.topic, applied.topic, policy):
        actions.append(SetTopic(room.topic))
    digest = room.picture.digest if room.picture else None
    uri = observed.picture_uri
    unchanged = digest == applied.picture_digest and uri == applied.picture_uri
    by_hand = uri != applied.picture_uri and policy.respect_hand_changes
    if not unchanged and not (by_hand and uri is not None):
        same = digest is not None and digest == applied.picture_digest
        actions.append(SetPicture(room.picture, applied.picture_uri if same else None))
    return actions


def _ours_to_change(now: str, wanted: str, last: str | None, policy: Policy) -> bool:
    if now == wanted:
        return False
    by_hand = last is not None and now != last
    return not (by_hand and policy.respect_hand_changes)


def _levels(
    people: tuple[Standing, ...], target: Target | None, observed: ObservedRoom
) -> list[Action]:
    changes = {
        standing.remote_user_id: (
            None if standing.level == observed.default_level else standing.level
        )
        for standing in people
        if standing.set_level and standing.remote_user_id
    }
    wanted = target.room.read_only if target else observed.read_only
    read_only = wanted if wanted != observed.read_only else None
    if not changes and read_only is None:
        return []
    names = {
        standing.remote_user_id: standing.display_name
        for standing in people
        if standing.remote_user_id in changes and standing.remote_user_id
    }
    return [SetLevels(changes, names, read_only)]


def _accounts_and_joins(target: Target, people: tuple[Standing, ...]) -> list[Action]:
    joining = {standing.person_id for standing in people if standing.join}
    blocked = {standing.person_id for standing in people if standing.state == "failing"}
    actions: list[Action] = []
    for seat in target.seats:
        if seat.person_id in blocked or seat.remote_user_id is None:
            continue
        if seat.account == "renamed" or (seat.person_id in joining and seat.account != "known"):
            actions.append(_account(seat))
        if seat.person_id in joining:
            actions.append(
                Join(
                    seat.person_id,
                    seat.remote_user_id,
                    seat.display_name,
                    moderator=seat.level >= MODERATOR_LEVEL,
                )
            )
    return actions


def _account(seat: Seat) -> EnsureAccount:
    return EnsureAccount(
        seat.person_id,
        seat.remote_user_id or "",
        seat.display_name,
        seat.external_id,
        known=seat.account != "new",
    )


def _removals(people: tuple[Standing, ...]) -> list[Action]:
    return [
        Remove(standing.person_id, standing.remove, standing.display_name)
        for standing in people
        if standing.remove
    ]


def _closing(
    people: tuple[Standing, ...], observed: ObservedRoom | None, policy: Policy
) -> tuple[Action, ...]:
    if observed is None or policy.closing_rule == "leave":
        return ()
    if policy.closing_rule == "delete_room":
        return (DeleteRoom(),)
    removals = _removals(people)
    repair: list[Action] = []
    if removals and not (observed.own_in_room and observed.own_can_manage):
        repair.append(RepairPower())
    return (*repair, *_levels(people, None, observed), *removals)


def guard(target: Target | None, applied: Applied, people: tuple[Standing, ...]) -> str | None:
    """Why the plan must be confirmed by a person first, or None.

    A course that had members and reads as empty, or a plan that removes more than half of ten
    or more members, is more often a fault than a wish. Closing a room asks nobody.
    """
    ours = [record for record in applied.members.values() if record.state in OURS]
    if target is None or not ours:
        return None
    if not target.seats:
        return _("The course had members and now reads as empty. Confirm to remove everybody.")
    leaving = sum(1 for standing in people if standing.remove and standing.state == "removed")
    if len(ours) >= GUARD_PEOPLE and leaving * 2 > len(ours):
        return ngettext(
            "%(count)d of %(all)d members would be removed. Confirm to do it.",
            "%(count)d of %(all)d members would be removed. Confirm to do it.",
            leaving,
            all=len(ours),
        )
    return None
