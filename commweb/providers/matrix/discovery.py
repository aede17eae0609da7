"""Which homeserver an organisation's own domain names.

Source: Matrix client-server API, "Well-known URI"
(https://spec.matrix.org/latest/client-server-api/#getwell-knownmatrixclient).
"""

from __future__ import annotations

from urllib.parse import urlsplit

from commweb.addresses import homeserver_base, normalise_url, url_problem
from commweb.errors import ProviderError
from commweb.i18n import gettext as _
from commweb.net import Door
from commweb.providers.matrix import public
from commweb.providers.matrix.content import object_in
from commweb.providers.matrix.transport import Transport

__all__ = ["named_homeserver", "use_instead"]

WELL_KNOWN = "/.well-known/matrix/client"
SECONDS = 5.0
LARGEST_BYTES = 65536


def named_homeserver(door: Door, transport: Transport) -> str | None:
    """The homeserver that the transport's domain names, if it is another address and a homeserver
    answers there; None for anything else. It is only told, never used: tokens do not go there.

    Both are asked through ``door``, without a token, so the address goes through its guard.
    """
    try:
        parts = urlsplit(transport.base_url)
        reply = door.send(
            "GET",
            f"{parts.scheme}://{parts.netloc}{WELL_KNOWN}",
            deadline_seconds=transport.share(SECONDS),
            max_bytes=LARGEST_BYTES,
        )
        found = _base_url(reply.body) if reply.status == 200 else None
        if found is None or found == normalise_url(transport.base_url):
            return None
        public.versions(Transport(door, found, seconds=transport.share(SECONDS)))
    except (ProviderError, ValueError):
        return None
    return found


def _base_url(body: bytes) -> str | None:
    server = (object_in(body) or {}).get("m.homeserver")
    written = server.get("base_url") if isinstance(server, dict) else None
    if not isinstance(written, str) or url_problem(written) is not None:
        return None
    return normalise_url(homeserver_base(written))


def use_instead(address: str, typed: str) -> str:
    """What to say about an address that was found."""
    return _(
        "Use %(address)s instead: %(typed)s names it as its homeserver.",
        address=address,
        typed=typed,
    )
