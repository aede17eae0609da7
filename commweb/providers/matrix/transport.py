"""One request to a homeserver: path and JSON in, JSON or an error out.

What an answer means is decided in `commweb.providers.matrix.meaning`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Protocol
from urllib.parse import urlencode

from commweb.encryption import Secret
from commweb.errors import Unreachable
from commweb.i18n import gettext as _
from commweb.net import Body, Door, Headers, Reply
from commweb.providers.matrix.calls import Call, call_of
from commweb.providers.matrix.content import Json, object_in
from commweb.providers.matrix.meaning import MatrixRefused, error_of

__all__ = [
    "Answer",
    "Caller",
    "Json",
    "MatrixRefused",
    "Transport",
    "Upload",
]


@dataclass(frozen=True)
class Upload:
    """A body that is not JSON."""

    data: bytes
    media_type: str


@dataclass(frozen=True)
class Answer:
    """A good answer: its status (200, 201), its JSON object, and the server's own time in seconds
    since 1970 (None: it did not say)."""

    status: int
    content: Json
    at: float | None = None


class Caller(Protocol):
    """Whatever sends requests for `commweb.providers.matrix.client`."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send and judge. Raises `commweb.errors.ProviderError`."""


class Transport:
    """Requests to the homeserver at ``base_url``, with the token each is given.

    ``seconds`` bounds all requests of this transport together; None: only each by itself.
    """

    def __init__(self, door: Door, base_url: str, *, seconds: float | None = None) -> None:
        self.base_url = base_url
        self._door = door
        self._ends = None if seconds is None else time.monotonic() + seconds
        self.call_seconds = door.call_seconds
        """How long one request may take, unless its caller says otherwise."""

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
        token: Secret | None = None,
        seconds: float | None = None,
    ) -> Answer:
        """One request. Raises what `commweb.providers.matrix.meaning.error_of` gives, and
        `Unreachable` and `AddressRefused` when nothing came."""
        asked = call_of(method, path)
        headers, data = _encoded(body)
        try:
            if token is not None:
                headers["Authorization"] = f"Bearer {token.reveal()}"
            target = f"{path}?{urlencode(query)}" if query else path
            reply = self._door.send(
                method,
                self.base_url + target,
                headers=headers,
                body=data,
                deadline_seconds=self.share(self.call_seconds if seconds is None else seconds),
                max_bytes=asked.largest_reply,
            )
        finally:
            # Tools that report faults write down the variables of every function on the way.
            headers, data = Headers(), None
        return _judged(asked, reply, _secrets(body, token))

    def share(self, seconds: float) -> float:
        """``seconds``, or what is left for all. Raises `Unreachable` when nothing is left."""
        if self._ends is None:
            return seconds
        left = self._ends - time.monotonic()
        if left <= 0:
            raise Unreachable(_("The homeserver did not answer in time."))
        return min(seconds, left)


def _encoded(body: Mapping[str, Any] | Upload | None) -> tuple[Headers, bytes | None]:
    if body is None:
        return Headers(), None
    if isinstance(body, Upload):
        return Headers({"Content-Type": body.media_type}), body.data
    data = Body(json.dumps(dict(body), default=_revealed).encode())
    return Headers({"Content-Type": "application/json"}), data


def _revealed(value: object) -> str:
    """A secret in a body is revealed here, where it is written, and nowhere before."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")


def _judged(call: Call, reply: Reply, secrets: Sequence[Secret]) -> Answer:
    """The content of a good answer. Raises what the others mean."""
    content = object_in(reply.body)
    if 200 <= reply.status < 300 and content is not None:
        return Answer(reply.status, content, _time_of(reply))
    raise error_of(call, reply, content, secrets)


def _time_of(reply: Reply) -> float | None:
    """RFC 9110, "Date"."""
    try:
        return parsedate_to_datetime(reply.headers["Date"]).timestamp()
    except (KeyError, ValueError, OverflowError):
        return None


def _secrets(body: Mapping[str, Any] | Upload | None, token: Secret | None) -> list[Secret]:
    """What is sent and may never be shown."""
    values = body.values() if isinstance(body, Mapping) else ()
    return [one for one in (token, *values) if isinstance(one, Secret)]
