"""Blueprint "account": the page on which people see, link and unlink their chat account."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps

from flask import Blueprint, abort, redirect, request, url_for
from flask.typing import ResponseReturnValue

from commweb import accounts, audit, places, proofs
from commweb.encryption import Secret
from commweb.errors import ProviderError
from commweb.i18n import gettext as _
from commweb.state import current_state
from commweb.web.account_page import PasswordForm, done, people_of, show, trouble
from commweb.web.effects import give_back
from commweb.web.linking import cancel, confirm, link
from commweb.web.own_account import (
    Visit,
    forget_namesake,
    provider_with_accounts,
    server_of,
    situation,
)
from commweb.web.permissions import off_sentence, require_form
from commweb.web.providers import pressed

__all__ = ["build"]

SHORTEST_PASSWORD = 12
FEWEST_CHARACTERS = 5
View = Callable[[Visit], ResponseReturnValue]


def build() -> Blueprint:
    """A new blueprint for one app."""
    blueprint = Blueprint("account", __name__)
    blueprint.add_url_rule("/account", "edit", _own(edit), methods=["GET"])
    for name, view in (
        ("link", link),
        ("confirm", confirm),
        ("cancel", cancel),
        ("unlink", unlink),
        ("agree", agree),
        ("password", password),
        ("again", again),
    ):
        blueprint.add_url_rule(f"/account/{name}", name, _own(view), methods=["POST"])
    return blueprint


def _own(view: View) -> Callable[[], ResponseReturnValue]:
    """Everybody who is logged in sees his or her own account, and nobody else's."""

    @wraps(view)
    def guarded() -> ResponseReturnValue:
        state = current_state()
        person = state.host.current_person()
        if person is None:
            target = state.host.login_url(url_for("commweb.account.edit"))
            if target is None:
                abort(401, description=_("Log in first to see this page."))
            return redirect(target)
        if not state.subsystem_on():
            abort(404, description=off_sentence())
        provider = provider_with_accounts(state)
        if provider is None:
            abort(404, description=_("Chat is not set up here yet."))
        require_form()
        visit = Visit(state, provider, person, state.values(provider).values)
        if request.method == "POST":
            forget_namesake(visit)
        return view(visit)

    return guarded


def edit(visit: Visit) -> ResponseReturnValue:
    """The page as it stands."""
    return show(visit)


def unlink(visit: Visit) -> ResponseReturnValue:
    """Use the account no more."""
    pressed()
    give_back(visit.state)
    server = server_of(visit)
    with visit.state.database.write() as connection:
        accounts.unlink(connection, visit.provider.id, visit.person.id, server)
    visit.state.wake()
    return done(_("The account was unlinked. Your rooms will be updated shortly."))


def agree(visit: Visit) -> ResponseReturnValue:
    """Let an account be made."""
    pressed()
    give_back(visit.state)
    with visit.state.database.write() as connection:
        accounts.agree(connection, visit.provider.id, visit.person.id)
    visit.state.wake()
    return done(_("Thank you. The account is created as soon as one of your courses needs it."))


def again(visit: Visit) -> ResponseReturnValue:
    """Try the rooms that could not be entered."""
    pressed()
    give_back(visit.state)
    with visit.state.database.write() as connection:
        places.look_again(connection, visit.provider.id, visit.person.id)
    visit.state.wake()
    return done(_("Your rooms are being updated."))


def password(visit: Visit) -> ResponseReturnValue:
    """Give the account that was created for the person a password, kept nowhere here."""
    now = situation(visit)
    if not now.may_set_password or now.account is None:
        abort(403, description=_("You cannot set a chat password here."))
    form = PasswordForm()
    if not _good_password(visit, form):
        return show(visit, password_form=form, status=422)
    give_back(visit.state)
    try:
        with people_of(visit) as people:
            people.set_password(now.account, form.password.data or Secret(""))
    except ProviderError as error:
        return show(visit, problem=trouble(error), status=422)
    _tell(visit, "account.password_set", account=now.account)
    return done(_("The chat password is set. Sign in as %(user)s.", user=now.account))


def _tell(visit: Visit, action: str, **detail: str) -> None:
    with visit.state.database.write() as connection:
        audit.record(
            connection,
            actor=visit.person.id,
            action=action,
            subject=visit.provider.id,
            detail=detail,
        )


def _good_password(visit: Visit, form: PasswordForm) -> bool:
    if not form.validate():
        return False
    typed = form.password.data or Secret("")
    if len(typed.reveal()) < SHORTEST_PASSWORD:
        form.password.errors = [_("Use at least %(count)d characters.", count=SHORTEST_PASSWORD)]
    elif len(set(typed.reveal())) < FEWEST_CHARACTERS:
        fewest = FEWEST_CHARACTERS
        form.password.errors = [_("Use at least %(count)d different characters.", count=fewest)]
    elif typed != form.password_again.data:
        form.password_again.errors = [_("The two passwords are not the same.")]
    else:
        problem = _site_password_problem(visit, form.site_password.data or Secret(""))
        if problem is not None:
            form.site_password.errors = [problem]
        elif visit.state.host.check_password(visit.person, typed.reveal()):
            form.password.errors = [_("Choose another password than the one of this site.")]
    fields = (form.site_password, form.password, form.password_again)
    return not any(field.errors for field in fields)


def _site_password_problem(visit: Visit, typed: Secret) -> str | None:
    """A stolen session is not enough to set a password; None: it is the person, or a site without
    passwords. Tries are limited."""
    provider, person = visit.provider.id, visit.person
    give_back(visit.state)
    # Counted first: of many guesses at once none is free.
    with visit.state.database.write() as connection:
        may_try = proofs.may_try_password(connection, provider, person.id)
    if not may_try:
        return _("Too many tries. Try again in an hour.")
    if visit.state.host.check_password(person, typed.reveal()) is False:
        return _("This is not your password on this site.")
    give_back(visit.state)
    _tell(visit, proofs.PASSWORD_RIGHT)
    return None
