"""Logging in and out."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Flask, flash, g, redirect, render_template, request, session, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address
from flask_login import login_user
from sqlalchemy import select

from commweb.site import db
from commweb.site.forms import LoginForm
from commweb.site.login import visitor
from commweb.site.models import User, fold
from commweb.site.passwords import passwords

__all__ = ["blueprint", "safe_path", "throttle"]

blueprint = Blueprint("auth", __name__)

WRONG = lazy_gettext("The user name or the password is not right.")
SUSPENDED = lazy_gettext("This account is suspended. Ask an administrator.")
SAFE_PATH = re.compile(r"/(?![/\\])[^\\\s\x00-\x1f\x7f]*")


def safe_path(text: str | None) -> str | None:
    """``text`` if it is a path of this site and cannot be read as another one's address."""
    return text if text and len(text) < 2000 and SAFE_PATH.fullmatch(text) else None


def throttle(app: Flask) -> None:
    """Limit failed logins by ``LOGIN_LIMIT`` and ``LOGIN_LIMIT_BY_ADDRESS``.

    A limiter keeps its counters itself, so each app gets its own.
    """
    limiter = Limiter(get_remote_address, app=app)
    view: Any = app.view_functions["auth.login"]
    for limit, key in (
        (app.config["LOGIN_LIMIT"], _address_and_name),
        (app.config["LOGIN_LIMIT_BY_ADDRESS"], get_remote_address),
    ):
        view = limiter.limit(limit, key_func=key, methods=["POST"], deduct_when=_failed)(view)
    app.view_functions["auth.login"] = view


def _address_and_name() -> str:
    return f"{get_remote_address()} {fold(request.form.get('username', ''))[:64]}"


def _failed(_response: object) -> bool:
    return bool(g.get("login_failed", False))


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    onward = safe_path(request.args.get("next")) or url_for("courses.index")
    if visitor():
        return redirect(onward, 303 if request.method == "POST" else 302)
    form = LoginForm()
    if form.validate_on_submit():
        user, problem = _check(form.username.data, form.password.data)
        if user:
            session.clear()  # nothing set before the login lives on after it
            login_user(user)
            return redirect(onward, 303)
        g.login_failed = True
        form.password.errors = [problem]
    return render_template("auth/login.html", form=form), 422 if form.errors else 200


def _check(username: str, password: str) -> tuple[User | None, Any]:
    """The person, or None and why not. It takes as long for a name that nobody has."""
    user = db.session.scalar(select(User).where(User.username_folded == fold(username)))
    stored = user.password_hash if user else None
    if not passwords().match(stored, password) or user is None:
        return None, WRONG
    if not user.active:
        return None, SUSPENDED
    if stored and passwords().outdated(stored):
        user.password_hash = passwords().hash(password)
        db.session.commit()
    return user, ""


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    session.clear()
    flash(_("You are logged out."), "success")
    return redirect(url_for("auth.login"), 303)
