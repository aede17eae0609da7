"""What every answer of a homeserver means, decided in one place. Pure.

Four kinds are told apart, whatever was asked: an answer about the path (`Unreachable`), one about
the acting account or the whole server (`ProviderStopped`), one about this very thing (`Absent`,
`MatrixRefused`, `RoomUnsettled`), and a wish to wait (`RateLimited`). Which refusals are about the
thing says `commweb.providers.matrix.calls`.

Source: Matrix client-server API, "Standard error response", "Rate limiting", "Account locking",
"Account suspension" (https://spec.matrix.org/latest/client-server-api/), and what Synapse answers.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from commweb.encryption import Secret
from commweb.errors import (
    ProviderError,
    ProviderStopped,
    RateLimited,
    Refused,
    RoomUnsettled,
    Unreachable,
    UserLimitReached,
)
from commweb.i18n import gettext as _
from commweb.net import Reply
from commweb.providers.matrix.calls import ADMIN, Call
from commweb.providers.matrix.stopped import RESOURCE_LIMIT, STOPS, stopped

__all__ = ["Absent", "MatrixRefused", "error_of", "seconds_of"]

Json = dict[str, Any]

DEFAULT_PAUSE_SECONDS = 5.0
LONGEST_PAUSE_SECONDS = 86400.0
UNSETTLED_SECONDS = 30.0
NO_STATUSES = (400, 403, 409, 413)
_CODE = re.compile(r"[A-Z0-9._]{1,64}")


class MatrixRefused(Refused):
    """A definite no from a homeserver. ``server_text`` is its own English sentence, for telling
    answers with the same code apart; it is never shown, logged, stored or pickled."""

    server_text: str = ""

    def __reduce__(self) -> tuple[Any, ...]:
        kept = {name: value for name, value in vars(self).items() if name != "server_text"}
        return type(self), self.args, kept


class Absent(MatrixRefused):
    """The homeserver says that the very thing asked for is not there."""


def error_of(
    call: Call, reply: Reply, content: Json | None, secrets: Sequence[Secret] = ()
) -> ProviderError:
    """What a bad answer to the call means. ``content``: its JSON object; None: it has none.
    ``secrets``: what was sent and may not be shown, should the server repeat it."""
    answer = content or {}
    written = answer.get("errcode")
    errcode = written if isinstance(written, str) else ""
    if reply.status == 429 or (400 <= reply.status < 500 and errcode == "M_LIMIT_EXCEEDED"):
        return _rate_limited(reply, answer)
    concerning_all = _concerns_all(call, reply.status, errcode, answer)
    if concerning_all is not None:
        return stopped(concerning_all, reply.status, errcode, answer, secrets)
    if 400 <= reply.status < 500:
        said = _about_the_thing(call, reply.status, errcode, answer)
        if said is not None:
            return said
    return _about_the_path(call, reply, errcode)


def _concerns_all(
    call: Call, status: int, errcode: str, answer: Json
) -> type[ProviderStopped] | type[UserLimitReached] | None:
    """Whether it is about the acting account or the whole server; None: it is about neither."""
    if (
        errcode == RESOURCE_LIMIT
        and status >= 400
        and call.adds_people
        and "user" in str(answer.get("limit_type"))
    ):
        return UserLimitReached
    if (errcode == RESOURCE_LIMIT and status >= 400) or status == 507:
        return ProviderStopped
    if status in (401, 403) and errcode in STOPS:
        return ProviderStopped
    if (status, errcode) == (403, "M_FORBIDDEN") and _no_administrator(call, answer):
        return ProviderStopped
    return None


def _no_administrator(call: Call, answer: Json) -> bool:
    """Calls of the administration API that only read know no other M_FORBIDDEN; for the others
    the words tell it apart."""
    if not call.path.startswith(ADMIN):
        return False
    return "M_FORBIDDEN" not in call.no or "server admin" in _text(answer).lower()


def _about_the_thing(call: Call, status: int, errcode: str, answer: Json) -> ProviderError | None:
    if (status, errcode) == (401, "M_UNKNOWN_TOKEN"):  # said of the token, to every call
        return _refused(MatrixRefused, status, errcode, answer)
    if status == 413 and (errcode == "M_TOO_LARGE" or call.any_size_refusal):
        return _too_large(answer)
    if (status, errcode) in call.absent:
        return _refused(Absent, status, errcode, answer)
    text = _text(answer).lower()
    if any((status, errcode) == (at, code) and part in text for at, code, part in call.unsettled):
        return RoomUnsettled(
            _("The homeserver does not find the room. It is checked again."),
            status=status,
            errcode=errcode,
            retry_after_seconds=UNSETTLED_SECONDS,
        )
    if status in NO_STATUSES and errcode in call.no:
        return _refused(MatrixRefused, status, errcode, answer)
    return None


def _refused(kind: type[MatrixRefused], status: int, errcode: str, answer: Json) -> MatrixRefused:
    sentence = _("The homeserver refused (HTTP %(status)d, %(code)s).", status=status, code=errcode)
    error = kind(sentence, status=status, errcode=errcode)
    error.server_text = _text(answer)
    return error


def _too_large(answer: Json) -> MatrixRefused:
    error = MatrixRefused(
        _("This is too large for the homeserver."), status=413, errcode="M_TOO_LARGE"
    )
    error.server_text = _text(answer)
    return error


def _about_the_path(call: Call, reply: Reply, errcode: str) -> Unreachable:
    """What came says nothing about the thing; name what is probably wrong with the way there."""
    status = reply.status
    if 300 <= status < 400:
        return _redirected(reply)
    if status >= 500:
        sentence = _("The homeserver has a fault (HTTP %(status)d).", status=status)
    elif call.path.startswith(ADMIN) and errcode in ("", "M_UNRECOGNIZED"):
        sentence = _("The administration API (/_synapse/admin) is not reachable at this address.")
    elif errcode == "M_UNRECOGNIZED":
        sentence = _(
            "The homeserver does not offer %(path)s at this address.", path=_family(call.path)
        )
    elif errcode == "":
        sentence = _(
            "Something answers there, but it is not a Matrix homeserver (HTTP %(status)d).",
            status=status,
        )
    else:
        # It comes from outside and is shown: only in the shape a code has, which no token has.
        code = errcode if _CODE.fullmatch(errcode) else "M_UNKNOWN"
        sentence = _(
            "The homeserver gave an unexpected answer (HTTP %(status)d, %(code)s).",
            status=status,
            code=code,
        )
    code = errcode if _CODE.fullmatch(errcode) else ""
    return Unreachable(sentence, status=status, errcode=code or None)


def _family(path: str) -> str:
    """The part of a path that a proxy passes on as a whole."""
    return "/".join(path.split("/")[:3])


def _redirected(reply: Reply) -> Unreachable:
    """Not followed: the token would go where nobody meant it to go."""
    try:
        parts = urlsplit(reply.headers.get("Location", ""))
        good = parts.scheme in ("http", "https") and parts.hostname and "@" not in parts.netloc
    except ValueError:
        good = False
    if not good or not parts.netloc.isascii() or not parts.netloc.isprintable():
        sentence = _("The address answers with a redirect (HTTP %(status)d).", status=reply.status)
        return Unreachable(sentence, status=reply.status)
    path = parts.path.partition("/_matrix/")[0].partition("/_synapse/")[0]
    target = f"{parts.scheme}://{parts.netloc}{path}".rstrip("/")[:200]
    sentence = _(
        "The address answers with a redirect to %(target)s: enter %(target)s instead.",
        target=target,
    )
    return Unreachable(sentence, status=reply.status)


def _rate_limited(reply: Reply, answer: Json) -> RateLimited:
    """How long: ``retry_after_ms`` in the body, else the ``Retry-After`` header in seconds."""
    seconds = seconds_of(answer.get("retry_after_ms"), LONGEST_PAUSE_SECONDS)
    if seconds is None:
        header = reply.headers.get("Retry-After", "")
        plain = header.isascii() and header.isdigit() and len(header) < 10
        seconds = float(header) if plain else DEFAULT_PAUSE_SECONDS
    seconds = min(seconds, LONGEST_PAUSE_SECONDS)
    return RateLimited(
        _("The homeserver asks to wait %(seconds)g seconds.", seconds=round(seconds, 1)),
        status=429,
        errcode="M_LIMIT_EXCEEDED",
        retry_after_seconds=seconds,
    )


def seconds_of(milliseconds: object, longest: float) -> float | None:
    """Milliseconds that a server named, as seconds, at most ``longest``; None for what is no
    number, not finite or below zero."""
    if isinstance(milliseconds, bool) or not isinstance(milliseconds, int | float):
        return None
    if isinstance(milliseconds, float) and not math.isfinite(milliseconds):
        return None
    if milliseconds < 0:
        return None
    # Compared before it is divided: a whole number may be larger than any float.
    return longest if milliseconds >= longest * 1000 else milliseconds / 1000


def _text(answer: Mapping[str, Any]) -> str:
    return str(answer.get("error", ""))
