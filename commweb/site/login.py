"""Who is logged in, and what a view demands of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec

from flask import Flask, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_login import LoginManager, current_user

from commweb.site import db
from commweb.site.models import User
from commweb.site.passwords import init_passwords

__all__ = ["administrators", "login_address", "require_logins", "signed_in", "somebody", "visitor"]

P = ParamSpec("P")
View = Callable[P, ResponseReturnValue]


def require_logins(app: Flask) -> None:
    """Set up Flask-Login and the app's password hasher."""
    init_passwords(app)
    manager = LoginManager(app)
    manager.user_loader(_load)


def _load(session_id: str) -> User | None:
    """The active person of a session; None ends it."""
    number, _, login_key = session_id.partition(":")
    user = db.session.get(User, int(number)) if number.isdecimal() else None
    if user is None or not user.active or user.login_key != login_key:
        return None
    return user


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
    """The view is for people who are logged in; others are sent to the login page."""

    @functools.wraps(view)
    def guarded(*args: P.args, **kwargs: P.kwargs) -> ResponseReturnValue:
        if visitor() is None:
            here = request.full_path.rstrip("?") if request.method == "GET" else None
            return redirect(login_address(here))
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
