"""The languages of the site: the one a person chose, else the best one for the browser."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, Flask, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import Babel

from commweb.site.paths import safe_path

__all__ = ["LANGUAGES", "speak_languages"]

LANGUAGES: Mapping[str, str] = {"en": "English", "de": "Deutsch", "fr": "Français"}
"""The codes, and how each is called by those who speak it."""
# A cookie and not the session, which ends with logging in and out.
COOKIE = "language"
A_YEAR = 365 * 24 * 60 * 60

blueprint = Blueprint("languages", __name__)


def speak_languages(app: Flask) -> None:
    """Set up Flask-Babel, which commweb follows too, and the choice at the foot of each page."""
    Babel(app, locale_selector=_language)
    app.register_blueprint(blueprint)
    app.jinja_env.globals["languages"] = LANGUAGES


def _language() -> str:
    chosen = request.cookies.get(COOKIE, "")
    if chosen in LANGUAGES:
        return chosen
    return request.accept_languages.best_match(list(LANGUAGES)) or "en"


@blueprint.post("/language")
def choose() -> ResponseReturnValue:
    language = request.form.get("language", "")
    if language not in LANGUAGES:
        abort(400)
    response = redirect(safe_path(request.form.get("next")) or url_for("home"), 303)
    response.set_cookie(
        COOKIE,
        language,
        max_age=A_YEAR,
        httponly=True,
        samesite="Lax",
        secure=request.is_secure,
    )
    return response
