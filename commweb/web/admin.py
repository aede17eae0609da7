"""Blueprint "admin": Site administration, the menu as a page."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from commweb.host import Permission
from commweb.state import current_state
from commweb.web.menu import administration
from commweb.web.permissions import acting_person, require

__all__ = ["build"]


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("admin", __name__)
    blueprint.add_url_rule("/admin/", "index", index)
    return blueprint


@require(Permission.CONFIGURE_SITE, subsystem=False)
def index() -> ResponseReturnValue:
    """The menu as a page."""
    state = current_state()
    (menu,) = administration(state, acting_person(state))
    return render_template("commweb/admin.html", menu=menu)
