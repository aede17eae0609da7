"""Which accounts may be a person's, by what is known here and what the admin chose. Pure.

The admin's mode says whether missing accounts are created, whether people are put into rooms or
invited, and whether only accounts of people's own count. `commweb.sync.choose_account` decides.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from commweb.account_rows import AccountRecord, Owner
from commweb.host import Person, Role
from commweb.i18n import gettext as _
from commweb.providers.base import Backend, Provider
from commweb.providers.names import Names
from commweb.providers.rooms import AccountFacts, ObservedRoom
from commweb.sync.choose_account import (
    CLAIM,
    CREATED,
    EXTERNAL_ID,
    HOST,
    INTENDED,
    LINKED,
    NAMED,
    ORDER,
    PROVEN,
    REFUSED,
    TRUSTED_NAME,
    Candidate,
    Choice,
    Facts,
)
from commweb.sync.desired import LEVELS
from commweb.sync.known import Target

__all__ = [
    "Knowledge",
    "Rules",
    "best_rank",
    "candidates",
    "capped",
    "facts_of",
    "free_name",
    "host_named",
    "is_another_person",
    "is_there",
    "level_map",
    "name_of",
    "replaces_one_that_works",
    "rules_of",
    "still_good",
    "waits",
    "with_owner",
]

HIGHEST_LEVEL = 100
NAMES = 60
"""So many names are tried for one person at most."""
OTHER_BEGINNING = "u-"
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

    ``mode``: create (missing accounts are created), invite (none is created, people are invited)
    or linked (only accounts that people linked or the host names). ``template`` makes the name of
    an account from {username}, {id} and {external_id}. ``ask_consent``: no account is created
    before the person agrees. ``page`` is the name of the page on which people do that.
    ``trust_names``: an account that exists under a person's name is theirs. ``federate``: people
    of other servers can be in rooms.
    """

    mode: str = "create"
    template: str = "{username}"
    ask_consent: bool = False
    page: str = ""
    trust_names: bool = False
    federate: bool = True


def rules_of(provider: Provider | None, values: Mapping[str, Any]) -> Rules:
    """The rules in a provider's settings; what it has no setting for is as by default."""
    plain = Rules()
    return Rules(
        mode=str(values.get("account_mode", plain.mode)),
        template=str(values.get("localpart_template") or plain.template),
        ask_consent=bool(values.get("ask_consent", plain.ask_consent)),
        page=str(provider.account_page or "") if provider else "",
        trust_names=values.get("existing_accounts") == "trust",
        federate=bool(values.get("federate", plain.federate)),
    )


def level_map(values: Mapping[str, Any]) -> dict[Role, int]:
    """The power level of each role in a provider's settings."""
    return {role: int(values.get(LEVEL_SETTINGS[role], level)) for role, level in LEVELS.items()}


@dataclass(frozen=True)
class Knowledge:
    """What is known of one person here. ``record``: the account so far. ``willing``: an account may
    be created. ``named``: the account that the host names for this provider, ``shared`` with how
    many others of the room. ``found``: what looking at accounts gave, by remote id. ``name``: the
    remote id for a new account; None: none can be made up."""

    person: Person
    record: AccountRecord | None = None
    willing: bool = True
    named: str | None = None
    shared: int = 0
    found: Mapping[str, AccountFacts] = field(default_factory=dict)
    name: str | None = None

    @property
    def name_is_free(self) -> bool:
        """Whether the account that had the person's name is known to be gone."""
        if self.record is None or self.record.source != NAMED:
            return False
        facts = self.found.get(self.record.remote_user_id)
        return facts is not None and not (facts.existed or facts.usable)

    def may_get_new(self, rules: Rules) -> bool:
        """Whether a new account may be created for them, or theirs looked for by its name."""
        waiting = self.record is not None and self.record.source == NAMED and not self.name_is_free
        return rules.mode != "linked" and self.willing and bool(self.name) and not waiting


def host_named(person: Person, provider_id: str) -> str | None:
    """The account that the host names for this provider; None: none."""
    return person.accounts.get(provider_id) or None


def candidates(known: Knowledge, rules: Rules, names: Names) -> tuple[Candidate, ...]:
    """The accounts that may be the person's, as far as the admin's mode allows each kind."""
    return tuple(_candidates(known, rules, names))


def _candidates(known: Knowledge, rules: Rules, names: Names) -> Iterator[Candidate]:
    record = known.record
    source = record.source if record else ""
    if record and source in (PROVEN, LINKED, CLAIM, EXTERNAL_ID):
        yield _checked(known, Candidate(record.remote_user_id, source), rules, names)
    if known.named:
        yield _checked(known, Candidate(known.named, HOST), rules, names)
    if rules.mode == "linked":
        return
    if record and record.made_user_id:
        yield Candidate(record.made_user_id, CREATED)
    if record and source in (TRUSTED_NAME, NAMED) and not known.name_is_free:
        yield Candidate(record.remote_user_id, source)


def _checked(known: Knowledge, candidate: Candidate, rules: Rules, names: Names) -> Candidate:
    """Checked for form and server, for being one person's only, and by what looking at it gave."""
    problem = _problem(known, candidate, rules, names)
    facts = known.found.get(candidate.user_id)
    if facts is None or problem:
        return replace(candidate, problem=problem)
    reason = "" if facts.usable else facts.reason or _("The account cannot be used.")
    return replace(candidate, problem=reason, admin=facts.admin)


def _problem(known: Knowledge, candidate: Candidate, rules: Rules, names: Names) -> str:
    user = candidate.user_id
    where = names.whereabouts(user)
    if where == "nowhere":
        return _("The account %(user)s given by the site is not a valid user ID.", user=user)
    if where == "elsewhere" and not rules.federate:
        return _("%(user)s is on another server, and rooms are not federated.", user=user)
    if candidate.origin == HOST and known.shared:
        count = known.shared + 1
        return _("The site gives the account %(user)s to %(count)d people.", user=user, count=count)
    return ""


def best_rank(found: tuple[Candidate, ...]) -> int:
    """How good the best reason is; the lower, the better."""
    return min((ORDER.index(one.origin) for one in found), default=len(ORDER))


def with_owner(candidate: Candidate, person_id: str, used: Mapping[str, Owner]) -> Candidate:
    """The candidate with the other person who has the account."""
    owner = used.get(candidate.user_id)
    if owner is None or owner.person_id == person_id:
        return candidate
    return replace(candidate, owner=owner.person_id, owner_origin=owner.source)


def facts_of(
    known: Knowledge,
    found: tuple[Candidate, ...],
    used: Mapping[str, Owner],
    rules: Rules,
    own_id: str,
    *,
    waiting: str = "",
) -> Facts:
    """All that the choice goes by, for a sync and for a page alike. ``found``: the person's
    `candidates`; ``used``: who has which of them; ``waiting``: what `waits` says."""
    record = known.record
    if known.may_get_new(rules):
        found = (*found, Candidate(known.name or "", INTENDED))
    works = record is not None and record.checked_at is not None
    in_use = record.remote_user_id if record and works else None
    return Facts(
        tuple(with_owner(one, known.person.id, used) for one in found),
        own_id=own_id,
        in_use=None if record and record.origin in (NAMED, REFUSED) else in_use,
        trust_names=rules.trust_names,
        waits=waiting,
    )


def replaces_one_that_works(record: AccountRecord | None, pick: Choice) -> bool:
    """Whether the host names another account than the one that works: it is looked at first."""
    if record is None or pick.user_id is None or pick.origin != HOST:
        return False
    works = record.checked_at is not None or record.made_user_id is not None
    return works and pick.user_id != record.remote_user_id


def still_good(record: AccountRecord, found: AccountFacts) -> bool:
    """Whether an account that was claimed can go on being used."""
    return record.origin == CLAIM and found.usable and not found.admin


def waits(known: Knowledge, rules: Rules) -> str:
    """What the person has to do before there is an account, as a sentence; empty: nothing."""
    record, page = known.record, rules.page
    if rules.mode == "linked":
        return _("Has to link an account on the page “%(page)s”.", page=page)
    if record and record.source == NAMED:
        return _(
            "The account %(user)s exists already. They have to prove on the page “%(page)s” that "
            "it is theirs.",
            user=record.remote_user_id,
            page=page,
        )
    if not known.willing:
        return _("Has to agree on the page “%(page)s” that an account is created.", page=page)
    if known.name is not None:
        return ""
    if name_of(known.person, rules) is None:
        return _("No external ID, so no user ID can be generated.")
    return _("No free user ID was found for their name.")


def free_name(
    known: Knowledge, rules: Rules, backend: Backend, is_free: Callable[[str], bool]
) -> str | None:
    """The remote id for a new account: the one that was meant before, else the person's name as
    the rules write it, with a suffix if it is not free or the server refused it. None: the name
    cannot be made up, or too many are taken."""
    record, name = known.record, name_of(known.person, rules)
    if record is not None and record.source == INTENDED and is_free(record.remote_user_id):
        return record.remote_user_id
    if name is None:
        return None
    refused = record.remote_user_id if record and record.origin == REFUSED else None
    if refused is not None:
        # Another beginning: a bridge owns all names that begin as its own do.
        name = f"{OTHER_BEGINNING}{name}"
    tried: set[str] = set()
    passed = refused is None or OTHER_BEGINNING not in refused
    for _attempt in range(NAMES):
        try:
            remote_id = backend.identify(name, frozenset(tried))
        except ValueError:
            return None
        tried.add(remote_id)
        if passed and is_free(remote_id):
            return remote_id
        # Names up to the one that was refused last were refused before.
        passed = passed or remote_id == refused
    return None


def is_another_person(person: Person, record: AccountRecord, rules: Rules, names: Names) -> bool:
    """Whether the host gave the person's id to somebody else: neither the external id nor the
    name is the one that the account was created for."""
    same = person.external_id == record.external_id
    if same or not person.external_id or not record.external_id:
        return False
    created = record.made_user_id or (record.remote_user_id if record.origin == CREATED else None)
    name = name_of(person, rules)
    if created is None or name is None:
        return False
    try:
        plain = names.identify(name, frozenset())
    except NotImplementedError:
        return False  # left to the sync, which can tell
    return plain.rpartition(":")[0].lstrip("@") not in created


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


def is_there(record: AccountRecord | None) -> bool:
    """Whether the person has an account already that nobody has to agree to."""
    if record is None:
        return False
    seen = record.origin == CREATED and record.checked_at is not None
    return seen or record.made_user_id is not None or record.source == TRUSTED_NAME


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
