"""The page "Sign in to get tokens": a user name and a password, once, for a token pair."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from commweb.connection import Session
from commweb.errors import AnotherServer, ProviderError, StaleSettings, Unreachable
from commweb.fields import (
    PlainText,
    SettingsForm,
    SignInPasswordField,
    StringField,
    required,
)
from commweb.i18n import gettext as _
from commweb.i18n import lazy_gettext
from commweb.providers.base import Provider, SignedIn
from commweb.state import State, current_state
from commweb.web.another_server import wait_for_confirmation
from commweb.web.connecting import Tried, after_saving, end_new
from commweb.web.consequences import consequences
from commweb.web.effects import fill_in_address, find, flash_findings, give_back, problem_sentence
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person
from commweb.web.saving import empty_form, require_current, save_settings, typed_form

__all__ = ["SignInFields", "SignInPages"]


class SignInFields(SettingsForm):
    """What signing in asks for besides the provider's plain settings."""

    username = StringField(
        lazy_gettext("User name"),
        filters=[lambda text: text.strip() if text else text],
        validators=[required(), PlainText()],
        description=lazy_gettext(
            "The account that creates and manages the rooms. It has to be a server administrator."
        ),
    )
    password = SignInPasswordField(
        lazy_gettext("Password"),
        validators=[required()],
        description=lazy_gettext("Used once to sign in, never stored."),
    )


def sign_in_form(form_class: type[SettingsForm]) -> type[SignInFields]:
    """The provider's form with a user name and a password in place of its tokens."""
    tokens: dict[str, Any] = {"access_token": None, "refresh_token": None}
    return type(f"SignIn{form_class.__name__}", (SignInFields, form_class), tokens)


class SignInPages:
    """The views of one provider."""

    def __init__(self, provider: Provider, form_class: type[SettingsForm]) -> None:
        self.provider = provider
        self.form_class = sign_in_form(form_class)

    def show(self) -> ResponseReturnValue:
        """The form with the saved settings."""
        return self._page(empty_form(current_state(), self.provider, self.form_class))

    def sign_in(self) -> ResponseReturnValue:
        """Get the tokens and save them with the settings they belong to.

        The button on the settings page comes here too (``start``), and the one that fills in an
        offered address: nothing is checked then, what was typed is carried over.
        """
        state = current_state()
        form = typed_form(state, self.provider, self.form_class)
        if fill_in_address(form) or "start" in request.form:
            return self._page(form)
        if not form.validate():
            return self._page(form, status=422)
        if consequences(state, self.provider, form.plain_values(self.provider.settings)):
            form.ask_again()
            problem = _("The settings you changed have to be confirmed. Save them first.")
            return self._page(form, problem=problem, status=422)
        return self._signed_in(state, form)

    def _signed_in(self, state: State, form: SignInFields) -> ResponseReturnValue:
        person, tried = acting_person(state), Tried(None, None)
        try:
            require_current(state, self.provider, form)
            tried = Tried.of_sign_in(self._ask(state, form))
            old = save_settings(state, self.provider, form, person, tried)
        except StaleSettings:
            # Nobody has the tokens of a session that was signed in to meanwhile.
            end_new(state, self.provider, form.plain_values(self.provider.settings), tried)
            form.ask_again()
            return self._page(form, stale=True, status=422)
        except AnotherServer:
            return wait_for_confirmation(state, self.provider, form, person.id, tried)
        except ProviderError as error:
            form.ask_again()
            offered = error.use_address if isinstance(error, Unreachable) else ""
            return self._page(form, problem=problem_sentence(error), offered=offered, status=422)
        return self._done(state, form, tried, old)

    def _ask(self, state: State, form: SignInFields) -> SignedIn:
        give_back(state)
        return self.provider.sign_in(
            form.plain_values(self.provider.settings),
            state.network,
            str(form.username.data),
            form.secrets()["password"],
        )

    def _done(
        self, state: State, form: SignInFields, tried: Tried, old: Session | None
    ) -> ResponseReturnValue:
        flash(_("Changes saved"), "success")
        flash(_("Signed in as %(user)s. The tokens are stored.", user=tried.user_id), "success")
        for sentence in form.warnings():
            flash(sentence, "warning")
        found = flash_findings(find(state, self.provider))
        after_saving(state, self.provider, old, None)
        state.wake()
        return redirect(url_for(f"commweb.{self.provider.id}.settings", found=found), 303)

    def _page(
        self,
        form: SignInFields,
        *,
        stale: bool = False,
        problem: str | None = None,
        offered: str = "",
        status: int = 200,
    ) -> ResponseReturnValue:
        page = render_template(
            "commweb/sign_in.html",
            provider=self.provider,
            form=form,
            stale=stale,
            problem=problem,
            offered=offered,
        )
        return page, status
