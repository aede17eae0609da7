"""Whom a plan would take out of a room, and whether a person has to confirm that first. Pure.

What counts is what would happen to people: accounts of people that leave with no other account
of the same person inside, and messages that are deleted. Why it would happen does not count: a
course that reads as empty, an account named wrongly and a setting all empty a room alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from commweb.i18n import gettext as _
from commweb.i18n import ngettext

__all__ = [
    "ANYTHING",
    "GUARD_PEOPLE",
    "MESSAGES",
    "ROOM_GONE",
    "UPGRADED",
    "GuardFacts",
    "Hold",
    "guard",
    "too_many_gone",
]

GUARD_PEOPLE = 10
"""Of fewer people each may leave unasked, as long as somebody stays."""

ANYTHING = "*"
"""In ``confirmed``: everything that is asked now, whoever it is about."""

MESSAGES = "*messages"
"""In ``people`` and ``confirmed``: that the room is deleted with its messages."""

ROOM_GONE = "*gone"
"""In ``people`` and ``confirmed``: that a room the server no longer has is created anew."""

UPGRADED = "*upgraded"
"""In ``people`` and ``confirmed``: to go on with the old room of one upgraded in the chat."""

GONE_ROOMS = 3
GONE_SHARE = 10


@dataclass(frozen=True)
class Hold:
    """What waits for a person, and why, as a sentence.

    ``kind``: removals, empty, course_gone, room_gone, upgraded or deletion. ``people``: the
    person ids whose removal waits, the remote ids of guests, and `MESSAGES` when the deletion of
    the room waits; by name. Everything else of the plan is done.
    """

    kind: str
    reason: str
    people: tuple[str, ...] = ()


@dataclass(frozen=True)
class GuardFacts:
    """What a plan does to people.

    ``inside``: person ids of ours that are in the room or on their way in, before the plan.
    ``leaving``: those who would be out with no other account of theirs inside.
    ``others_leaving``: the remote ids of guests it removes. ``left_lately``: person ids that
    commweb removed in the last 24 hours. ``wanted``: how many people the course wants in the
    room, ``away``: how many of its people are suspended. ``course_gone``: the host no longer has
    the course; "reported" (it said so) or "unreported". ``deletes_messages``: the plan deletes
    the room. ``members``: how many accounts are in it. ``confirmed``: the people, accounts,
    `MESSAGES` or `ANYTHING` that somebody confirmed. ``reported_deletion``: the host reported
    that the course or the group is deleted. ``names``: display names by person id.
    ``closing``: the room is not wanted.
    """

    inside: frozenset[str] = frozenset()
    leaving: frozenset[str] = frozenset()
    others_leaving: frozenset[str] = frozenset()
    left_lately: frozenset[str] = frozenset()
    wanted: int = 0
    away: int = 0
    course_gone: str = ""
    deletes_messages: bool = False
    members: int = 0
    confirmed: frozenset[str] = frozenset()
    reported_deletion: bool = False
    names: Mapping[str, str] | None = None
    closing: bool = False


def guard(facts: GuardFacts) -> Hold | None:
    """What of a plan waits until somebody confirms it; None: nothing.

    More than half of ten or more people, at once or within a day, or everybody: that is more
    often a fault than a wish. What was confirmed counts too, but is not asked again, so that a
    confirmation covers the people it named and no others.
    """
    if ANYTHING in facts.confirmed or facts.reported_deletion or facts.course_gone == "reported":
        return None
    asked = _asked(facts)
    if not asked:
        return None
    kind = _kind(facts)
    return Hold(kind, _reason(kind, facts), asked) if kind else None


def too_many_gone(gone: int, everything: int) -> bool:
    """Whether so many of a provider's rooms are missing that the server is more likely at fault
    than that somebody deleted them: more than three, and more than a tenth."""
    return gone > GONE_ROOMS and gone * GONE_SHARE > everything


def _asked(facts: GuardFacts) -> tuple[str, ...]:
    """Whom nobody confirmed yet, by name; the deletion of the messages last."""
    names = facts.names or {}
    people = (facts.leaving | facts.others_leaving) - facts.confirmed
    found = sorted(people, key=lambda key: (names.get(key, key).casefold(), key))
    if facts.deletes_messages and MESSAGES not in facts.confirmed:
        found.append(MESSAGES)
    return tuple(found)


def _kind(facts: GuardFacts) -> str:
    """Why it is asked; empty: it is not."""
    if facts.course_gone:
        return "course_gone"
    if facts.deletes_messages:
        return "deletion"
    if facts.closing:
        return "removals"
    if facts.leaving and not facts.wanted and not facts.away:
        return "empty"
    everybody, going = _counted(facts)
    many = everybody >= GUARD_PEOPLE and going * 2 > everybody
    # One person who is the only one inside so far may be exchanged for another.
    nobody_stays = len(facts.leaving) > 1 and facts.inside <= facts.leaving
    return "removals" if many or nobody_stays else ""


def _counted(facts: GuardFacts) -> tuple[int, int]:
    """How many people there are or were within the day, and how many of them leave or left.
    Who was removed and is inside again has not left."""
    others = len(facts.others_leaving)
    gone = facts.left_lately - facts.inside
    return len(facts.inside | facts.leaving | gone) + others, len(facts.leaving | gone) + others


def _reason(kind: str, facts: GuardFacts) -> str:
    confirm = _("An administrator has to confirm that.")
    if kind == "course_gone":
        said = _("The site no longer has this course.")
    elif kind == "deletion":
        said = ngettext(
            "The room with %(count)d person and its messages would be deleted for good.",
            "The room with %(count)d people and its messages would be deleted for good.",
            facts.members,
        )
    elif kind == "empty":
        said = ngettext(
            "The course reads as empty: %(count)d person would be removed.",
            "The course reads as empty: %(count)d people would be removed.",
            len(facts.leaving),
        )
    elif facts.closing:
        said = ngettext(
            "The room is no longer wanted: %(count)d person would be removed.",
            "The room is no longer wanted: %(count)d people would be removed.",
            len(facts.leaving) + len(facts.others_leaving),
        )
    else:
        said = _share(facts)
    return f"{said} {confirm}"


def _share(facts: GuardFacts) -> str:
    everybody, going = _counted(facts)
    if facts.left_lately - facts.inside - facts.leaving:
        return _(
            "%(count)d of %(all)d people would be removed within a day.",
            count=going,
            all=everybody,
        )
    return _("%(count)d of %(all)d people would be removed.", count=going, all=everybody)
