"""Which addresses become links. A browser runs ``javascript:`` and opens ``data:`` in our place."""

from __future__ import annotations

import re

__all__ = ["web_link"]

# From the first character on: browsers skip spaces and control characters before a scheme.
_WEB = re.compile(r"(?:https?://|/)[^\x00-\x20\x7f]*", re.IGNORECASE)


def web_link(url: str | None) -> str | None:
    """``url`` if it is http, https or a path of this site; else None, and no link is drawn.

    For addresses that come from a host, a provider or a setting.
    """
    return url if url and _WEB.fullmatch(url) else None
