"""The page "My ... account": its forms, and drawing it."""

from __future__ import annotations

import re
from contextlib import closing, suppress

from flask import redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from commweb.answers import CheckedHost
from commweb.errors import ProviderError, SignInNeeded
from commweb.fields import PageForm, PlainText, SignInPasswordField, StringField, required
from commweb.host import Host
from commweb.i18n import gettext as _
from commweb.i18n import lazy_gettext
from commweb.providers.base import People
from commweb.web.effects import CHECK_SECONDS, problem_sentence
from commweb.web.flashes import flash
from commweb.web.own_account import Situation, Visit, situation

__all__ = [
    "CodeForm",
    "LinkForm",
    "PasswordForm",
    "clear_away",
    "done",
    "people_of",
    "show",
    "trouble",
]


class LinkForm(PageForm):
    """Which account is one's own."""

    user_id = StringField(validators=[required(), PlainText()])


class CodeForm(PageForm):
    """The code that was sent to the account. Spaces and hyphens do not count."""

    code = StringField(
        lazy_gettext("Code"),
        filters=[lambda text: re.sub(r"[\s-]", "", text or "")],
        validators=[required()],
    )


class PasswordForm(PageForm):
    """A password for the chat, twice, and the one of the site where there is one."""

    site_password = SignInPasswordField(lazy_gettext("Your password on this site"))
    password = SignInPasswordField(
        lazy_gettext("Chat password"),
        validators=[required()],
        description=lazy_gettext("At least 12 characters, and not the password of this site."),
    )
    password_again = SignInPasswordField(
        lazy_gettext("Chat password again"), validators=[required()]
    )


def show(
    visit: Visit,
    *,
    link_form: LinkForm | None = None,
    code_form: CodeForm | None = None,
    password_form: PasswordForm | None = None,
    problem: str | None = None,
    status: int = 200,
) -> ResponseReturnValue:
    """The page as things stand, with the forms as they were sent and what is wrong with them."""
    now = situation(visit)
    alive = now.proof is not None and now.proof.alive
    if code_form is not None and code_form.code.errors and not alive:
        # The field is not there any more.
        problem, code_form = str(code_form.code.errors[0]), None
    if link_form is None:
        typed = now.proof.remote_user_id if now.proof and alive else now.account or now.to_prove
        link_form = LinkForm(formdata=None, data={"user_id": typed or ""})
    link_form.user_id.label.text = visit.provider.account_label
    link_form.user_id.description = _help(now)
    page = render_template(
        "commweb/account.html",
        provider=visit.provider,
        now=now,
        without_proof=not now.needs_proof,
        form=link_form,
        code_form=code_form or CodeForm(formdata=None),
        password_form=password_form or PasswordForm(formdata=None),
        asks_password=_has_passwords(visit.state.host),
        button=PageForm(formdata=None),
        problem=problem,
    )
    return page, status


def _has_passwords(host: Host) -> bool:
    """Whether the site says what people's passwords are."""
    asked = host.host if isinstance(host, CheckedHost) else host
    return type(asked).check_password is not Host.check_password


def _help(now: Situation) -> str:
    if not now.needs_proof:
        return _("The account that you use for chats. Your rooms then use it too.")
    return _(
        "The account that you use for chats. A code is sent there, and you enter it here, so that "
        "nobody can claim somebody else's account."
    )


def done(message: str) -> ResponseReturnValue:
    """Say so on the page."""
    flash(message, "success")
    return redirect(url_for("commweb.account.edit"), 303)


def trouble(error: ProviderError) -> str:
    """What stands in the way, for somebody who administers nothing."""
    if isinstance(error, SignInNeeded):
        return _("The site is not signed in to the chat now. Try again later.")
    return problem_sentence(error)


def people_of(visit: Visit) -> closing[People]:
    """The provider's work on accounts, closed at the end of a ``with``. Everything done with it
    takes 10 s at most. Raises `ProviderError`."""
    state = visit.state
    return closing(visit.provider.people(state.context(visit.provider), CHECK_SECONDS))


def clear_away(visit: Visit, conversation: str | None) -> None:
    """Remove the conversation in which a code was sent; what cannot be removed stays."""
    if not conversation:
        return
    with suppress(ProviderError), people_of(visit) as people:
        people.end_conversation(conversation)
