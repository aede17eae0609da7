"""Who can come into a room and read it, as the last sync found it, in words. Pure.

commweb creates rooms that only invited people join, and sets who reads the history once. What a
moderator made of that in the chat is not changed back, so it is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from commweb.i18n import gettext as _
from commweb.providers.rooms import ObservedRoom

__all__ = ["AccessFact", "access_facts", "access_notes", "access_of"]

CLOSED = ("invite", "private")


@dataclass(frozen=True)
class AccessFact:
    """``name``: what it is about. ``words``: how it is now. ``by``: the account that changed it in
    the chat; empty: nobody did."""

    name: str
    words: str
    by: str


def access_of(observed: ObservedRoom) -> dict[str, str]:
    """For ``commweb_room.access``. A door that commweb opened itself is about to be closed."""
    rule, rule_by = observed.join_rule, observed.join_rule_by
    if observed.open_door:
        rule, rule_by = "invite", observed.own_id
    return {
        "join_rule": rule,
        "join_rule_by": "" if rule_by == observed.own_id else rule_by,
        "history": observed.history_visibility,
        "history_by": "" if observed.history_by == observed.own_id else observed.history_by,
    }


def access_facts(access: Mapping[str, Any]) -> list[AccessFact]:
    """Who can join and who can read; nothing while no sync has looked."""
    if not access:
        return []
    return [
        AccessFact(
            _("Who can join"), _joining(str(access["join_rule"])), str(access["join_rule_by"])
        ),
        AccessFact(
            _("Who can read the history"),
            _reading(str(access["history"])),
            str(access["history_by"]),
        ),
    ]


def access_notes(access: Mapping[str, Any]) -> list[str]:
    """What people who keep the course have to know: what is more open than commweb makes a room,
    and what a moderator changed."""
    return list(_notes(access)) if access else []


def _notes(access: Mapping[str, Any]) -> Iterator[str]:
    if access["join_rule"] not in CLOSED:
        yield _("Others can come into the room: %(who)s.", who=_joining(str(access["join_rule"])))
    if access["history"] == "world_readable":
        yield _("Anybody can read the room without being in it.")
    changed = sorted({str(access[name]) for name in ("join_rule_by", "history_by")} - {""})
    if changed:
        words = _("%(who)s changed in the chat who can join or read.", who=", ".join(changed))
        yield words


def _joining(rule: str) -> str:
    words = {
        "public": _("anybody who knows the room"),
        "knock": _("whoever is invited, or asks and is let in"),
        "restricted": _("whoever is invited, and members of certain other rooms"),
        "knock_restricted": _("whoever is invited or asks, and members of certain other rooms"),
    }
    return words.get(rule, _("whoever is invited"))


def _reading(history: str) -> str:
    words = {
        "world_readable": _("anybody, also without being in the room"),
        "invited": _("members, from their invitation on"),
        "joined": _("members, from their joining on"),
    }
    return words.get(history, _("members, everything"))
