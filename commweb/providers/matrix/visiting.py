"""Sessions that are not stored (yet, or any more): whose they are, and ending them.

Sources: Matrix client-server API, "GET /account/whoami" and "POST /logout". Logging out deletes
the session's whole device with every token of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.errors import ProviderError, ProviderStopped, Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.net import Door, NetworkPolicy
from commweb.providers.base import Introduced
from commweb.providers.matrix import public
from commweb.providers.matrix.answers import WhoAmI
from commweb.providers.matrix.calls import LOGOUT
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.transport import Answer, Transport, Upload

__all__ = ["end", "introduce", "not_an_administrator"]

END_SECONDS = 5.0


@dataclass(frozen=True)
class OneToken:
    """A `commweb.providers.matrix.transport.Caller` with one access token."""

    transport: Transport
    token: Secret

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send. Raises `ProviderError`."""
        return self.transport.call(method, path, body=body, query=query, token=self.token)


def introduce(network: NetworkPolicy, base_url: str, pair: TokenPair, seconds: float) -> Introduced:
    """Whose the pair is. An access token that the server does not know is replaced once with the
    refresh token. Raises `ProviderError`."""
    with Door(network) as door:
        transport = Transport(door, base_url, seconds=seconds)
        pair, whose, refreshed = _known(transport, pair, seconds)
    return Introduced(pair, whose.user_id, whose.server_name, whose.device_id, refreshed)


def end(
    network: NetworkPolicy, base_url: str, pair: TokenPair, kept: tuple[str, TokenPair] | None
) -> None:
    """Log the pair out, if its device is another one than that of ``kept`` (address and pair).
    A session that the server does not know is over already. Raises `ProviderError`."""
    with Door(network) as door:
        transport = Transport(door, base_url, seconds=END_SECONDS)
        try:
            pair, whose, _refreshed = _known(transport, pair, END_SECONDS)
        except Refused as error:
            if error.status not in (401, 403):
                raise
            return
        if kept is not None and _same_device(door, kept, whose):
            return
        _logout(transport, pair.access)


def not_an_administrator(transport: Transport, pair: TokenPair, user_id: str) -> Refused | None:
    """The refusal, if the server says that the account is no administrator; the session is ended
    then. None: it is one, or the server did not say."""
    try:
        MatrixClient(OneToken(transport, pair.access)).user(user_id)
    except ProviderStopped as error:
        if error.errcode != "M_FORBIDDEN":
            return None
    except ProviderError:
        return None
    else:
        return None
    with suppress(ProviderError):  # nobody keeps its tokens
        _logout(transport, pair.access)
    return Refused(
        _(
            "%(user)s is not a server administrator. Creating accounts and adding people needs "
            "one: sign in with an administrator.",
            user=user_id,
        ),
        status=403,
        errcode="M_FORBIDDEN",
    )


def _known(transport: Transport, pair: TokenPair, seconds: float) -> tuple[TokenPair, WhoAmI, bool]:
    """A pair that the server knows, whose it is, and whether it had to be refreshed for that."""
    try:
        return pair, MatrixClient(OneToken(transport, pair.access)).whoami(), False
    except Refused as error:
        if error.status != 401 or pair.refresh is None:
            raise
    fresh = public.refresh(transport, pair.refresh, seconds)
    fresh = replace(fresh, refresh=fresh.refresh or pair.refresh)
    return fresh, MatrixClient(OneToken(transport, fresh.access)).whoami(), True


def _same_device(door: Door, kept: tuple[str, TokenPair], old: WhoAmI) -> bool:
    base_url, pair = kept
    transport = Transport(door, base_url, seconds=END_SECONDS)
    try:
        new = MatrixClient(OneToken(transport, pair.access)).whoami()
    except Refused as error:
        raise Unreachable(error.sentence, status=error.status) from None
    return (new.user_id, new.device_id) == (old.user_id, old.device_id)


def _logout(transport: Transport, token: Secret) -> None:
    OneToken(transport, token).call(LOGOUT.method, LOGOUT.path, body={})
