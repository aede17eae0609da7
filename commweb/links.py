"""Which addresses become links. A browser runs ``javascript:`` and opens ``data:`` in our place."""

from __future__ import annotations

import re

__all__ = ["app_link", "web_link"]

# From the first character on: browsers skip spaces and control characters before a scheme.
_WEB = re.compile(r"(?:https?://|/)[^\x00-\x20\x7f]*", re.IGNORECASE)

# Chat apps that open from an address.
_APP = re.compile(r"(?:matrix|xmpp|irc|ircs|sip|sips):[^\x00-\x20\x7f]*", re.IGNORECASE)


def app_link(url: str | None) -> str | None:
    """``url`` if it is `web_link` or opens a chat app; else None."""
    return url if url and _APP.fullmatch(url) else web_link(url)


def web_link(url: str | None) -> str | None:
    """``url`` if it is http, https or a path of this site; else None, and no link is drawn.

    For addresses that come from a host, a provider or a setting.
    """
    return url if url and _WEB.fullmatch(url) else None
