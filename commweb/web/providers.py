"""Blueprint "providers": Manage communication providers (the list, enable and disable)."""

from __future__ import annotations

from dataclasses import dataclass

from flask import Blueprint, abort, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from commweb.fields import PageForm
from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.providers.base import Provider
from commweb.state import PROVIDER_STATE_SETTINGS, State, current_state, provider_state_scope
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person, require

__all__ = ["build", "is_enabled", "pressed"]

LIST = "/admin/communication/providers"


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("providers", __name__)
    blueprint.add_url_rule(LIST, "index", index)
    blueprint.add_url_rule(f"{LIST}/<provider_id>", "unknown", unknown)
    for name, view in (("enable", enable), ("disable", disable), ("uninstall", uninstall)):
        blueprint.add_url_rule(f"{LIST}/<provider_id>/{name}", name, view, methods=["POST"])
    return blueprint


@dataclass(frozen=True)
class ProviderLine:
    """One row of the list."""

    id: str
    name: str
    enabled: bool
    settings_url: str | None


def is_enabled(state: State, provider: Provider) -> bool:
    """Whether an admin lets courses use the provider."""
    scope = provider_state_scope(provider.id)
    return bool(state.settings.read(scope, PROVIDER_STATE_SETTINGS)["enabled"])


def pressed() -> None:
    """Raise 400 unless the button that was pressed is on a page of this session."""
    if not PageForm().validate():
        abort(400, description=_("This page has expired. Reload it and try again."))


@require(Permission.CONFIGURE_SITE)
def index() -> ResponseReturnValue:
    """Every installed provider."""
    state = current_state()
    lines = [
        ProviderLine(
            provider.id,
            str(provider.name),
            is_enabled(state, provider),
            _settings_url(provider),
        )
        for provider in state.registry
    ]
    return render_template("commweb/providers.html", providers=lines, button=PageForm())


def _settings_url(provider: Provider) -> str | None:
    if provider.settings_form() is None:
        return None
    return url_for(f"commweb.{provider.id}.settings")


def _known(provider_id: str) -> Provider:
    provider = current_state().registry.get(provider_id)
    if provider is None:
        abort(404, description=_("There is no such communication provider."))
    return provider


@require(Permission.CONFIGURE_SITE)
def unknown(provider_id: str) -> ResponseReturnValue:
    """The address of a settings page that no provider has."""
    name = str(_known(provider_id).name)
    abort(404, description=_("%(name)s has no settings.", name=name))


@require(Permission.CONFIGURE_SITE)
def enable(provider_id: str) -> ResponseReturnValue:
    """Let courses use the provider."""
    return _set_enabled(_known(provider_id), True)


@require(Permission.CONFIGURE_SITE)
def disable(provider_id: str) -> ResponseReturnValue:
    """Let no course use the provider; its settings and its rooms stay as they are."""
    return _set_enabled(_known(provider_id), False)


def _set_enabled(provider: Provider, enabled: bool) -> ResponseReturnValue:
    state = current_state()
    pressed()
    actor = acting_person(state).id
    give_back(state)
    state.settings.save(
        provider_state_scope(provider.id),
        PROVIDER_STATE_SETTINGS,
        {"enabled": enabled},
        expected_version=None,
        actor=actor,
    )
    state.wake()
    text = _("%(name)s is enabled.") if enabled else _("%(name)s is disabled.")
    flash(text % {"name": str(provider.name)}, "success")
    return redirect(url_for("commweb.providers.index"), 303)


@require(Permission.CONFIGURE_SITE)
def uninstall(provider_id: str) -> ResponseReturnValue:
    """Refused always: a provider is removed with its package, and ours belong to commweb."""
    provider = _known(provider_id)
    name = str(provider.name)
    if provider.uninstallable:
        abort(409, description=_("To uninstall %(name)s, remove its package.", name=name))
    abort(403, description=_("%(name)s is part of commweb and cannot be uninstalled.", name=name))
