"""One request to a homeserver: path and JSON in, JSON or an error out.

Statuses and error codes become `commweb.errors` here and nowhere else. Sources: Matrix
client-server API, "Standard error response" and "Rate limiting"
(https://spec.matrix.org/latest/client-server-api/#standard-error-response).
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

from commweb.encryption import Secret
from commweb.errors import ProviderError, RateLimited, Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.net import Body, Door, Headers, Reply

__all__ = ["Answer", "Caller", "Json", "MatrixRefused", "Transport", "Upload", "path_of"]

Json = dict[str, Any]

CALL_SECONDS = 30.0
DEFAULT_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 86400.0
_CODE = re.compile(r"[A-Z0-9._]{1,64}")


class MatrixRefused(Refused):
    """A definite no from a homeserver. ``server_text`` is its own English sentence, for telling
    answers with the same code apart; it is never shown, logged, stored or pickled."""

    server_text: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {name: value for name, value in vars(self).items() if name != "server_text"}
        return type(self), self.args, kept


@dataclass(frozen=True)
class Upload:
    """A body that is not JSON."""

    data: bytes
    media_type: str


class Content(dict[str, Any]):
    """A JSON object from a homeserver. It does not show itself: it may hold tokens, and tools
    that report faults write down the variables of every function on the way."""

    def __repr__(self) -> str:
        return f"<JSON object of {len(self)} keys>"


@dataclass(frozen=True)
class Answer:
    """A good answer: its status (200, 201) and its JSON object."""

    status: int
    content: Json


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


def path_of(template: str, *names: str) -> str:
    """The path with each ``{}`` filled with a name, percent-encoded whole (a localpart may hold
    a slash, a room id has no server in room version 12)."""
    return template.format(*(quote(name, safe="") for name in names))


class Transport:
    """Requests to the homeserver at ``base_url``, with the token each is given.

    ``seconds`` bounds all requests of this transport together; None: only each by itself.
    """

    def __init__(self, door: Door, base_url: str, *, seconds: float | None = None) -> None:
        self.base_url = base_url
        self._door = door
        self._ends = None if seconds is None else time.monotonic() + seconds

    def call(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Upload | None = None,
        query: Mapping[str, str] | None = None,
        token: Secret | None = None,
        seconds: float = CALL_SECONDS,
    ) -> Answer:
        """One request. Raises `RateLimited`, `MatrixRefused`, `Unreachable`, `AddressRefused`."""
        headers, data = _encoded(body)
        if token is not None:
            headers["Authorization"] = f"Bearer {token.reveal()}"
        target = f"{path}?{urlencode(query)}" if query else path
        reply = self._door.send(
            method,
            self.base_url + target,
            headers=headers,
            body=data,
            deadline_seconds=self.share(seconds),
        )
        return _judged(reply, path)

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
    text = json.dumps(dict(body), default=_revealed)
    return Headers({"Content-Type": "application/json"}), Body(text.encode())


def _revealed(value: object) -> str:
    """A secret in a body is revealed here, where it is written, and nowhere before."""
    if isinstance(value, Secret):
        return value.reveal()
    raise TypeError(f"{type(value).__name__} cannot be sent as JSON.")


def _judged(reply: Reply, path: str) -> Answer:
    """The content of a good answer. Raises what the others mean."""
    content = _object_in(reply.body)
    if 200 <= reply.status < 300 and content is not None:
        return Answer(reply.status, content)
    raise _error(reply, content, path)


def _object_in(body: bytes) -> Json | None:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return Content(content) if isinstance(content, dict) else None


def _error(reply: Reply, content: Json | None, path: str) -> ProviderError:
    if reply.status == 429:
        return _rate_limited(reply, content or {})
    if 300 <= reply.status < 400:
        return _redirected(reply, path)
    if reply.status >= 500:
        return Unreachable(
            _("The homeserver has a fault (HTTP %(status)d).", status=reply.status),
            status=reply.status,
        )
    if reply.status == 413:
        return _refused(_("This is too large for the homeserver."), 413, "M_TOO_LARGE", content)
    errcode = (content or {}).get("errcode")
    if reply.status < 400 or not isinstance(errcode, str):
        return Unreachable(
            _(
                "The address answers (HTTP %(status)d), but not as a Matrix homeserver does.",
                status=reply.status,
            ),
            status=reply.status,
        )
    # The code comes from outside and is shown: only in the shape a code has, which no token has.
    code = errcode if _CODE.fullmatch(errcode) else "M_UNKNOWN"
    sentence = _(
        "The homeserver refused (HTTP %(status)d, %(code)s).", status=reply.status, code=code
    )
    return _refused(sentence, reply.status, code, content)


def _refused(sentence: str, status: int, errcode: str, content: Json | None) -> MatrixRefused:
    error = MatrixRefused(sentence, status=status, errcode=errcode)
    error.server_text = str((content or {}).get("error", ""))
    return error


def _rate_limited(reply: Reply, content: Json) -> RateLimited:
    """How long: ``retry_after_ms`` in the body, else the ``Retry-After`` header in seconds."""
    milliseconds = content.get("retry_after_ms")
    header = reply.headers.get("Retry-After", "")
    if isinstance(milliseconds, int | float) and milliseconds >= 0:
        seconds = milliseconds / 1000
    elif header.isascii() and header.isdigit() and len(header) < 10:
        seconds = float(header)
    else:
        seconds = DEFAULT_PAUSE_SECONDS
    seconds = min(seconds, LONGEST_PAUSE_SECONDS)
    return RateLimited(
        _("The homeserver asks to wait %(seconds)g seconds.", seconds=round(seconds, 1)),
        status=429,
        errcode="M_LIMIT_EXCEEDED",
        retry_after_seconds=seconds,
    )


def _redirected(reply: Reply, path: str) -> ProviderError:
    """Not followed: the token would go where nobody meant it to go."""
    parts = urlsplit(reply.headers.get("Location", ""))
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
        return Refused(
            _("The address answers with a redirect (HTTP %(status)d).", status=reply.status),
            status=reply.status,
        )
    target = f"{parts.scheme}://{parts.netloc}{parts.path}".removesuffix(path).rstrip("/")[:200]
    return Refused(
        _(
            "The address answers with a redirect to %(target)s: enter %(target)s instead.",
            target=target,
        ),
        status=reply.status,
    )
