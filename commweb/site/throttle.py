"""How often logging in may fail.

Three counters, so that guessing is slow and nobody can lock others out: for one account from one
address (strict), for one account from anywhere, and for one address whatever the account (both
looser). A browser that has logged in to an account before has a counter of its own for it, so
guesses of others do not keep its person out (OWASP, "Slow Down Online Guessing Attacks with Device
Cookies").
"""

from __future__ import annotations

import ipaddress
import math
import secrets
import time
from typing import Any

from flask import Flask, current_app, g, request
from flask_limiter import Limiter, RequestLimit
from itsdangerous import BadSignature, Signer
from werkzeug import Response

from commweb.site.models import fold

__all__ = ["count_as_failed", "remember_browser", "seconds_to_wait", "throttle"]

COOKIE = "known"
A_YEAR = 365 * 24 * 60 * 60


def throttle(app: Flask) -> None:
    """Limit failed logins by ``LOGIN_LIMIT`` (account and address), ``LOGIN_LIMIT_BY_ACCOUNT`` and
    ``LOGIN_LIMIT_BY_ADDRESS``.

    A limiter keeps its counters itself, so each app gets its own.
    """
    limiter = Limiter(_address, app=app, on_breach=_breached)
    view: Any = app.view_functions["auth.login"]
    for limit, key, own in (
        ("LOGIN_LIMIT", _browser_and_name, False),
        ("LOGIN_LIMIT_BY_ACCOUNT", _name, True),
        ("LOGIN_LIMIT_BY_ADDRESS", _address, True),
    ):
        view = limiter.limit(
            app.config[limit],
            key_func=key,
            methods=["POST"],
            deduct_when=_failed,
            exempt_when=_is_known if own else None,
        )(view)
    app.view_functions["auth.login"] = view


def count_as_failed() -> None:
    """This request was a failed attempt."""
    g.login_failed = True


def seconds_to_wait() -> int:
    """After how many seconds the limit that was reached allows another attempt; 1 or more."""
    open_again: float = g.get("login_open_again", 0)
    return max(1, math.ceil(open_again - time.time()))


def remember_browser(response: Response, username: str) -> Response:
    """Let the browser count its own failures for this account from now on."""
    response.set_cookie(
        COOKIE,
        _signer(username).sign(secrets.token_urlsafe(12)).decode(),
        max_age=A_YEAR,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure or bool(current_app.config["SESSION_COOKIE_SECURE"]),
    )
    return response


def _signer(username: str) -> Signer:
    """For one account: the cookie of another one is no good, and no cookie names its account."""
    return Signer(str(current_app.secret_key), salt=f"known browser of {fold(username)}")


def _known() -> str | None:
    """The browser's own mark, if it has logged in to the account before."""
    try:
        return _signer(_typed()).unsign(request.cookies.get(COOKIE, "")).decode()
    except (BadSignature, ValueError):
        return None


def _is_known() -> bool:
    return _known() is not None


def _typed() -> str:
    return request.form.get("username", "")[:255]


def _name() -> str:
    return f"account {fold(_typed())[:64]}"


def _address() -> str:
    """Where the request comes from; the whole network that an IPv6 subscriber is given."""
    address = request.remote_addr or "nowhere"
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    mapped = parsed.ipv4_mapped
    return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))


def _browser_and_name() -> str:
    return f"{_known() or _address()} {_name()}"


def _failed(_response: object) -> bool:
    return bool(g.get("login_failed", False))


def _breached(limit: RequestLimit) -> None:
    g.login_open_again = limit.reset_at
