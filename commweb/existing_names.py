"""How many of the site's people have names that exist already as accounts.

A sample with a bound: the check that says it has a deadline, and a site may have any number of
people.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from sqlalchemy import func, select

from commweb.account_rows import accounts, of_server
from commweb.errors import ProviderError
from commweb.host import Person
from commweb.i18n import ngettext
from commweb.models import Account
from commweb.providers.base import Finding, Provider
from commweb.state import State
from commweb.sync.choose_account import NAMED
from commweb.sync.identity import Rules, host_named, name_of, rules_of

__all__ = ["LOOK_UPS", "checked", "existing_names"]

LOOK_UPS = 25
"""So many accounts are looked for at most."""
PEOPLE_READ = 500


def checked(state: State, provider: Provider, seconds: float) -> list[Finding]:
    """What the provider's own check finds and, if it is good, the names that exist already; within
    ``seconds``. Raises `CommWebError`."""
    ends = time.monotonic() + seconds
    found = list(provider.check(state.context(provider), seconds))
    left = ends - time.monotonic()
    if not found or any(one.level == "danger" for one in found) or left < 1:
        return found
    more = existing_names(state, provider, left)
    return [*found, more] if more is not None else found


def existing_names(state: State, provider: Provider, seconds: float) -> Finding | None:
    """The finding, "at least" so many; None: there are none, or names give nobody an account."""
    values = state.values(provider).values
    rules = rules_of(provider, values)
    if provider.account_page is None or rules.mode == "linked":
        return None
    ends = time.monotonic() + seconds
    server = _server(state, provider)
    people = _without_account(state, provider, server, ends)
    count = _waiting(state, provider, server) + _existing(state, provider, rules, people, ends)
    return _finding(count, trust=rules.trust_names) if count else None


def _server(state: State, provider: Provider) -> str:
    session = state.tokens(provider).read()
    return (session.server_name if session else None) or ""


def _waiting(state: State, provider: Provider, server: str) -> int:
    """Who is known to have such a name."""
    query = select(func.count()).where(
        Account.provider == provider.id,
        Account.origin == NAMED,
        Account.retired_at.is_(None),
        of_server(server),
    )
    with state.database.read() as connection:
        return connection.execute(query).scalar_one()


def _without_account(state: State, provider: Provider, server: str, ends: float) -> list[Person]:
    """Some people of whom nothing is known yet."""
    found: dict[str, Person] = {}
    try:
        with state.app.app_context():
            for person in _people(state):
                found[person.id] = person
                if len(found) >= PEOPLE_READ or time.monotonic() > ends:
                    break
    except Exception:  # noqa: BLE001  (a host that fails has no people to say anything about)
        return []
    with state.database.read() as connection:
        known = accounts(connection, provider.id, found, server)
    free = [one for key, one in found.items() if key not in known]
    return [one for one in free if not host_named(one, provider.id)][:LOOK_UPS]


def _people(state: State) -> Iterator[Person]:
    for course in state.host.courses():
        for member in state.host.members(course.id):
            yield member.person


def _existing(
    state: State, provider: Provider, rules: Rules, people: list[Person], ends: float
) -> int:
    """How many of their names are there; as far as the time goes."""
    left = ends - time.monotonic()
    if not people or left <= 0:
        return 0
    count = 0
    try:
        with closing(provider.people(state.context(provider), left)) as desk:
            for person in people:
                name = name_of(person, rules)
                if name is not None:
                    count += desk.examine(desk.identify(name)).existed
    except (ProviderError, NotImplementedError):
        return count
    return count


def _finding(count: int, *, trust: bool) -> Finding:
    if trust:
        text = ngettext(
            "At least %(count)d person has a name that exists already as an account, and gets it.",
            "At least %(count)d people have names that exist already as accounts, and get them.",
            count,
        )
    else:
        text = ngettext(
            "At least %(count)d person has a name that exists already as an account. They are not "
            "added until they prove that it is theirs.",
            "At least %(count)d people have names that exist already as accounts. They are not "
            "added until they prove that these are theirs.",
            count,
        )
    return Finding("warning", text, "existing_names")
