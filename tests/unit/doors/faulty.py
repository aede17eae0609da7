"""Homeservers that misbehave with what they are sent."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

from tests.unit.doors.homeserver import Seen, Told


def echo(status: int) -> Callable[[Seen], Told]:
    """A homeserver, or what stands before it, that repeats what it was sent."""

    def answer(seen: Seen) -> Told:
        error = {"errcode": seen.text, "error": seen.text, "retry_after_ms": 10}
        return Told(status, error, {"X-Debug": seen.path})

    return answer


def coded(seen: Seen) -> Told:
    """Takes what it was sent for the code of its error."""
    words = [seen.headers.get("Authorization", "").removeprefix("Bearer ")]
    with suppress(ValueError, AttributeError):
        content = json.loads(seen.body)
        words += [
            content.get("refresh_token"),
            content.get("password"),
            content.get("new_password"),
        ]
    code = next(filter(None, reversed(words)), "M_NOT_FOUND")
    return Told(403, {"errcode": code, "error": code})


def half(seen: Seen) -> Told | None:
    """Good until it comes to tokens."""
    if "login" in seen.path or "refresh" in seen.path:
        return Told(200, {"access_token": f"{seen.body!r}", "user_id": "@bot:hs.test"})
    return None


def named_like_a_token(seen: Seen) -> Told | None:
    if "versions" in seen.path:
        return Told(200, {"versions": ["v1.1", seen.text]})
    return None


HOMESERVER_FAULTS: dict[str, Callable[[Seen], Told | None]] = {
    **{f"repeats everything with {status}": echo(status) for status in (200, 400, 401, 403, 404)},
    **{f"repeats everything with {status}": echo(status) for status in (413, 429, 500, 502)},
    "names its error after the token": coded,
    "gives half an answer": half,
    "speaks strange versions": named_like_a_token,
}
