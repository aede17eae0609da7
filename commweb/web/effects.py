"""What pages do besides reading: speak to a homeserver with nothing open, and tell what it said."""

from __future__ import annotations

import math

import flask

from commweb.errors import CommWebError, ProviderError, RateLimited
from commweb.existing_names import checked
from commweb.fields import SettingsForm
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.providers.base import Finding, Provider
from commweb.state import State
from commweb.web.flashes import flash

__all__ = [
    "CHECK_SECONDS",
    "fill_in_address",
    "find",
    "flash_findings",
    "give_back",
    "offered_address",
    "problem_sentence",
    "waiting_time",
]

CHECK_SECONDS = 10.0
_OFFERED = "commweb_offered_address"


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
        if finding.use_address:
            flask.session[_OFFERED] = str(finding.use_address)
    return [finding.code for finding in findings if finding.code]


def offered_address() -> str:
    """The address that the findings shown on this page offer; empty: they offer none."""
    return str(flask.session.pop(_OFFERED, ""))


def fill_in_address(form: SettingsForm) -> bool:
    """Whether the button was pressed that puts the offered address in place of the typed one.
    Nothing is checked or saved then."""
    offered = flask.request.form.get("use_address", "")
    if not offered or not form.server_field:
        return False
    form[form.server_field].data = offered
    form.ask_again()
    return True


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
