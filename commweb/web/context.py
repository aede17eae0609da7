"""What every template of ours may use, and the pages for 401, 403, 404 and the like."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Blueprint, Response, current_app, render_template, request, url_for
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from commweb.connection import SIGN_IN_NEEDED
from commweb.database import TablesMissingError
from commweb.i18n import format_datetime, ngettext
from commweb.i18n import gettext as _
from commweb.links import web_link
from commweb.plain import PlainFields
from commweb.providers.base import Provider
from commweb.state import State
from commweb.sync.confirming import held_rooms
from commweb.web.layout import layout
from commweb.web.providers import is_enabled

__all__ = ["Banner", "add_to", "banners", "template_context"]

SIGNING_IN = ("sign_in", "do_sign_in")
PAGE_CODES = (400, 401, 403, 404, 405, 409, 413, 422)


@dataclass(frozen=True)
class Banner(PlainFields):
    """Something an administrator has to do. ``url`` leads to where."""

    message: str
    url: str
    link: str


def add_to(blueprint: Blueprint, state: State) -> None:
    """Give the blueprint's templates their context, and its errors a page in the layout."""
    context = template_context(state)
    blueprint.context_processor(lambda: dict(context))
    for code in PAGE_CODES:
        blueprint.register_error_handler(code, _error_page)
    blueprint.register_error_handler(TablesMissingError, _tables_missing)
    blueprint.after_request(_not_stored)


def template_context(state: State) -> dict[str, Any]:
    """The names our templates use, for a host that includes one in its own page too."""
    return {
        "commweb_layout": lambda: layout(state),
        "commweb_stylesheet": _stylesheet(state),
        "commweb_link": web_link,
        "commweb_banners": lambda: banners(state),
        "commweb_datetime": format_datetime,
    }


def _stylesheet(state: State) -> Callable[[], str]:
    def url() -> str:
        chosen = state.config.stylesheet
        if chosen is None:
            return url_for("commweb.static", filename="commweb.css")
        return chosen

    return url


def banners(state: State) -> list[Banner]:
    """What waits for an administrator: sessions that need somebody to sign in, and held rooms."""
    if not state.subsystem_on():
        return []
    found = _held_banner(state)
    for provider in state.registry:
        if not provider.has_session or not is_enabled(state, provider):
            continue
        if request.endpoint in [f"commweb.{provider.id}.{name}" for name in SIGNING_IN]:
            continue  # that is what this page is for
        session = state.tokens(provider).read()
        if session is not None and session.state == SIGN_IN_NEEDED:
            found.append(_sign_in_banner(provider, session.reason or ""))
    return found


def _held_banner(state: State) -> list[Banner]:
    with state.database.read() as connection:
        count = held_rooms(connection)
    if not count:
        return []
    message = ngettext(
        "%(count)d room waits for your confirmation.",
        "%(count)d rooms wait for your confirmation.",
        count,
    )
    return [Banner(message, url_for("commweb.rooms.index", held=1), _("Show them"))]


def _sign_in_banner(provider: Provider, reason: str) -> Banner:
    name, page = str(provider.name), "sign_in" if provider.can_sign_in else "settings"
    message = _(
        "The connection to %(name)s has ended. Rooms are not updated until you "
        "sign in again; nothing is lost.",
        name=name,
    )
    return Banner(
        f"{message} {reason}".strip(),
        url_for(f"commweb.{provider.id}.{page}"),
        _("Sign in to %(name)s", name=name),
    )


def _error_page(error: HTTPException) -> ResponseReturnValue:
    headings = {
        401: _("Log in first"),
        403: _("Not allowed"),
        404: _("Not found"),
    }
    page = render_template(
        "commweb/message.html",
        heading=headings.get(error.code or 0, _("This did not work")),
        sentence=error.description,
    )
    return page, error.code or 500


def _tables_missing(error: TablesMissingError) -> ResponseReturnValue:
    """Without the layout: what a host draws in it may ask for our tables too."""
    current_app.logger.error("%s", error)
    return Response(str(error), 503, mimetype="text/plain")


def _not_stored(response: Response) -> Response:
    """Keep administration pages out of caches; static files may stay there."""
    if request.endpoint != "commweb.static" and "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store, private"
    return response
