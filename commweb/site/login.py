"""Who is logged in, and what a view demands of them.

A session is two things that have to fit: the signed cookie of the browser, and a row in `Login`.
Logging out deletes the row, so a copy of the cookie is worth nothing afterwards.
"""

from __future__ import annotations

import functools
import hashlib
import secrets
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec

from flask import Flask, abort, flash, redirect, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_login import LoginManager, current_user, login_user
from sqlalchemy import delete

from commweb.site import db
from commweb.site.models import Login, User
from commweb.site.passwords import init_passwords
from commweb.site.paths import form_page

__all__ = [
    "administrators",
    "begin_session",
    "end_session",
    "login_address",
    "require_logins",
    "signed_in",
    "somebody",
    "visitor",
]

KEY = "login"
LASTS = timedelta(days=30)

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def require_logins(app: Flask) -> None:
    """Set up Flask-Login and the app's password hasher."""
    init_passwords(app)
    manager = LoginManager(app)
    manager.user_loader(_load)


def _load(session_id: str) -> User | None:
    """The active person of a session; None ends it."""
    number, _colon, login_key = session_id.partition(":")
    user = db.session.get(User, int(number)) if number.isdecimal() else None
    if user is None or not user.active or user.login_key != login_key:
        return None
    login = db.session.get(Login, _digest(session.get(KEY)))
    if login is None or login.user_id != user.id or login.began < _now() - LASTS:
        return None
    return user


def begin_session(user: User) -> None:
    """Log the person in with this browser, and forget their sessions that are too old."""
    session.clear()  # nothing set before the login lives on after it
    key = secrets.token_urlsafe(32)
    session[KEY] = key
    db.session.execute(delete(Login).where(Login.began < _now() - LASTS))
    db.session.add(Login(digest=_digest(key), user_id=user.id, began=_now()))
    db.session.commit()
    login_user(user)


def end_session() -> None:
    """Log this browser out: its cookie, and every copy of it, is worth nothing from now on."""
    db.session.execute(delete(Login).where(Login.digest == _digest(session.get(KEY))))
    db.session.commit()
    session.clear()


def _digest(key: object) -> str:
    """What is kept of a session's key: whoever reads the database cannot log in with it."""
    return hashlib.sha256(str(key or "").encode()).hexdigest()


def _now() -> datetime:
    return datetime.now(UTC).replace(tzinfo=None)


def visitor() -> User | None:
    """Who is logged in, or None."""
    user = current_user
    return user if user and user.is_authenticated else None


def somebody() -> User:
    """Who is logged in, in a view that demands it."""
    user = visitor()
    if user is None:
        abort(401)
    return user


def login_address(next: str | None) -> str:
    """The login page, which leads on to ``next``, a path of this site."""
    return url_for("auth.login", next=next) if next else url_for("auth.login")


def signed_in(view: View[P]) -> View[P]:
    """The view is for people who are logged in; others are sent to the login page.

    Who sent a form is told that nothing was stored, and led back to the form after logging in.
    """

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if visitor() is None:
            if request.method == "POST":
                flash(_("You were logged out. Log in and send the form again."), "warning")
            return redirect(login_address(form_page()))
        return view(*args, **kwargs)

    return guarded


def administrators(view: View[P]) -> View[P]:
    """The view is for administrators."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if not somebody().is_admin:
            abort(403)
        return view(*args, **kwargs)

    return signed_in(guarded)
