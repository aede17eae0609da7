"""What the page "My ... account" says: which account is used, and how one's rooms stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from flask import url_for

from commweb.accounts import OWN_LINKS, AccountRecord, account_of, agreed, owners, retire
from commweb.host import Permission, Person
from commweb.i18n import gettext as _
from commweb.places import Place, places
from commweb.proofs import Pending, pending
from commweb.providers.base import Provider
from commweb.providers.names import Names
from commweb.state import State
from commweb.status import sentence
from commweb.sync.choose_account import (
    CREATED,
    EXTERNAL_ID,
    HOST,
    INTENDED,
    NAMED,
    PROVEN,
    Choice,
    choose_account,
)
from commweb.sync.identity import (
    Knowledge,
    Rules,
    candidates,
    facts_of,
    host_named,
    is_another_person,
    is_there,
    replaces_one_that_works,
    rules_of,
)

__all__ = [
    "CourseLine",
    "Situation",
    "Visit",
    "forget_namesake",
    "own_id_of",
    "provider_with_accounts",
    "server_of",
    "situation",
]


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
    agree before one is created. ``to_prove``: an account of their name, which they may prove.
    ``needs_proof``: an account of their own is linked by a code only."""

    account: str | None
    sentence: str
    linked: bool
    asks: bool
    may_set_password: bool
    proof: Pending | None
    to_prove: str | None
    needs_proof: bool
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


def server_of(visit: Visit) -> str:
    """The name of the connected server; empty: not known yet."""
    session = visit.state.tokens(visit.provider).read()
    return (session.server_name if session else None) or ""


def situation(visit: Visit) -> Situation:
    """How the person stands now."""
    provider, person, server = visit.provider.id, visit.person, server_of(visit)
    with visit.state.database.read() as connection:
        record = account_of(connection, provider, person.id, server)
        agrees = bool(agreed(connection, provider, [person.id]))
        proof = pending(connection, provider, person.id)
        found = places(connection, provider, person.id)
    if _is_namesakes(visit, record):
        record, proof = None, None
    choice = _choice(visit, record, agrees=agrees)
    asks = choice.user_id is None and _asks(visit, record, agrees=agrees)
    account = None if asks else choice.user_id
    return Situation(
        account=account,
        sentence=_origin(visit, record, choice, asks=asks),
        linked=record is not None and record.origin in OWN_LINKS,
        asks=asks,
        may_set_password=_may_set_password(visit, record, account),
        proof=proof,
        to_prove=record.remote_user_id if record and record.origin == NAMED else None,
        needs_proof=_needs_proof(visit, record, choice),
        lines=tuple(_line(visit, place, asks=asks) for place in found if _may_see(visit, place)),
    )


def _choice(visit: Visit, record: AccountRecord | None, *, agrees: bool) -> Choice:
    """By the rule of a sync, as far as no server has to be asked: what the host names in place of
    an account that works is looked at by the next sync, and a name for a new account is made up
    there."""
    rules, names, provider = _rules(visit), _names(visit), visit.provider.id
    wished = record is not None and record.source == INTENDED
    known = Knowledge(
        visit.person,
        record,
        willing=not _asks(visit, record, agrees=agrees),
        named=host_named(visit.person, provider),
        name=record.remote_user_id if record and wished else None,
    )

    def chosen(known: Knowledge) -> Choice:
        found = candidates(known, rules, names)
        ids = {candidate.user_id for candidate in found}
        with visit.state.database.read() as connection:
            used = owners(connection, provider, ids, names.server_name)
        return choose_account(facts_of(known, found, used, rules, names.own_id))

    choice = chosen(known)
    if replaces_one_that_works(record, choice):
        return chosen(replace(known, named=None))
    return choice


def _is_namesakes(visit: Visit, record: AccountRecord | None) -> bool:
    """Whether the account is of somebody else, who had the person's id before."""
    if record is None:
        return False
    return is_another_person(visit.person, record, _rules(visit), _names(visit))


def forget_namesake(visit: Visit) -> None:
    """Before the person changes anything: nothing of somebody else's is theirs."""
    provider, person_id, server = visit.provider.id, visit.person.id, server_of(visit)
    with visit.state.database.read() as connection:
        record = account_of(connection, provider, person_id, server)
    if _is_namesakes(visit, record):
        with visit.state.database.write() as connection:
            retire(connection, person_id)


def _rules(visit: Visit) -> Rules:
    return rules_of(visit.provider, visit.values)


def _names(visit: Visit) -> Names:
    return visit.provider.names(own_id_of(visit), server_of(visit))


def _needs_proof(visit: Visit, record: AccountRecord | None, choice: Choice) -> bool:
    """A claim is enough where the admin allows it, and only instead of nothing better."""
    better = choice.user_id is not None and choice.origin not in (*OWN_LINKS, INTENDED)
    proven = record is not None and record.origin == PROVEN
    return better or proven or not visit.values.get("link_without_proof")


def own_id_of(visit: Visit) -> str:
    """The acting account; empty: not known yet."""
    session = visit.state.tokens(visit.provider).read()
    return (session.user_id if session else None) or ""


def _mode(visit: Visit) -> str:
    return str(visit.values.get("account_mode", "create"))


def _asks(visit: Visit, record: AccountRecord | None, *, agrees: bool) -> bool:
    wanted = _rules(visit).ask_consent and _mode(visit) == "create"
    return wanted and not agrees and not is_there(record)


def _origin(visit: Visit, record: AccountRecord | None, choice: Choice, *, asks: bool) -> str:
    """Where the account comes from, or why there is none."""
    if asks:
        return _("You have no account yet. One is created for you once you agree.")
    if choice.user_id is None:
        if record is not None and record.origin == NAMED:
            user = record.remote_user_id
            return _(
                "The account %(user)s exists already. Prove below that it is yours.", user=user
            )
        return choice.reason or _missing(visit)
    by_name = _("The site uses this account because its name is yours. Not yours? Link your own.")
    soon = _("This account is created for you as soon as one of your courses needs it.")
    sentences = {
        **dict.fromkeys(OWN_LINKS, _("You have linked this account.")),
        HOST: _("The site knows this account as yours."),
        EXTERNAL_ID: _("This account has your single sign-on."),
        CREATED: _("This account was created for you."),
        INTENDED: soon if _mode(visit) == "create" else by_name,
    }
    return sentences.get(choice.origin, by_name)


def _missing(visit: Visit) -> str:
    sentences = {
        "linked": _("You have no account here. Link one of your own to get into your rooms."),
        "invite": _("You are invited under your name here once one of your courses has a room."),
        "create": _("An account is created for you as soon as one of your courses has a room."),
    }
    return sentences.get(_mode(visit), sentences["create"])


def _may_set_password(visit: Visit, record: AccountRecord | None, account: str | None) -> bool:
    """Only for an account that commweb created, where nobody signs in another way."""
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
        "left": _("You left the room. Your teacher can add you back."),
        "kicked": _("You were removed in the chat. Your teacher can add you back."),
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
