"""Storing a provider's tokens: whose they are is asked first, a change of the server waits for a
confirmation, and the session that was replaced is logged out afterwards.

No transaction is open while a server is asked.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from commweb.connection import OK, Session, TokenPair
from commweb.encryption import Secret
from commweb.errors import CommWebError, ProviderError, Unreachable
from commweb.i18n import gettext as _
from commweb.i18n import joined
from commweb.models import now
from commweb.providers.base import Introduced, Provider, SignedIn
from commweb.provisioning import end_replaced
from commweb.state import State
from commweb.waiting import Waiting
from commweb.web.effects import give_back
from commweb.web.flashes import flash

__all__ = ["Tried", "after_saving", "end_new", "introduced", "packed", "unpacked", "waiting_for"]

INTRODUCE_SECONDS = 10.0


@dataclass(frozen=True)
class Tried:
    """Tokens on their way into the store. ``access`` and ``refresh`` None: what is stored stays.
    ``user_id`` None: the server did not say whose they are. ``signed_in``: they come from a
    sign-in here, so that nobody else has them. ``problem``: the server did not answer, in
    words."""

    access: Secret | None
    refresh: Secret | None
    expires_at: datetime | None = None
    lifetime_seconds: int | None = None
    user_id: str | None = None
    device_id: str | None = None
    signed_in: bool = False
    problem: str = ""

    @classmethod
    def of_sign_in(cls, done: SignedIn) -> Tried:
        """What a sign-in gave."""
        return cls(
            done.pair.access,
            done.pair.refresh,
            done.pair.expires_at,
            done.pair.lifetime_seconds,
            done.user_id,
            done.device_id,
            signed_in=True,
        )


def introduced(
    state: State,
    provider: Provider,
    values: Mapping[str, Any],
    access: Secret | None,
    refresh: Secret | None,
) -> Tried:
    """The typed tokens, with whose they are as far as their server says so now."""
    tried = Tried(access, refresh)
    if access is None:
        return tried
    give_back(state)
    server_url = provider.server_url(values)
    pair = TokenPair(access, refresh)
    began = time.monotonic()
    try:
        whose = provider.introduce(server_url, state.network, pair, INTRODUCE_SECONDS)
    except Unreachable as error:
        slow = time.monotonic() - began > INTRODUCE_SECONDS / 2
        # Asking a server that does not answer a second time would only take as long again.
        return replace(tried, problem=error.message) if slow else tried
    except CommWebError:
        return tried  # the check that follows says what is wrong
    return tried if whose is None else _known(tried, whose)


def _known(tried: Tried, whose: Introduced) -> Tried:
    known = replace(tried, user_id=whose.user_id, device_id=whose.device_id)
    if not whose.refreshed:
        return known
    return replace(
        known,
        access=whose.pair.access,
        refresh=whose.pair.refresh,
        expires_at=whose.pair.expires_at,
        lifetime_seconds=whose.pair.lifetime_seconds,
    )


def waiting_for(state: State, provider: Provider, person_id: str) -> Waiting:
    """What waits for the person to confirm it."""
    return Waiting(state.database, state.sealer, provider.id, person_id)


def packed(tried: Tried, values: Mapping[str, Any], version: int) -> dict[str, Any]:
    """For `Waiting`: the tokens, and the form they came with."""
    left = None if tried.expires_at is None else (tried.expires_at - now()).total_seconds()
    return {
        "tokens": True,
        "access": tried.access.reveal() if tried.access else None,
        "refresh": tried.refresh.reveal() if tried.refresh else None,
        "ends": None if left is None else (now() + timedelta(seconds=left)).isoformat(),
        "lifetime": tried.lifetime_seconds,
        "user_id": tried.user_id,
        "device_id": tried.device_id,
        "signed_in": tried.signed_in,
        "values": dict(values),
        "version": version,
    }


def unpacked(payload: Mapping[str, Any]) -> Tried:
    """The tokens again."""
    ends = payload["ends"]
    return Tried(
        Secret(payload["access"]) if payload["access"] else None,
        Secret(payload["refresh"]) if payload["refresh"] else None,
        datetime.fromisoformat(ends) if ends else None,
        payload["lifetime"],
        payload["user_id"],
        payload["device_id"],
        payload["signed_in"],
    )


def after_saving(
    state: State, provider: Provider, old: Session | None, typed: Secret | None
) -> None:
    """Say what became of the session that was there before, and of a typed access token. After
    the new tokens were tried."""
    session = state.tokens(provider).read()
    if session is None:
        return
    if typed is not None and session.state == OK and session.pair.access != typed:
        sentence = _("The access token was not accepted.")
        more = _("A new one was obtained with the refresh token, and stored.")
        flash(joined([sentence, more]), "info")
    if (
        old is None
        or old.pair.access == session.pair.access
        or old.generation == session.generation
    ):
        return
    problem = end_replaced(state, provider, old, session)
    if problem:
        flash(problem, "warning")


def end_tried(state: State, provider: Provider, payload: Mapping[str, Any]) -> None:
    """End a session that waited and is not wanted, if it was signed in to here."""
    end_new(state, provider, payload["values"], unpacked(payload))


def end_new(state: State, provider: Provider, values: Mapping[str, Any], tried: Tried) -> None:
    """End a session that was signed in to here and is not stored; said if that failed."""
    if not tried.signed_in or tried.access is None:
        return
    pair = TokenPair(tried.access, tried.refresh)
    try:
        provider.end_session(provider.server_url(values), state.network, pair, None)
    except ProviderError:
        flash(_("The new session could not be ended."), "warning")
