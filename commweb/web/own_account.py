"""What the page "My ... account" says: which account is used, and how one's rooms stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flask import url_for

from commweb.accounts import CREATED, LINKED, AccountRecord, account_of, agreed
from commweb.host import Permission, Person
from commweb.i18n import gettext as _
from commweb.places import Place, places
from commweb.proofs import Pending, pending
from commweb.providers.base import Provider
from commweb.state import State
from commweb.status import sentence

__all__ = ["CourseLine", "Situation", "Visit", "provider_with_accounts", "situation"]


@dataclass(frozen=True)
class Visit:
    """Who looks at his or her account, at which provider, with its settings."""

    state: State
    provider: Provider
    person: Person
    values: Mapping[str, Any]


@dataclass(frozen=True)
class CourseLine:
    """One room of one's own: how one stands to it, and the way into the chat (None: not yet)."""

    course_name: str
    room_name: str
    sentence: str
    chat_url: str | None
    failing: bool = False


@dataclass(frozen=True)
class Situation:
    """All that the page tells. ``account`` None: there is none yet. ``asks``: the person has to
    agree before one is made."""

    account: str | None
    sentence: str
    linked: bool
    asks: bool
    may_set_password: bool
    proof: Pending | None
    lines: tuple[CourseLine, ...]

    @property
    def failing(self) -> bool:
        """Whether trying again could help."""
        return any(line.failing for line in self.lines)


def provider_with_accounts(state: State) -> Provider | None:
    """The provider whose accounts the page is about: the first active one that has any."""
    for provider in state.registry:
        if provider.account_page is not None and state.provider_state(provider).active:
            return provider
    return None


def situation(visit: Visit) -> Situation:
    """How the person stands now."""
    provider, person = visit.provider.id, visit.person
    with visit.state.database.read() as connection:
        record = account_of(connection, provider, person.id)
        agrees = bool(agreed(connection, provider, [person.id]))
        proof = pending(connection, provider, person.id)
        found = places(connection, provider, person.id)
    asks = _asks(visit, record, agrees=agrees)
    account = None if asks else _account(visit, record)
    return Situation(
        account=account,
        sentence=_origin(visit, record, account, asks=asks),
        linked=record is not None and record.origin == LINKED,
        asks=asks,
        may_set_password=_may_set_password(visit, record, account),
        proof=proof,
        lines=tuple(_line(visit, place, asks=asks) for place in found if _may_see(visit, place)),
    )


def _mode(visit: Visit) -> str:
    return str(visit.values.get("account_mode", "create"))


def _made_for(record: AccountRecord | None) -> bool:
    """Whether an account made from the person's name is there already."""
    if record is None:
        return False
    return bool(record.made_user_id) or (record.origin == CREATED and bool(record.checked_at))


def _asks(visit: Visit, record: AccountRecord | None, *, agrees: bool) -> bool:
    wanted = bool(visit.values.get("ask_consent")) and _mode(visit) == "create"
    own = bool(visit.person.matrix_user_id) or (record is not None and record.origin == LINKED)
    return wanted and not agrees and not own and not _made_for(record)


def _account(visit: Visit, record: AccountRecord | None) -> str | None:
    if record is not None and record.origin == LINKED:
        return record.remote_user_id
    if visit.person.matrix_user_id:
        return visit.person.matrix_user_id
    if record is None or _mode(visit) == "linked":
        return None
    return record.remote_user_id if record.origin == CREATED else record.made_user_id


def _origin(visit: Visit, record: AccountRecord | None, account: str | None, *, asks: bool) -> str:
    """Where the account comes from, or why there is none."""
    if asks:
        return _("You have no account yet. One is made for you once you agree.")
    if record is not None and record.origin == LINKED:
        return _("You have linked this account.")
    if visit.person.matrix_user_id:
        return _("The site knows this account as yours.")
    return _missing(visit) if account is None else _by_name(visit, record, account)


def _missing(visit: Visit) -> str:
    sentences = {
        "linked": _("You have no account here. Link one of your own to get into your rooms."),
        "invite": _("You are invited under your name here once one of your courses has a room."),
        "create": _("An account is made for you as soon as one of your courses has a room."),
    }
    return sentences.get(_mode(visit), sentences["create"])


def _by_name(visit: Visit, record: AccountRecord | None, account: str) -> str:
    if record is not None and account == record.made_user_id:
        return _("This account was made for you.")
    if _mode(visit) == "create" and not _made_for(record):
        return _("This account is made for you as soon as one of your courses needs it.")
    return _("This account has your name. If it is not yours, link the one that is.")


def _may_set_password(visit: Visit, record: AccountRecord | None, account: str | None) -> bool:
    """Only for an account that commweb made, where nobody signs in another way."""
    allowed = visit.values.get("allow_chat_password") and not visit.values.get("sso_provider_id")
    made = record.made_user_id if record else None
    return bool(allowed) and account is not None and account == made


def _may_see(visit: Visit, place: Place) -> bool:
    host = visit.state.host
    return host.can(visit.person, Permission.VIEW_COURSE, place.course_id)


def _line(visit: Visit, place: Place, *, asks: bool) -> CourseLine:
    there = place.remote_room_id is not None
    open_to = there and place.state in ("in", "invited")
    return CourseLine(
        course_name=place.course_name or place.room_name or place.course_id,
        room_name=place.room_name,
        sentence=_standing(visit, place, asks=asks),
        chat_url=url_for("commweb.course.chat", course_id=place.course_id) if open_to else None,
        failing=there and place.state == "failing",
    )


def _standing(visit: Visit, place: Place, *, asks: bool) -> str:
    """How the person stands to one room."""
    reason = place.reason or _("the reason is not known yet.")
    sentences = {
        "in": _("You are in the room."),
        "invited": _("You are invited. Open the chat to accept."),
        "adding": _("You are being added to the room."),
        "left": _("You left the room. Your teacher can add you again."),
        "banned": _("A moderator of the chat banned you from the room."),
        "failing": _("You could not be added to the room: %(reason)s", reason=reason),
    }
    if place.state in sentences and place.remote_room_id is not None:
        return sentences[place.state]
    if asks:
        return _("You are added to the room once you agree to an account.")
    if place.state == "waiting" and _mode(visit) == "linked":
        return _("You are added to the room once you link an account.")
    if place.state == "waiting" and place.reason:
        return place.reason
    return sentence("pending", str(visit.provider.name))
