"""Flash messages: they lie in the host's session, which takes plain strings only."""

from __future__ import annotations

import flask

__all__ = ["flash"]


def flash(message: str, category: str) -> None:
    """Show ``message`` on the next page; ``category``: success, info, warning or danger."""
    flask.flash(str(message), str(category))
