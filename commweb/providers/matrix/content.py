"""JSON from a homeserver, which may hold anything: read so that nothing in it can do harm. Pure.

Whole numbers are kept within what Matrix allows, what is no number at all is null, and a large
answer is read piece by piece, because its objects take many times the room of its text.

Source: Matrix specification, appendices, "Canonical JSON"
(https://spec.matrix.org/latest/appendices/#canonical-json).
"""

from __future__ import annotations

import json
import re
from typing import Any

__all__ = ["Content", "Json", "object_in"]

Json = dict[str, Any]

LARGEST_NUMBER = 2**53 - 1
LONGEST_PLAIN_NUMBER = 15
WHOLE_BYTES = 4 * 1024 * 1024
"""Up to this size an answer is read in one go."""
STATE_KEYS = ("type", "state_key", "sender", "content", "origin_server_ts", "event_id", "age")
"""What is kept of the events of a large room."""
_STATE = re.compile(r'\s*\{\s*"state"\s*:\s*\[\s*')
_NEXT = re.compile(r"\s*,\s*")
_END = re.compile(r"\s*\]\s*\}\s*")


class Content(dict[str, Any]):
    """A JSON object from a homeserver. It does not show itself: it may hold tokens, and tools
    that report faults write down the variables of every function on the way."""

    def __repr__(self) -> str:
        return f"<JSON object of {len(self)} keys>"


def object_in(body: bytes) -> Json | None:
    """The JSON object that the body is; None when it is none."""
    try:
        if len(body) > WHOLE_BYTES:
            events = _events(body.decode())
            if events is not None:
                return Content(state=events)
        content = _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return None
    return Content(content) if isinstance(content, dict) else None


def _events(text: str) -> list[Json] | None:
    """The events of ``{"state": [...]}``, each with the keys we read; None for another shape."""
    start = _STATE.match(text)
    if start is None:
        return None
    events: list[Json] = []
    at = start.end()
    while True:
        event, at = _DECODER.raw_decode(text, at)
        if not isinstance(event, dict):
            return None
        events.append({key: event[key] for key in STATE_KEYS if key in event})
        step = _NEXT.match(text, at)
        if step is None:
            return events if _END.fullmatch(text, at) else None
        at = step.end()


def _whole(text: str) -> int:
    if len(text) <= LONGEST_PLAIN_NUMBER:
        return int(text)
    if len(text) > 20:
        return -LARGEST_NUMBER if text.startswith("-") else LARGEST_NUMBER
    return max(-LARGEST_NUMBER, min(LARGEST_NUMBER, int(text)))


def _decimal(text: str) -> float:
    return max(-float(LARGEST_NUMBER), min(float(LARGEST_NUMBER), float(text)))


def _nothing(_name: str) -> None:
    """NaN and Infinity, which are no JSON."""


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_decimal, parse_constant=_nothing)
