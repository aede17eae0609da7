"""Paths of this site: which are safe to lead to, and where a form that was sent stands."""

from __future__ import annotations

import re
from urllib.parse import SplitResult, urlsplit

from flask import current_app, request
from werkzeug.exceptions import HTTPException

__all__ = ["form_page", "safe_path"]

SAFE_PATH = re.compile(r"/(?![/\\])[^\\\s\x00-\x1f\x7f]*")


def safe_path(text: str | None) -> str | None:
    """``text`` if it is a path of this site and cannot be read as another one's address."""
    return text if text and len(text) < 2000 and SAFE_PATH.fullmatch(text) else None


def form_page() -> str | None:
    """The page to come back to: this one, or for a POST the page its form stands on.

    A browser names that page in ``Referer``; only a page of this very site is believed. None: no
    page that can be opened is known.
    """
    if request.method in ("GET", "HEAD"):
        return safe_path(request.script_root + request.full_path.rstrip("?"))
    came_from = _came_from()
    if came_from.netloc == request.host and _can_be_opened(came_from.path):
        query = f"?{came_from.query}" if came_from.query else ""
        return safe_path(came_from.path + query)
    here = request.script_root + request.path
    return safe_path(here) if _can_be_opened(here) else None


def _came_from() -> SplitResult:
    try:
        return urlsplit(request.referrer or "")
    except ValueError:
        return urlsplit("")


def _can_be_opened(path: str) -> bool:
    """Whether the path is a page, and not the one for logging in."""
    adapter = current_app.create_url_adapter(request)
    if adapter is None or not path.startswith(request.script_root):
        return False
    try:
        endpoint, _arguments = adapter.match(path[len(request.script_root) :], method="GET")
    except HTTPException:
        return False
    return str(endpoint) != "auth.login"
