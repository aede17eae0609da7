"""Whose power level to write. Pure.

Source of the rules: Matrix client-server API, ``m.room.power_levels``: one may change the level
of people below one's own level, to at most one's own; since room version 12 the creators have
infinite power and must not be listed.
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from commweb.i18n import gettext as _
from commweb.providers.rooms import ObservedRoom

__all__ = ["LevelChoice", "Marks", "dropped_level", "outranked", "wanted_level"]

INFINITE = float("inf")


@dataclass(frozen=True)
class Marks:
    """What commweb may have done to an account's level: the levels it wrote or meant to write
    (None: not listed), and the one recorded as applied last."""

    levels: frozenset[int | None] = frozenset({None})
    last: int | None = None

    def explain(self, entry: int | None, default: int) -> bool:
        """Whether the entry in the room's list (None: there is none) is commweb's doing."""
        # The default level is written by taking the account off the list.
        unlisted = entry is None and not self.levels.isdisjoint({0, default})
        return unlisted or entry in self.levels


@dataclass(frozen=True)
class LevelChoice:
    """The levels to write for one account (None takes it off the list), the level to record as
    applied before anything is written, and why it is not the wanted one."""

    changes: Mapping[str, int | None] = field(default_factory=dict)
    applied: int | None = None
    reason: str | None = None


def outranked(remote: str, room: ObservedRoom) -> bool:
    """Whether the account has as much power as commweb, which so cannot demote or remove it."""
    return _power(remote, room) >= _own_power(room)


def wanted_level(
    remote: str, level: int, marks: Marks, room: ObservedRoom, *, respect: bool, only_lower: bool
) -> LevelChoice:
    """Bring the account to ``level``, unless a person in the chat gave it another one."""
    entry = room.levels.get(remote)
    now = room.default_level if entry is None else entry
    if remote in room.creators:
        return LevelChoice(applied=marks.last)
    if now == level:
        return LevelChoice(applied=level)
    ours = marks.explain(entry, room.default_level)
    default_by_hand = entry is None and level == 0
    if respect and (default_by_hand or not ours):
        reason = _("The power level %(level)d was set by hand.", level=now)
        return LevelChoice(applied=marks.last, reason=reason)
    last = entry if ours else marks.last
    if only_lower and level > now:
        return LevelChoice(applied=last)
    if outranked(remote, room) or level > _own_power(room):
        return LevelChoice(
            applied=last,
            reason=_("Cannot be changed: their power level is as high as the site’s account."),
        )
    return LevelChoice({remote: None if level == room.default_level else level}, last)


def dropped_level(
    remote: str, written: Set[int], room: ObservedRoom, *, respect: bool
) -> LevelChoice:
    """Take the level away that commweb gave to somebody who is not wanted any more.
    ``written``: the levels it gave or meant to give to the account."""
    entry = room.levels.get(remote)
    if entry is None or remote in room.creators:
        return LevelChoice()
    if respect and entry not in written:
        return LevelChoice()
    if entry == room.default_level or outranked(remote, room):
        return LevelChoice(applied=entry)
    return LevelChoice({remote: None}, entry)


def _power(remote: str, room: ObservedRoom) -> float:
    if remote in room.creators:
        return INFINITE
    return room.levels.get(remote, room.default_level)


def _own_power(room: ObservedRoom) -> float:
    if not room.own_id:
        return INFINITE
    own = _power(room.own_id, room)
    if room.own_in_room and room.own_can_manage:
        return own
    # `RepairPower` comes first; it gives what the most powerful person has.
    return max([own, *room.levels.values()])
