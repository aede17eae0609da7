"""The people of a room as its course's teachers read them: found, sorted, said in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from commweb.host import Member, Role
from commweb.i18n import gettext as _
from commweb.sync.standing import OWN_CHOICE

__all__ = ["SORTS", "Line", "lines", "matching", "ordered", "role_word", "state_words"]

SORTS = ("name", "role", "account", "state")


@dataclass(frozen=True)
class Line:
    """One person of a room. ``state``: as in ``commweb_member``, or ``removing`` for somebody who
    is not of the course any more, or ``suspended``; ``words`` says it to people."""

    person_id: str
    name: str
    role: str
    level: int | None
    account: str
    state: str
    words: str
    reason: str | None

    @property
    def may_try_again(self) -> bool:
        """Whether looking once more can change anything."""
        return self.state in ("failing", "waiting", "adding")

    @property
    def may_add_again(self) -> bool:
        """Whether the person went and is not brought back unasked."""
        return self.state in OWN_CHOICE


def role_word(role: Role) -> str:
    """The role for people."""
    words = {
        Role.PARTICIPANT: _("Student"),
        Role.MODERATOR: _("Teacher"),
        Role.ADMIN: _("Administrator"),
    }
    return words[role]


def state_words(state: str) -> str:
    """A member's state for people."""
    words = {
        "in": _("in the room"),
        "invited": _("invited"),
        "left": _("left the room"),
        "kicked": _("removed in the chat"),
        "banned": _("banned in the chat"),
        "failing": _("cannot be added"),
        "removing": _("being removed"),
        "suspended": _("suspended"),
    }
    return words.get(state, _("waiting"))


def lines(
    enrolled: Iterable[Member], rows: Iterable[Mapping[str, Any]], group_id: str = ""
) -> list[Line]:
    """Everybody who is wanted in the room or recorded there. ``rows``: of ``commweb_member``."""
    recorded = {row["person_id"]: row for row in rows}
    found = []
    for member in enrolled:
        if group_id and group_id not in member.group_ids and member.role is Role.PARTICIPANT:
            continue
        found.append(_line(member, recorded.pop(member.person.id, None)))
    found += [_former(row) for row in recorded.values() if row["state"] != "removed"]
    return found


def _line(member: Member, row: Mapping[str, Any] | None) -> Line:
    state = row["state"] if row else "waiting"
    reason = row["reason"] if row else None
    if not (member.active and member.person.active):
        state = "removing" if state == "in" else "suspended"
        reason = None if member.person.active else _of_account(row)
    elif state == "removed":
        state, reason = "waiting", None
    elif state in (*OWN_CHOICE, "banned"):
        reason = None  # the state says it
    return Line(
        person_id=member.person.id,
        name=member.person.display_name,
        role=role_word(member.role),
        level=row["applied_level"] if row else None,
        account=(row["remote_user_id"] if row else None) or "",
        state=state,
        words=state_words(state),
        reason=reason,
    )


def _of_account(row: Mapping[str, Any] | None) -> str | None:
    """What a suspended person can still do outside of the course's rooms."""
    if row is None or not row["remote_user_id"]:
        return None
    if row.get("locked"):
        return _("Their account is locked until they are active again.")
    return _("Their account on the homeserver goes on working.")


def _former(row: Mapping[str, Any]) -> Line:
    return Line(
        person_id=row["person_id"],
        name=row["display_name"] or row["person_id"],
        role="",
        level=row["applied_level"],
        account=row["remote_user_id"] or "",
        state="removing",
        words=state_words("removing"),
        reason=row["reason"],
    )


def matching(people: Iterable[Line], wanted: str) -> list[Line]:
    """Who has the text in the name, the account or the state."""
    text = wanted.strip().casefold()
    return [
        line for line in people if text in f"{line.name} {line.account} {line.words}".casefold()
    ]


def ordered(people: Iterable[Line], by: str, *, down: bool = False) -> list[Line]:
    """Sorted by one of `SORTS`, then by name."""
    columns = {"role": "role", "account": "account", "state": "words"}
    first = columns.get(by, "name")
    return sorted(
        people,
        key=lambda line: (str(getattr(line, first)).casefold(), line.name.casefold()),
        reverse=down,
    )
