"""What the homeserver says when it is tried, in words, within a deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from commweb.errors import AddressRefused, ProviderError, RateLimited, Refused, SignInNeeded
from commweb.i18n import gettext as _
from commweb.providers.base import Finding, ProviderContext
from commweb.providers.matrix import public
from commweb.providers.matrix.backend import Acting
from commweb.providers.matrix.client import Limits
from commweb.providers.matrix.session import HomeserverSession

__all__ = ["NO_LIMITS", "RATE_LIMITED", "check"]

RATE_LIMITED = "rate_limited"
NO_LIMITS = Limits(0, 0)


def check(context: ProviderContext, deadline_seconds: float) -> list[Finding]:
    """Reached or not, whose account, administrator or not, which limits. Never raises
    `ProviderError`; the first thing that fails is the last finding."""
    found: list[Finding] = []
    try:
        session = HomeserverSession.open(context, seconds=deadline_seconds)
    except ProviderError as error:
        return [Finding("danger", error.message, "sign_in_needed")]
    try:
        for finding in _findings(session):
            found.append(finding)
    except SignInNeeded as error:
        found.append(Finding("danger", error.message, "sign_in_needed"))
    except RateLimited as error:
        found.append(Finding("warning", error.message, RATE_LIMITED))
    except ProviderError as error:
        code = "address_refused" if isinstance(error, AddressRefused) else "unreachable"
        found.append(Finding("danger", error.message, code))
    finally:
        session.close()
    return found


def _findings(session: HomeserverSession) -> Iterator[Finding]:
    spoken = public.versions(session.transport)
    message = _("The homeserver answers. It speaks Matrix %(version)s.", version=spoken[-1])
    yield Finding("success", message, "reached")
    acting = session.asked()
    yield Finding(
        "success",
        _(
            "The session belongs to %(user)s on the server %(server)s.",
            user=acting.user_id,
            server=acting.server_name,
        ),
        "account",
    )
    if public.uses_delegated_auth(session.transport):
        yield Finding(
            "info",
            _(
                "An authentication service manages this homeserver's accounts. People have to "
                "sign in to Matrix once before they can be added to rooms."
            ),
            "delegated_auth",
        )
    if not _is_admin(session, acting):
        yield Finding(
            "danger",
            _(
                "%(user)s is not a server administrator, which making accounts and adding "
                "people needs.",
                user=acting.user_id,
            ),
            "not_admin",
        )
        return
    message = _("%(user)s is a server administrator.", user=acting.user_id)
    yield Finding("success", message, "admin")
    if session.client.limits(acting.user_id) != NO_LIMITS:
        yield Finding(
            "warning",
            _(
                "The homeserver's rate limits are in force for this account, which slows down "
                "work on many rooms."
            ),
            RATE_LIMITED,
        )


def _is_admin(session: HomeserverSession, acting: Acting) -> bool:
    ask: Callable[[str], bool] = session.client.is_admin
    try:
        return ask(acting.user_id)
    except Refused as error:
        if error.status == 403:  # only an administrator may ask
            return False
        raise
