"""The site's pages, by feature."""

from __future__ import annotations

from typing import Any

from flask import Flask, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue
from flask_babel import gettext as _
from werkzeug.routing import IntegerConverter, Map

from commweb.site import comm
from commweb.site.host import as_person
from commweb.site.login import visitor
from commweb.site.throttle import throttle
from commweb.site.views import auth, courses, errors, members, people

__all__ = ["register"]

LARGEST_ID = 2**31 - 1


class RowNumber(IntegerConverter):
    """The id of a row in an address; a number that no table holds is nobody's address."""

    def __init__(self, map: Map, **options: Any) -> None:
        super().__init__(map, **{"max": LARGEST_ID, **options})


def register(app: Flask) -> None:
    """Register every page, the error pages and what the templates need."""
    app.url_map.converters["int"] = RowNumber
    for pages in (auth, courses, members, people):
        app.register_blueprint(pages.blueprint)
    throttle(app)
    errors.register(app)
    app.before_request(_forms_only)
    app.add_url_rule("/", "home", _home)

    # Functions, so that a page of errors can be drawn without asking the database.
    app.jinja_env.globals["visitor"] = visitor
    app.jinja_env.globals["communication_menu"] = _communication_menu


def _forms_only() -> None:
    """Refuse a POST to the site's own pages that is no form: JSON holds more than strings, and a
    form without any field would be read as one whose boxes are all unchecked."""
    if request.method == "POST" and not request.form and "commweb" not in request.blueprints:
        abort(400, description=_("The form arrived empty. Reload the page and try again."))


def _home() -> ResponseReturnValue:
    return redirect(url_for("courses.index"))


def _communication_menu() -> object:
    user = visitor()
    return comm.navigation(as_person(user)) if user else ()
