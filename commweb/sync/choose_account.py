"""Whose account is this? The one rule by which a person gets a remote account. Pure.

A name is not a proof. In this order: what the person proved by a code; what the host says; the same
external id; an account that commweb created for the person; a claim (a link made where proof is not
asked for); an account that has the person's name, if the administrator chose to trust names; and
last a new account. No rule ever gives out the acting account. What is known to be unusable never
outranks an account that works.

`choose_account` decides among what is known here; `judge_found` decides about an account that was
found on the server under a name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from commweb.i18n import gettext as _

__all__ = [
    "CLAIM",
    "CREATED",
    "EXTERNAL_ID",
    "HOST",
    "INTENDED",
    "LINKED",
    "NAMED",
    "PROVEN",
    "REFUSED",
    "TRUSTED_NAME",
    "Candidate",
    "Choice",
    "Facts",
    "Found",
    "choose_account",
    "gives_way",
    "judge_found",
    "never_named",
    "own_account",
    "taken",
]

PROVEN = "proven"
LINKED = "linked"
"""Linked before it was recorded whether a code proved it: keeps its place, and gives way to a
proof."""
HOST = "host"
EXTERNAL_ID = "external_id"
CREATED = "created"
CLAIM = "claim"
TRUSTED_NAME = "trusted_name"
NAMED = "named"
"""An account with the person's name exists and is not known to be theirs."""
REFUSED = "refused"
"""The server has that name reserved, or a bridge owns it: another one is needed."""
INTENDED = "intended"
"""A new account, or one of that name: the server was not asked yet."""

ORDER = (PROVEN, LINKED, HOST, EXTERNAL_ID, CREATED, CLAIM, TRUSTED_NAME, NAMED, INTENDED)
GUESSES = (CLAIM, TRUSTED_NAME, NAMED, INTENDED, REFUSED)


@dataclass(frozen=True)
class Candidate:
    """An account that may be the person's, and where that comes from (``origin``).

    ``problem``: a sentence that says why it cannot be used; empty: nothing is known against it.
    ``owner`` and ``owner_origin``: another person here who has it, and where from. ``admin``: it
    is known to be a server administrator's.
    """

    user_id: str
    origin: str
    problem: str = ""
    owner: str = ""
    owner_origin: str = ""
    admin: bool = False


@dataclass(frozen=True)
class Facts:
    """All that is known of one person's accounts. ``own_id``: the acting account. ``in_use``: the
    account the person uses now, which was found usable; None: there is none. ``waits``: a sentence
    that says what the person has to do first; empty: nothing."""

    candidates: tuple[Candidate, ...]
    own_id: str
    in_use: str | None = None
    trust_names: bool = False
    waits: str = ""


@dataclass(frozen=True)
class Choice:
    """The account to use; None: there is none. ``reason``: why there is none, or why not the one
    that comes first. ``takes_from``: the person who had it by a guess and gets another one."""

    user_id: str | None
    origin: str = ""
    reason: str | None = None
    takes_from: str = ""


def choose_account(facts: Facts) -> Choice:
    """The account of the person."""
    reason: str | None = None
    for candidate in _ordered(facts.candidates):
        problem = _problem(candidate, facts)
        if not problem:
            origin = _settled(candidate.origin, trust=facts.trust_names)
            return Choice(candidate.user_id, origin, reason, candidate.owner)
        reason = reason or problem
    return Choice(None, reason=reason or facts.waits or None)


def _ordered(candidates: Iterable[Candidate]) -> list[Candidate]:
    known = [candidate for candidate in candidates if candidate.origin in ORDER]
    return sorted(known, key=lambda candidate: ORDER.index(candidate.origin))


def _settled(origin: str, *, trust: bool) -> str:
    """An account of the person's name is looked at again before it is trusted."""
    return INTENDED if origin == NAMED and trust else origin


def _problem(candidate: Candidate, facts: Facts) -> str:
    """Why it is not this one; empty: it is."""
    if candidate.user_id == facts.own_id:
        return own_account(candidate.user_id)
    if candidate.problem and candidate.user_id != facts.in_use:
        return candidate.problem
    if candidate.owner and not gives_way(candidate.owner_origin, candidate.origin):
        return taken(candidate.user_id)
    if candidate.origin in (CLAIM, NAMED) and candidate.admin:
        return never_named(candidate.user_id)
    if candidate.origin == NAMED and not facts.trust_names:
        return facts.waits or never_named(candidate.user_id)
    return ""


def gives_way(origin: str, to: str) -> bool:
    """Whether somebody who has an account from ``origin`` loses it to another person who has it
    from ``to``. A proof outranks all but a proof; what the host says and an external id outrank
    guesses; everything else takes nothing from anybody."""
    if to == PROVEN:
        return origin != PROVEN
    return to in (HOST, EXTERNAL_ID) and origin in GUESSES


@dataclass(frozen=True)
class Found:
    """An account that is on the server under a name.

    ``external_id``: it bears the person's external id. ``ours``: it is not older than the wish to
    create it and nobody ever signed in with it, so that commweb created it and missed the answer.
    ``foreign``: a bridge or another service owns it.
    """

    user_id: str
    admin: bool = False
    deactivated: bool = False
    locked: bool = False
    external_id: bool = False
    ours: bool = False
    foreign: bool = False


def judge_found(found: Found, *, trust_names: bool) -> str:
    """Where the account comes from for the person of that name: external_id, created (it is
    ours), trusted_name, named (not known to be theirs) or refused (nobody's to have)."""
    if found.foreign:
        return REFUSED
    if found.external_id:
        return EXTERNAL_ID
    barred = found.deactivated or found.locked
    if found.admin or barred:
        return NAMED
    if found.ours:
        return CREATED
    return TRUSTED_NAME if trust_names else NAMED


def own_account(user_id: str) -> str:
    """Why the acting account is nobody's, as a sentence."""
    return _("%(user)s is the site's own account and cannot be used by a person.", user=user_id)


def taken(user_id: str) -> str:
    """Why an account of somebody else here is not given out, as a sentence."""
    return _("The account %(user)s belongs to another person already.", user=user_id)


def never_named(user_id: str) -> str:
    """Why an account that only has the person's name is not used, as a sentence."""
    return _("The account %(user)s exists already and is not known to be theirs.", user=user_id)
