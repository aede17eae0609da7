"""What pages do besides reading: speak to a homeserver with nothing open, and tell what it said."""

from __future__ import annotations

import math

from commweb.errors import CommWebError, ProviderError, RateLimited
from commweb.existing_names import checked
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.providers.base import Finding, Provider
from commweb.state import State
from commweb.web.flashes import flash

__all__ = [
    "CHECK_SECONDS",
    "find",
    "flash_findings",
    "give_back",
    "problem_sentence",
    "waiting_time",
]

CHECK_SECONDS = 10.0


def give_back(state: State) -> None:
    """Return the connection of the host's session to its pool.

    Called before our own write and before a homeserver is asked: an open transaction of the
    request would make the first wait for it and would stay open during the second.
    """
    state.db.session.commit()


def find(state: State, provider: Provider) -> list[Finding]:
    """Try the saved settings on the provider's server; what was found, at most 10 s later."""
    give_back(state)
    try:
        return checked(state, provider, CHECK_SECONDS)
    except CommWebError as error:
        return [Finding("warning", error.sentence)]


def flash_findings(findings: list[Finding]) -> list[str]:
    """Show each finding on the next page; their codes, which that page may answer with a
    button."""
    for finding in findings:
        flash(finding.message, finding.level)
    return [finding.code for finding in findings if finding.code]


def problem_sentence(error: ProviderError) -> str:
    """What went wrong, and how long to wait where the other side asked for a pause."""
    if error.retry_after_seconds is None:
        return error.message
    pause = waiting_time(error.retry_after_seconds)
    if isinstance(error, RateLimited):
        return _("The homeserver limits how often this may be done. Wait %(time)s.", time=pause)
    return f"{error.message} " + _("Try again in %(time)s.", time=pause)


def waiting_time(seconds: float) -> str:
    """A pause in words, rounded up: seconds below two minutes, else minutes."""
    if seconds <= 120:
        count = max(1, math.ceil(seconds))
        return ngettext("%(count)d second", "%(count)d seconds", count)
    return ngettext("%(count)d minute", "%(count)d minutes", math.ceil(seconds / 60))
