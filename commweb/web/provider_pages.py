"""One blueprint for each provider, named by its id: its settings and the actions beside them.

The settings page and what its buttons do: save, test the connection, lift limits, clear tokens.
Signing in has a module of its own (`commweb.web.provider_sign_in`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from flask import Blueprint, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from commweb import audit
from commweb.connection import Session
from commweb.encryption import Secret
from commweb.errors import AnotherServer, ProviderError, StaleSettings
from commweb.fields import PageForm, SettingsForm
from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.providers.base import Finding, Provider
from commweb.provisioning import end_replaced
from commweb.state import State, current_state, provider_scope
from commweb.web.another_server import AnotherServerPages, wait_for_confirmation
from commweb.web.connecting import after_saving, introduced
from commweb.web.consequences import consequences
from commweb.web.effects import (
    fill_in_address,
    find,
    flash_findings,
    give_back,
    offered_address,
    problem_sentence,
)
from commweb.web.flashes import flash
from commweb.web.pending_changes import ChangesPages, wait_for_answer
from commweb.web.permissions import acting_person, require
from commweb.web.provider_secrets import keeps_secrets
from commweb.web.provider_sign_in import SignInPages
from commweb.web.providers import LIST, is_enabled, pressed
from commweb.web.rooms import courses_without_room
from commweb.web.saving import empty_form, require_current, save_settings, typed_form
from commweb.web.taken_names import TakenNamesPages, how_many_taken

__all__ = ["build"]


def build(provider: Provider, form_class: type[SettingsForm]) -> Blueprint:
    """A new blueprint with the provider's pages; its own templates are found too."""
    folder = Path(str(sys.modules[type(provider).__module__].__file__)).parent / "templates"
    blueprint = Blueprint(
        provider.id, __name__, template_folder=str(folder) if folder.is_dir() else None
    )
    pages = ProviderPages(provider, form_class)
    sign_in = SignInPages(provider, form_class)
    another = AnotherServerPages(provider)
    changes = ChangesPages(provider, form_class, pages.try_server)
    names = TakenNamesPages(provider)
    has_names = provider.account_page is not None
    base = f"{LIST}/{provider.id}"
    guard = require(Permission.CONFIGURE_SITE)
    can_clear = keeps_secrets(provider, form_class)
    for path, endpoint, view, method, has in (
        ("", "settings", pages.settings, "GET", True),
        ("", "save", pages.save, "POST", True),
        ("/test", "test", pages.test, "POST", provider.can_check),
        ("/lift-limits", "lift_limits", pages.lift_limits, "POST", provider.can_lift_limits),
        ("/clear-tokens", "clear_tokens", pages.clear_tokens, "GET", can_clear),
        ("/clear-tokens", "clear", pages.clear, "POST", can_clear),
        ("/changes", "changes", changes.show, "GET", provider.has_rooms),
        ("/changes", "confirm_changes", changes.answer, "POST", provider.has_rooms),
        ("/another-server", "another_server", another.show, "GET", provider.has_session),
        ("/another-server", "confirm_server", another.answer, "POST", provider.has_session),
        ("/accounts", "taken_names", names.show, "GET", has_names),
        ("/accounts/keep", "keep_names", names.keep, "POST", has_names),
        ("/accounts/ask", "ask_names", names.ask, "POST", has_names),
        ("/sign-in", "sign_in", sign_in.show, "GET", provider.can_sign_in),
        ("/sign-in", "do_sign_in", sign_in.sign_in, "POST", provider.can_sign_in),
    ):
        if has:
            blueprint.add_url_rule(base + path, endpoint, guard(view), methods=[method])
    return blueprint


class ProviderPages:
    """The views of one provider."""

    def __init__(self, provider: Provider, form_class: type[SettingsForm]) -> None:
        self.provider = provider
        self.form_class = form_class

    def settings(self) -> ResponseReturnValue:
        """The form with what is stored, never a token."""
        return self._page(empty_form(current_state(), self.provider, self.form_class))

    def save(self) -> ResponseReturnValue:
        """Store the settings and the typed tokens, then try the server."""
        state = current_state()
        form = typed_form(state, self.provider, self.form_class)
        if fill_in_address(form):
            return self._page(form)
        if not form.validate():
            return self._page(form, status=422)
        typed = form.secrets().get("access_token")
        values = form.plain_values(self.provider.settings)
        person = acting_person(state)
        try:
            require_current(state, self.provider, form)
            if self.provider.has_rooms and consequences(state, self.provider, values) is not None:
                return wait_for_answer(state, self.provider, form, person.id)
            refresh = form.secrets().get("refresh_token")
            tried = introduced(state, self.provider, values, typed, refresh)
            old = save_settings(state, self.provider, form, person, tried)
        except StaleSettings:
            form.ask_again()
            return self._page(form, stale=True, status=422)
        except AnotherServer:
            return wait_for_confirmation(state, self.provider, form, person.id, tried)
        flash(_("Changes saved"), "success")
        silent = tried.problem
        return self.try_server(state, form.warnings(), old=old, typed=typed, silent=silent)

    def test(self) -> ResponseReturnValue:
        """Try the server with the saved settings."""
        pressed()
        return self.try_server(current_state(), warnings=[])

    def lift_limits(self) -> ResponseReturnValue:
        """Ask the server to lift its rate limits for the acting account."""
        state = current_state()
        pressed()
        actor = acting_person(state).id
        give_back(state)
        try:
            self.provider.lift_limits(state.context(self.provider))
        except ProviderError as error:
            flash(problem_sentence(error), "warning")
            return self._back(["rate_limited"])
        with state.database.write() as connection:
            audit.record(connection, actor=actor, action="limits.lifted", subject=self.provider.id)
        flash(_("The rate limits for this account are lifted."), "success")
        return self._back()

    def clear_tokens(self) -> ResponseReturnValue:
        """Ask before the tokens are forgotten."""
        return render_template(
            "commweb/clear_tokens.html",
            provider=self.provider,
            session=current_state().tokens(self.provider).read(),
            kept=current_state().secrets(self.provider).read(),
            button=PageForm(formdata=None),
        )

    def clear(self) -> ResponseReturnValue:
        """Forget the tokens. The settings' version grows, so that an older form is refused."""
        state = current_state()
        pressed()
        actor = acting_person(state).id
        give_back(state)
        tokens, own = state.tokens(self.provider), state.secrets(self.provider)
        forgotten: list[Session | None] = [None]

        def forget(connection: Connection) -> None:
            forgotten[0] = tokens.clear(connection)
            own.clear(connection)

        # Neither: it was sent twice, and the trail says so already.
        if tokens.read() is not None or own.read():
            state.settings.save(
                provider_scope(self.provider.id),
                self.provider.settings,
                {},
                expected_version=None,
                actor=actor,
                also=forget,
                detail={"cleared": "tokens" if self.provider.has_session else "secrets"},
            )
        told = (
            _("The tokens are cleared.")
            if self.provider.has_session
            else _("The secrets are cleared.")
        )
        flash(told, "success")
        old = forgotten[0]
        problem = end_replaced(state, self.provider, old, None) if old is not None else None
        if problem:
            flash(problem, "warning")
        return self._back()

    def try_server(
        self,
        state: State,
        warnings: list[str],
        old: Session | None = None,
        typed: Secret | None = None,
        silent: str = "",
    ) -> ResponseReturnValue:
        """Try the server, unless it was ``silent`` just now, and say what was found."""
        for sentence in warnings:
            flash(sentence, "warning")
        known = [Finding("danger", silent, "unreachable")]
        found = flash_findings(known if silent else find(state, self.provider))
        after_saving(state, self.provider, old, typed)
        state.wake()
        return self._back(found)

    def _back(self, found: Sequence[str] = ()) -> ResponseReturnValue:
        return redirect(url_for(f"commweb.{self.provider.id}.settings", found=list(found)), 303)

    def _page(
        self,
        form: SettingsForm,
        *,
        stale: bool = False,
        status: int = 200,
    ) -> ResponseReturnValue:
        state = current_state()
        session = state.tokens(self.provider).read()
        page = render_template(
            self.provider.form_template,
            provider=self.provider,
            form=form,
            stale=stale,
            session=session,
            can_clear=keeps_secrets(self.provider, self.form_class),
            button=PageForm(formdata=None),
            enabled=is_enabled(state, self.provider),
            without_room=_courses_without_room(state, self.provider),
            taken_names=how_many_taken(state, self.provider, session),
            limited="rate_limited" in request.args.getlist("found"),
            offered=offered_address(),
        )
        return page, status


def _courses_without_room(state: State, provider: Provider) -> int:
    if not provider.has_rooms:
        return 0
    return courses_without_room(state)
