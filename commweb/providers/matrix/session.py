"""Everything that speaks to one homeserver, put together for one job or one check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from commweb.addresses import homeserver_base
from commweb.errors import SignInNeeded
from commweb.i18n import gettext as _
from commweb.net import Door
from commweb.providers.base import ProviderContext
from commweb.providers.matrix import public
from commweb.providers.matrix.backend import Acting
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.tokens import SignedCaller, TokenRing
from commweb.providers.matrix.transport import Transport

__all__ = ["HOME_SERVER_URL", "HomeserverSession"]

HOME_SERVER_URL = "home_server_url"


@dataclass(frozen=True)
class HomeserverSession:
    """The stored session at work. ``seconds`` bounds everything done with it; None: no bound."""

    context: ProviderContext
    door: Door
    transport: Transport
    ring: TokenRing
    caller: SignedCaller
    client: MatrixClient

    @classmethod
    def open(cls, context: ProviderContext, *, seconds: float | None = None) -> HomeserverSession:
        """No request yet; `close` it. Raises `SignInNeeded` without tokens for the server."""
        values: Mapping[str, Any] = context.values
        base_url = homeserver_base(str(values[HOME_SERVER_URL]))
        stored = context.tokens.read()
        if stored is None or stored.base_url != base_url:
            raise SignInNeeded(_("No tokens are stored for this homeserver. Sign in first."))
        door = Door(context.network)
        transport = Transport(door, base_url, seconds=seconds)
        ring = TokenRing(
            context.tokens,
            base_url,
            lambda token, left: public.refresh(transport, token, left),
            pause=lambda pause: time.sleep(transport.share(pause)),
        )
        caller = SignedCaller(transport, ring, context.tokens)
        return cls(context, door, transport, ring, caller, MatrixClient(caller))

    def close(self) -> None:
        """Close the connections."""
        self.door.close()

    def acting(self) -> Acting:
        """Whose session it is: as stored, or asked once and stored. Raises `ProviderError`."""
        session = self.ring.session()
        if session.user_id and session.server_name:
            acting = Acting(session.user_id, session.server_name)
        else:
            acting = self.asked()
        self.ring.bind(acting.user_id)
        return acting

    def asked(self) -> Acting:
        """Whose session it is, from the homeserver; stored. Raises `ProviderError`."""
        found = self.client.whoami()
        generation = self.ring.session().generation
        self.context.tokens.set_identity(generation, found.user_id, found.server_name)
        self.ring.session()  # which may have been refused for the server it is of
        return Acting(found.user_id, found.server_name)
