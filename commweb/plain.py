"""What leaves commweb holds plain values: strings that are exactly ``str``.

A host keeps what it is given in sessions, caches and queues of its own, and their serializers
take no subclass of ``str`` (msgpack, for one).
"""

from __future__ import annotations

from dataclasses import fields
from typing import Any

__all__ = ["PlainFields"]


class PlainFields:
    """The base of a frozen dataclass that leaves commweb: its texts become plain strings."""

    def __post_init__(self) -> None:
        for field in fields(self):  # type: ignore[arg-type]
            value = getattr(self, field.name)
            if isinstance(value, str) and type(value) is not str:
                object.__setattr__(self, field.name, str(value))
            elif isinstance(value, tuple):
                object.__setattr__(self, field.name, tuple(_plain(one) for one in value))


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, str) else value
