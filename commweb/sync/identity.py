"""The identity chain: which account a person is to use, by the admin's rules. Pure.

The chain is: an account the person linked, else the one the host names, else one made from a
template. The admin's mode says whether missing accounts are made, whether people are put into
rooms or invited, and whether only accounts of people's own count. Who gets none, gets a reason.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from commweb.accounts import CREATED, HOST, LINKED, AccountRecord
from commweb.host import Person, Role
from commweb.i18n import gettext as _
from commweb.providers.base import Backend, Provider
from commweb.providers.rooms import ObservedRoom
from commweb.sync.desired import LEVELS
from commweb.sync.known import Target

__all__ = ["Pick", "Rules", "capped", "level_map", "name_of", "rules_of", "wish"]

HIGHEST_LEVEL = 100
LEVEL_SETTINGS: Mapping[Role, str] = MappingProxyType(
    {
        Role.PARTICIPANT: "level_student",
        Role.MODERATOR: "level_teacher",
        Role.ADMIN: "level_admin",
    }
)
_PLACE = re.compile(r"\{(username|id|external_id)\}")


@dataclass(frozen=True)
class Rules:
    """What the admin chose about accounts.

    ``mode``: create (missing accounts are made), invite (none is made, people are invited) or
    linked (only accounts that people linked or the host names). ``template`` makes the name of
    an account from {username}, {id} and {external_id}. ``ask_consent``: no account is made
    before the person agrees. ``page`` is the name of the page on which people do that.
    """

    mode: str = "create"
    template: str = "{username}"
    ask_consent: bool = False
    page: str = ""


def rules_of(provider: Provider | None, values: Mapping[str, Any]) -> Rules:
    """The rules in a provider's settings; what it has no setting for is as by default."""
    plain = Rules()
    return Rules(
        mode=str(values.get("account_mode", plain.mode)),
        template=str(values.get("localpart_template") or plain.template),
        ask_consent=bool(values.get("ask_consent", plain.ask_consent)),
        page=str(provider.account_page or "") if provider else "",
    )


def level_map(values: Mapping[str, Any]) -> dict[Role, int]:
    """The power level of each role in a provider's settings."""
    return {role: int(values.get(LEVEL_SETTINGS[role], level)) for role, level in LEVELS.items()}


@dataclass(frozen=True)
class Pick:
    """The account to use and where it comes from; None with the ``reason``."""

    remote_user_id: str | None
    origin: str = ""
    reason: str | None = None


def wish(
    person: Person, record: AccountRecord | None, *, willing: bool, rules: Rules, backend: Backend
) -> Pick:
    """The account of the person, whoever else may have it. ``record`` is what he or she has so
    far, ``willing``: an account may be made."""
    if record is not None and record.origin == LINKED:
        return Pick(record.remote_user_id, LINKED)
    if person.matrix_user_id:
        return _named(person.matrix_user_id, backend)
    if rules.mode == "linked":
        page = rules.page
        return Pick(None, reason=_("Has to link an account on the page “%(page)s”.", page=page))
    if not (willing or _is_there(record)):
        asks = _("Has to agree on the page “%(page)s” that an account is made.", page=rules.page)
        return Pick(None, reason=asks)
    return _made_by_us(person, record, rules, backend)


def _made_by_us(
    person: Person, record: AccountRecord | None, rules: Rules, backend: Backend
) -> Pick:
    made = _made(record)
    if made is not None:
        return Pick(made, CREATED)
    name = name_of(person, rules)
    if name is None:
        return Pick(None, reason=_("Has no external ID, from which the user ID is made."))
    return Pick(backend.identify(name, frozenset()), CREATED)


def _named(remote_id: str, backend: Backend) -> Pick:
    if backend.whereabouts(remote_id) == "nowhere":
        reason = _("The site names the account %(user)s, which is no user ID.", user=remote_id)
        return Pick(None, reason=reason)
    return Pick(remote_id, HOST)


def name_of(person: Person, rules: Rules) -> str | None:
    """The rules' template, filled in one pass; None when a value is missing."""
    values = {
        "username": person.username,
        "id": person.id,
        "external_id": person.external_id or "",
    }
    wanted = _PLACE.findall(rules.template)
    if not all(values[place] for place in wanted):
        return None
    return _PLACE.sub(lambda place: values[place[1]], rules.template)


def _made(record: AccountRecord | None) -> str | None:
    """The account that was made from the template before, or will be."""
    if record is None:
        return None
    return record.remote_user_id if record.origin == CREATED else record.made_user_id


def _is_there(record: AccountRecord | None) -> bool:
    """Whether that account exists already."""
    if record is None:
        return False
    seen = record.origin == CREATED and record.checked_at is not None
    return seen or record.made_user_id is not None


def capped(target: Target, observed: ObservedRoom | None, backend: Backend) -> Target:
    """Nobody as high as the acting account, where that could not be undone: in rooms before
    version 12, where it has a level like everybody else."""
    if all(seat.level < HIGHEST_LEVEL for seat in target.seats):
        return target
    if observed is None:
        highest = backend.highest_level()
    else:
        unlisted = observed.own_id in observed.creators
        highest = HIGHEST_LEVEL if unlisted else HIGHEST_LEVEL - 1
    seats = tuple(replace(seat, level=min(seat.level, highest)) for seat in target.seats)
    return replace(target, seats=seats)
