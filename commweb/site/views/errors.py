"""Error pages in the site's look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NoReturn

from flask import Flask, Response, abort, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext, ngettext
from flask_babel import lazy_gettext as _
from flask_limiter.errors import RateLimitExceeded
from flask_wtf.csrf import CSRFError, CSRFProtect
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError
from werkzeug.exceptions import HTTPException, SecurityError

from commweb.site import db
from commweb.site.login import login_address, visitor
from commweb.site.paths import form_page
from commweb.site.throttle import seconds_to_wait

__all__ = ["FormGuard", "register"]

PAGES = {
    400: (_("This did not work"), _("The request was not understood. Go back and try again.")),
    401: (_("Please log in"), _("You have to log in to see this page.")),
    403: (_("Not allowed"), _("Your account is not allowed to do this.")),
    404: (_("Page not found"), _("There is nothing at this address.")),
    405: (_("This did not work"), _("This page cannot be opened from a link.")),
    413: (_("Too large"), _("Too large: at most 2 MB for a picture, 6 MB for a form.")),
    500: (
        _("Something went wrong"),
        _("Something went wrong. We have recorded it; try again in a minute."),
    ),
}
EXPIRED = _("This page has expired. Reload it and try again.")
LOGGED_OUT = _("You were logged out. Log in and send the form again.")
OTHER_NAME = (
    "This site does not answer to the host name of this request.\n"
    "An operator can allow it: FLASK_TRUSTED_HOSTS, or FLASK_SITE_URL.\n"
)


@dataclass(frozen=True)
class WayOn:
    """The link below the page that a refused form gets."""

    url: str
    text: Any


def register(app: Flask) -> None:
    """Draw every HTTP error as a page. 500 is drawn without asking the database."""
    app.register_error_handler(HTTPException, _page)
    for error in (ObjectDeletedError, StaleDataError):
        app.register_error_handler(error, _changed_meanwhile)


def _changed_meanwhile(_error: Exception) -> ResponseReturnValue:
    """What a request was about to change, delete or show is gone: a form was sent twice at once, or
    somebody else was faster."""
    db.session.rollback()
    flash(gettext("Somebody changed this at the same time. Look at it, and try again."), "warning")
    return redirect(form_page() or url_for("courses.index"), 303)


def _page(error: HTTPException) -> ResponseReturnValue:
    if isinstance(error, SecurityError):
        # No page: nothing of the site has an address under a name that is not its own.
        return Response(OTHER_NAME, 400, mimetype="text/plain")
    code = error.code or 500
    if code < 400 or error.response is not None:
        return error.get_response()
    headers = [(n, v) for n, v in error.get_headers() if n.lower() in ("allow", "retry-after")]
    if isinstance(error, RateLimitExceeded):
        headers.append(("Retry-After", str(seconds_to_wait())))
    heading, sentence = _words(error, code)
    page = render_template(
        "errors/500.html" if code >= 500 else "errors/error.html",
        code=code,
        heading=heading,
        sentence=sentence,
    )
    return page, code, headers


def _words(error: HTTPException, code: int) -> tuple[Any, Any]:
    """Heading and sentence; what whoever raised the error said, if that is meant for people."""
    heading, sentence = PAGES.get(code, (error.name, ""))
    if isinstance(error, RateLimitExceeded):
        return gettext("Too many attempts"), _too_many()
    said = error.description if error.description != type(error).description else None
    return heading, said or sentence


def _too_many() -> Any:
    seconds = seconds_to_wait()
    if seconds < 60:
        return ngettext(
            "There were too many failed attempts to log in. Try again in %(num)d second.",
            "There were too many failed attempts to log in. Try again in %(num)d seconds.",
            seconds,
        )
    return ngettext(
        "There were too many failed attempts to log in. Try again in %(num)d minute.",
        "There were too many failed attempts to log in. Try again in %(num)d minutes.",
        -(-seconds // 60),
    )


class FormGuard(CSRFProtect):  # type: ignore[misc]
    """Refuses forms that no page of this session holds, with a page that leads back to them.

    The page is an answer and not an error: those of commweb's pages are drawn by commweb, which
    does not know where this site logs in.
    """

    def _error_response(self, reason: str) -> NoReturn:
        if request.path.startswith("/api/"):
            raise CSRFError(reason)
        abort(_refused_form())


def _refused_form() -> Response:
    back = form_page()
    way_on = WayOn(back, gettext("Go back to the form")) if back else None
    if visitor() is None:
        way_on = WayOn(login_address(back), gettext("Log in"))
    was_logged_out = visitor() is None and request.endpoint != "auth.login"
    page = render_template(
        "errors/refused.html",
        code=400,
        heading=PAGES[400][0],
        sentence=LOGGED_OUT if was_logged_out else EXPIRED,
        way_on=way_on,
    )
    return Response(page, 400)
