"""Linking an account of one's own, proven by a code that is sent to it."""

from __future__ import annotations

import re
from contextlib import suppress

from flask.typing import ResponseReturnValue

from commweb import accounts, proofs
from commweb.errors import ProviderError
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.web.account_page import (
    CodeForm,
    LinkForm,
    clear_away,
    done,
    people_of,
    show,
    trouble,
)
from commweb.web.effects import give_back, waiting_time
from commweb.web.own_account import Visit, server_of
from commweb.web.providers import pressed

__all__ = ["cancel", "confirm", "link"]


def link(visit: Visit) -> ResponseReturnValue:
    """Send a code to the account; or, where no proof is asked for, link it."""
    form = LinkForm()
    if not form.validate():
        return show(visit, link_form=form, status=422)
    remote = str(form.user_id.data).strip()
    give_back(visit.state)
    try:
        refusal = _refusal(visit, remote) or _examined(visit, remote)
        if refusal is None and visit.values.get("link_without_proof"):
            return _linked(visit, form, remote)
        if refusal is None:
            refusal = _send_code(visit, remote)
    except ProviderError as error:
        return show(visit, link_form=form, problem=trouble(error), status=422)
    if refusal is not None:
        form.user_id.errors = [refusal]
        return show(visit, link_form=form, status=422)
    return done(_("A code is on its way to %(user)s.", user=remote))


def _refusal(visit: Visit, remote: str) -> str | None:
    """Why the account cannot be linked, as far as it is known here."""
    problem = visit.provider.account_problem(remote)
    if problem is not None:
        return problem
    server = server_of(visit)
    with visit.state.database.read() as connection:
        record = accounts.account_of(connection, visit.provider.id, visit.person.id, server)
        owner = accounts.owners(connection, visit.provider.id, [remote], server).get(remote)
        proof = proofs.pending(connection, visit.provider.id, visit.person.id)
    if (
        record is not None
        and record.origin in accounts.OWN_LINKS
        and record.remote_user_id == remote
    ):
        return _("You have linked this account already.")
    if owner is not None and owner.person_id != visit.person.id:
        return _taken()
    if proof is not None and proof.wait_seconds and not visit.values.get("link_without_proof"):
        return _wait(proof.wait_seconds)
    return None


def _taken() -> str:
    return _("This account belongs to somebody else here.")


def _wait(seconds: int) -> str:
    pause = waiting_time(seconds)
    return _("A code was sent a moment ago. Another one can be sent in %(time)s.", time=pause)


def _examined(visit: Visit, remote: str) -> str | None:
    with people_of(visit) as people:
        facts = people.examine(remote)
    return None if facts.usable else facts.reason or _("The account cannot be used.")


def _linked(visit: Visit, form: LinkForm, remote: str) -> ResponseReturnValue:
    server = server_of(visit)
    with visit.state.database.write() as connection:
        good = accounts.link(
            connection,
            visit.provider.id,
            visit.person.id,
            remote,
            server=server,
            origin=accounts.CLAIM,
        )
        conversation = proofs.forget(connection, visit.provider.id, visit.person.id)
    if not good:
        form.user_id.errors = [_taken()]
        return show(visit, link_form=form, status=422)
    clear_away(visit, conversation)
    visit.state.wake()
    return done(_("The account %(user)s is linked. Your rooms follow.", user=remote))


def _send_code(visit: Visit, remote: str) -> str | None:
    """Send a new code; why it cannot be sent now. Raises `ProviderError`."""
    state, provider, person = visit.state, visit.provider.id, visit.person.id
    with state.database.write() as connection:
        started = proofs.start(connection, _key(visit), provider, person, remote)
    if not started.code:
        return _wait(started.wait_seconds)
    try:
        with people_of(visit) as people:
            if started.replaces:
                with suppress(ProviderError):
                    people.end_conversation(started.replaces)
            conversation = people.send_code(remote, _message(visit, started.code))
    except ProviderError:
        with state.database.write() as connection:
            proofs.forget(connection, provider, person)
        raise
    with state.database.write() as connection:
        wanted = proofs.sent(connection, provider, person, remote, conversation)
    if not wanted:
        clear_away(visit, conversation)
    return None


def _message(visit: Visit, code: str) -> str:
    # Nothing that somebody else could have chosen is in it: it goes to an account that may not
    # be the person's at all.
    return _(
        "%(code)s is the code to link this account. It was asked for on the page “%(page)s” and "
        "is good for 15 minutes. If it was not you, ignore this message and tell the code to "
        "nobody.",
        code=code,
        page=visit.provider.account_page,
    )


def _key(visit: Visit) -> str:
    return visit.state.config.secret_keys[0]


def confirm(visit: Visit) -> ResponseReturnValue:
    """Link the account, if the code is the one that was sent."""
    form = CodeForm()
    good = form.validate()
    if good and not re.fullmatch(rf"[0-9]{{{proofs.DIGITS}}}", form.code.data):
        form.code.errors = [_("The code has %(count)d digits.", count=proofs.DIGITS)]
        good = False
    if not good:
        return show(visit, code_form=form, status=422)
    give_back(visit.state)
    provider, person, server = visit.provider.id, visit.person.id, server_of(visit)
    with visit.state.database.write() as connection:
        verdict = proofs.redeem(connection, _key(visit), provider, person, form.code.data)
        linked = verdict.right and accounts.link(
            connection, provider, person, verdict.remote_user_id, server=server
        )
    if verdict.right:
        clear_away(visit, verdict.conversation)
    if not linked:
        form.code.errors = [_taken() if verdict.right else _wrong(verdict.tries_left)]
        form.code.data = ""
        return show(visit, code_form=form, status=422)
    visit.state.wake()
    remote = verdict.remote_user_id
    return done(_("The account %(user)s is linked. Your rooms follow.", user=remote))


def _wrong(tries_left: int) -> str:
    if not tries_left:
        return _("This code is not good any more. Send a new one.")
    return ngettext(
        "This is not the code that was sent. You can try %(count)d more time.",
        "This is not the code that was sent. You can try %(count)d more times.",
        tries_left,
    )


def cancel(visit: Visit) -> ResponseReturnValue:
    """Do not link the account after all."""
    pressed()
    give_back(visit.state)
    with visit.state.database.write() as connection:
        # The minute until the next code goes on.
        conversation = proofs.revoke(connection, visit.provider.id, visit.person.id)
    clear_away(visit, conversation)
    return done(_("The code is not good any more. Nothing was linked."))
