"""The calls that need no access token: what the server is, signing in, refreshing."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from commweb.connection import TokenPair
from commweb.encryption import Secret
from commweb.errors import Refused, Unreachable
from commweb.i18n import gettext as _
from commweb.models import now
from commweb.providers.matrix import calls
from commweb.providers.matrix.answers import whoami
from commweb.providers.matrix.content import Json
from commweb.providers.matrix.meaning import seconds_of
from commweb.providers.matrix.transport import Transport

__all__ = ["Login", "login", "refresh", "uses_delegated_auth", "versions"]

DEVICE_NAME = "commweb"
LONGEST_LIFE_SECONDS = 10 * 365 * 86400.0
# What a version looks like: it is shown to people, and the server could write anything.
SPOKEN = re.compile(r"[rv][0-9.]{1,12}")


@dataclass(frozen=True)
class Login:
    """A new session: its tokens, whose it is, and its device."""

    pair: TokenPair
    user_id: str
    device_id: str


def versions(transport: Transport) -> tuple[str, ...]:
    """The spec versions the server speaks.
    https://spec.matrix.org/latest/client-server-api/#get_matrixclientversions

    Raises `Unreachable` when what answers is no homeserver.
    """
    answer = transport.call(calls.VERSIONS.method, calls.VERSIONS.path)
    found = answer.content.get("versions")
    listed = found if isinstance(found, list) else []
    spoken = tuple(name for name in listed if isinstance(name, str) and SPOKEN.fullmatch(name))
    if not spoken:
        raise Unreachable(
            _(
                "Something answers there, but it is not a Matrix homeserver (HTTP %(status)d).",
                status=answer.status,
            ),
            status=answer.status,
        )
    return spoken


def uses_delegated_auth(transport: Transport) -> bool:
    """Whether an authentication service (MAS) stands before the server: it publishes metadata.
    https://spec.matrix.org/latest/client-server-api/#get_matrixclientv1auth_metadata
    """
    try:
        transport.call(calls.AUTH_METADATA.method, calls.AUTH_METADATA.path)
    except (Refused, Unreachable):  # nobody offers it there, which is all there is to know
        return False
    return True


def login(transport: Transport, username: str, password: Secret) -> Login:
    """Sign in and ask for a refresh token.
    https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3login
    """
    started = now()
    answer = transport.call(
        calls.LOGIN.method,
        calls.LOGIN.path,
        body={
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": username},
            "password": password,
            "refresh_token": True,
            "initial_device_display_name": DEVICE_NAME,
        },
    )
    who = whoami(answer)
    return Login(_pair(answer.content, started), who.user_id, who.device_id or "")


def refresh(transport: Transport, token: Secret, seconds: float) -> TokenPair:
    """A new pair for a refresh token, within ``seconds``. Sent without an access token.
    https://spec.matrix.org/latest/client-server-api/#post_matrixclientv3refresh
    """
    started = now()
    answer = transport.call(
        calls.REFRESH.method,
        calls.REFRESH.path,
        body={"refresh_token": token},
        seconds=seconds,
    )
    return _pair(answer.content, started)


def _pair(content: Json, started: datetime) -> TokenPair:
    access, again = _token(content, "access_token"), _token(content, "refresh_token")
    if access is None:
        raise Unreachable(_("The homeserver's answer to the sign-in is not complete."))
    seconds = _lifetime(content)
    return TokenPair(
        access=access,
        refresh=again,
        # Counted from before the request: never later than the server counts.
        expires_at=None if seconds is None else started + timedelta(seconds=seconds),
        lifetime_seconds=None if seconds is None else round(seconds),
    )


def _token(content: Json, name: str) -> Secret | None:
    """The token, if it is one that a header can carry."""
    text = content.get(name)
    good = isinstance(text, str) and text and all("!" <= character <= "~" for character in text)
    return Secret(str(text)) if good else None


def _lifetime(content: Mapping[str, object]) -> float | None:
    """Seconds; None: the server names no usable end."""
    return seconds_of(content.get("expires_in_ms"), LONGEST_LIFE_SECONDS) or None
