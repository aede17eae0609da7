"""Error pages in the site's look."""

from __future__ import annotations

from typing import Any

from flask import Flask, render_template
from flask.typing import ResponseReturnValue
from flask_babel import lazy_gettext as _
from flask_limiter.errors import RateLimitExceeded
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException

__all__ = ["register"]

PAGES = {
    400: (_("This did not work"), _("The request was not understood. Go back and try again.")),
    401: (_("Please log in"), _("You have to log in to see this page.")),
    403: (_("Not allowed"), _("Your account is not allowed to do this.")),
    404: (_("Page not found"), _("There is nothing at this address.")),
    405: (_("This did not work"), _("This address cannot be opened in this way.")),
    413: (_("Too large"), _("What was sent is too large for this site.")),
    429: (
        _("Too many attempts"),
        _("There were too many failed attempts to log in. Wait a minute, then try again."),
    ),
    500: (
        _("Something went wrong"),
        _("The site made a mistake. It has been noted. Try again later."),
    ),
}
EXPIRED = _("The form is not valid any more. Go back, load the page again and send it once more.")


def register(app: Flask) -> None:
    """Draw every HTTP error as a page. 500 is drawn without asking the database."""
    app.register_error_handler(HTTPException, _page)


def _page(error: HTTPException) -> ResponseReturnValue:
    code = error.code or 500
    if code < 400 or error.response is not None:
        return error.get_response()
    heading, sentence = PAGES.get(code, (error.name, ""))
    page = render_template(
        "errors/500.html" if code >= 500 else "errors/error.html",
        code=code,
        heading=heading,
        sentence=_said(error) or sentence,
    )
    headers = [(n, v) for n, v in error.get_headers() if n.lower() in ("allow", "retry-after")]
    if isinstance(error, RateLimitExceeded):
        headers.append(("Retry-After", "60"))
    return page, code, headers


def _said(error: HTTPException) -> Any:
    """What whoever raised the error said about it, if that is meant for people."""
    if isinstance(error, CSRFError):
        return EXPIRED
    if isinstance(error, RateLimitExceeded) or error.description == type(error).description:
        return None
    return error.description
