"""Blueprint "experimental": Development > Experimental settings."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from commweb.errors import StaleSettings
from commweb.fields import BooleanField, SettingsForm
from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.i18n import lazy_gettext
from commweb.state import SITE, SITE_SETTINGS, State, current_state
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, require

__all__ = ["build"]


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("experimental", __name__)
    blueprint.add_url_rule("/admin/experimental", "edit", edit, methods=["GET"])
    blueprint.add_url_rule("/admin/experimental", "save", save, methods=["POST"])
    return blueprint


class ExperimentalForm(SettingsForm):
    """What is being tried out."""

    communication_enabled = BooleanField(
        lazy_gettext("Enable communications subsystems"),
        description=lazy_gettext(
            "Lets courses have a chat room. While this is off no room is made or changed, and "
            "no homeserver is contacted."
        ),
    )


def _form_class(state: State) -> type[ExperimentalForm]:
    return state.forms.get("experimental", ExperimentalForm)


def _page(form: ExperimentalForm, *, stale: bool = False, status: int = 200) -> ResponseReturnValue:
    return render_template("commweb/experimental.html", form=form, stale=stale), status


@require(Permission.CONFIGURE_SITE, subsystem=False)
def edit() -> ResponseReturnValue:
    """The form with what is stored."""
    state = current_state()
    stored = state.settings.read(SITE, SITE_SETTINGS)
    return _page(_form_class(state)(data={**stored.values, "version": stored.version}))


@require(Permission.CONFIGURE_SITE, subsystem=False)
def save() -> ResponseReturnValue:
    """Store the form and wake the worker, which may have work now."""
    state = current_state()
    form = _form_class(state)()
    if not form.validate():
        return _page(form, status=422)
    actor = acting_person(state).id
    give_back(state)
    try:
        state.settings.save(
            SITE,
            SITE_SETTINGS,
            form.plain_values(SITE_SETTINGS),
            expected_version=int(form.version.data),
            actor=actor,
        )
    except StaleSettings:
        return _page(form, stale=True, status=422)
    state.wake()
    flash(_("Changes saved"), "success")
    return redirect(url_for("commweb.experimental.edit"), 303)
