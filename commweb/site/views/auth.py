"""Logging in and out."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from flask_babel import lazy_gettext
from sqlalchemy import select

from commweb.site import db
from commweb.site.forms import LoginForm
from commweb.site.login import begin_session, end_session, visitor
from commweb.site.models import User, fold
from commweb.site.passwords import passwords
from commweb.site.paths import safe_path
from commweb.site.throttle import count_as_failed, remember_browser

__all__ = ["blueprint"]

blueprint = Blueprint("auth", __name__)

WRONG = lazy_gettext("Wrong user name or password.")
SUSPENDED = lazy_gettext("This account is suspended. Ask an administrator.")


@blueprint.route("/login", methods=["GET", "POST"])
def login() -> ResponseReturnValue:
    onward = safe_path(request.args.get("next")) or url_for("courses.index")
    if visitor():
        return redirect(onward, 303 if request.method == "POST" else 302)
    form = LoginForm()
    if form.validate_on_submit():
        user, problem = _check(form.username.data, form.password.data)
        if user:
            begin_session(user)
            return remember_browser(redirect(onward, 303), user.username)
        count_as_failed()
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
    end_session()
    flash(_("You have logged out."), "success")
    return redirect(url_for("auth.login"), 303)
