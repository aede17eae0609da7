"""The token ring: every caller has a working access token, and exactly one of them refreshes.

A refresh token works until the access token it was exchanged for is used; two callers that
refresh at the same moment both get an answer, and one pair is dead. So the right to refresh is a
lease in the database, the new pair is committed before its first use, and nobody holds a lock
or a transaction while the homeserver is asked. Source: Matrix client-server API, "Refreshing
access tokens" (https://spec.matrix.org/latest/client-server-api/#refreshing-access-tokens).
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from commweb.connection import OK, Session, TokenPair, TokenStore
from commweb.encryption import Secret
from commweb.errors import ProviderError, RateLimited, Refused, SignInNeeded, Unreachable
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.matrix.transport import Answer, Transport, Upload

__all__ = ["SignedCaller", "Timing", "TokenRing"]

Refresh = Callable[[Secret, float], TokenPair]


@dataclass(frozen=True)
class Timing:
    """Seconds. ``refresh`` bounds all tries of one refresh together and is shorter than
    ``lease``; ``wait`` is how long to wait for somebody else's."""

    refresh: float = 10.0
    lease: float = 30.0
    wait: float = 45.0
    margin: float = 60.0
    reread: float = 5.0


class TokenRing:
    """Tokens for one caller (a backend, used by one thread at a time).

    ``refresh`` asks the homeserver (`commweb.providers.matrix.public.refresh`); ``base_url`` is
    where its tokens go: a session that was stored for another server meanwhile is not used.
    """

    def __init__(
        self,
        store: TokenStore,
        base_url: str,
        refresh: Refresh,
        *,
        timing: Timing | None = None,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._base_url = base_url
        self._refresh = refresh
        self._timing = timing or Timing()
        self._pause = pause
        self._user_id: str | None = None
        self._cached: Session | None = None
        self._read_at = 0.0

    def bind(self, user_id: str) -> None:
        """From now on use no session that is not known to be this account's."""
        self._user_id = user_id

    def token(self) -> Secret:
        """An access token that is good for a while yet.

        Raises `SignInNeeded`, or `Unreachable` when a due refresh could not be had.
        """
        session = self._recent()
        if self._due(session):
            session = self._renewed(None)
        return session.pair.access

    def replacement(self, failed: Secret) -> Secret:
        """Another token for the one the server rejected as unknown. Raises like `token`."""
        return self._renewed(failed).pair.access

    def session(self) -> Session:
        """The stored session as it is now. Raises `SignInNeeded`."""
        return self._read()

    def _recent(self) -> Session:
        if self._cached is None or time.monotonic() - self._read_at > self._timing.reread:
            return self._read()
        return self._cached

    def _read(self) -> Session:
        session = self._store.read()
        if session is None or session.state != OK:
            raise SignInNeeded((session.reason if session else None) or _ended())
        # Tokens that nobody knows the account of yet may be anybody's.
        other_account = self._user_id is not None and session.user_id != self._user_id
        if session.base_url != self._base_url or other_account:
            raise Unreachable(_("The homeserver or its account was changed meanwhile."))
        self._cached, self._read_at = session, time.monotonic()
        return session

    def _left(self, session: Session) -> float:
        """Seconds the access token still works; infinite when it says nothing about it."""
        expires_at = session.pair.expires_at
        return float("inf") if expires_at is None else (expires_at - now()).total_seconds()

    def _due(self, session: Session) -> bool:
        if session.pair.refresh is None:
            return False
        lifetime = session.pair.lifetime_seconds
        margin = self._timing.margin if lifetime is None else min(self._timing.margin, lifetime / 5)
        return self._left(session) < margin

    def _renewed(self, failed: Secret | None) -> Session:
        """The session after a refresh, by us or by somebody else."""
        gives_up = time.monotonic() + self._timing.wait
        while time.monotonic() < gives_up:
            session = self._read()
            if session.pair.access != failed and not self._due(session):
                return session
            works = session.pair.access != failed and self._left(session) > 0
            holder = secrets.token_hex(16)
            if self._store.take_lease(holder, session.generation, self._timing.lease):
                if self._refreshed(session, holder):
                    return self._read()
            elif works:
                return session
            else:
                self._pause(0.05 + secrets.randbelow(51) / 1000)
        raise Unreachable(_("The session with the homeserver is being refreshed; trying again."))

    def _refreshed(self, session: Session, holder: str) -> bool:
        """Whether we stored a new pair. False: the session is another one now; look again.

        Raises `SignInNeeded` when the server wants none of our refresh tokens.
        """
        ends = time.monotonic() + self._timing.refresh
        try:
            for token in (session.pair.refresh, session.previous):
                pair = self._exchanged(token, ends) if token else None
                if token and pair:
                    # Committed before anybody can use it; thrown away if it is not stored.
                    return self._store.rotate(holder, session.generation, pair, token)
        except ProviderError:
            self._store.shorten_lease(holder, 1.0)
            raise
        if self._store.mark_sign_in_needed(holder, session.generation, _ended()):
            raise SignInNeeded(_ended())
        return False

    def _exchanged(self, token: Secret, ends: float) -> TokenPair | None:
        """The pair for a refresh token; None when the server rejects it. A lost reply is asked
        for again with the same token, until the time is over."""
        delay = 0.1
        while True:
            try:
                return self._refresh(token, ends - time.monotonic())
            except Refused as error:
                if error.status not in (401, 403):
                    raise
                return None
            except Unreachable:
                if time.monotonic() + delay >= ends:
                    raise
            self._pause(delay)
            delay = min(delay * 2, 1.0)


def _ended() -> str:
    return _("The session with the homeserver has ended. An admin has to sign in again.")


class SignedCaller:
    """A `Caller` whose requests carry a token of the ring; a rejected token is replaced once."""

    def __init__(self, transport: Transport, ring: TokenRing, store: TokenStore) -> None:
        self._transport = transport
        self._ring = ring
        self._store = store
        self.before_request: Callable[[float], None] | None = None
        """Called just before each request with the seconds it may take."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send. Raises `ProviderError`; a limit that was met is stored for everybody."""
        token = self._ring.token()
        try:
            answer = self._once(method, path, body, query, token)
            if answer is not None:
                return answer
            answer = self._once(method, path, body, query, self._ring.replacement(token))
        except RateLimited as error:
            pause = timedelta(seconds=error.retry_after_seconds or 0)
            self._store.block_until(now() + pause)
            raise
        if answer is None:
            raise Unreachable(_("The homeserver rejected a new access token."), status=401)
        return answer

    def _once(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | Upload | None,
        query: Mapping[str, str] | None,
        token: Secret,
    ) -> Answer | None:
        """The answer, or None when the server does not know the token (any more)."""
        if self.before_request is not None:
            self.before_request(self._transport.call_seconds)
        try:
            return self._transport.call(method, path, body=body, query=query, token=token)
        except Refused as error:
            if error.status == 401 and error.errcode == "M_UNKNOWN_TOKEN":
                return None
            raise
