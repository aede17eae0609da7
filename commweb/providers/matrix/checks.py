"""What the homeserver says when it is tried, in words, within a deadline."""

from __future__ import annotations

from collections.abc import Iterator

from commweb.errors import (
    AddressRefused,
    ProviderError,
    ProviderStopped,
    RateLimited,
    SignInNeeded,
    Unreachable,
    UserLimitReached,
)
from commweb.i18n import gettext as _
from commweb.providers.base import Finding, ProviderContext
from commweb.providers.matrix import public
from commweb.providers.matrix.backend import Acting
from commweb.providers.matrix.client import Limits
from commweb.providers.matrix.discovery import named_homeserver, use_instead
from commweb.providers.matrix.session import HomeserverSession
from commweb.providers.matrix.stopped import STOPS

__all__ = ["NO_LIMITS", "RATE_LIMITED", "check"]

RATE_LIMITED = "rate_limited"
NO_LIMITS = Limits(0, 0)


def check(context: ProviderContext, deadline_seconds: float) -> list[Finding]:
    """Reached or not, whose account, administrator or not, whether it may do anything, which
    limits. Never raises `ProviderError`; the first thing that fails ends it."""
    found: list[Finding] = []
    try:
        session = HomeserverSession.open(context, seconds=deadline_seconds)
    except ProviderError as error:
        return [Finding("danger", error.message, "sign_in_needed")]
    try:
        for finding in _findings(session):
            found.append(finding)
    except ProviderError as error:
        found.append(_finding(error))
        if not any(one.code == "reached" for one in found):
            found.extend(_found_address(session, error))
    finally:
        session.close()
    return found


def _finding(error: ProviderError) -> Finding:
    """The error as what a check found."""
    level, code = "danger", "unreachable"
    match error:
        case SignInNeeded():
            code = "sign_in_needed"
        case RateLimited():
            level, code = "warning", RATE_LIMITED
        case AddressRefused():
            code = "address_refused"
        case UserLimitReached():
            code = "user_limit"
        case ProviderStopped():
            code = "not_admin" if error.errcode == "M_FORBIDDEN" else "stopped"
    return Finding(level, error.message, code)


def _found_address(session: HomeserverSession, error: ProviderError) -> Iterator[Finding]:
    """The homeserver that this domain names, where something else answers."""
    transport = session.transport
    found = named_homeserver(session.door, transport) if error.status is not None else None
    if found is not None:
        yield Finding("info", use_instead(found, transport.base_url), "found_address", found)


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
    yield from _powers(session, acting)
    if session.client.limits(acting.user_id) != NO_LIMITS:
        yield Finding(
            "warning",
            _(
                "The homeserver's rate limits are in force for this account, which slows down "
                "work on many rooms."
            ),
            RATE_LIMITED,
        )


def _powers(session: HomeserverSession, acting: Acting) -> Iterator[Finding]:
    """What the account may do: asked for, because a server that answers may refuse to work."""
    own = session.client.user(acting.user_id)  # which only an administrator may ask
    if own is None:
        raise Unreachable(
            _("The homeserver does not know its own account %(user)s.", user=acting.user_id)
        )
    message = _("%(user)s is a server administrator.", user=acting.user_id)
    yield Finding("success", message, "admin")
    if own.suspended:
        yield Finding("danger", str(STOPS["M_USER_SUSPENDED"]), "stopped")
    try:
        session.client.try_creating()
    except (ProviderStopped, UserLimitReached) as error:
        yield _finding(error)
    except RateLimited:
        pass  # the last finding says so
