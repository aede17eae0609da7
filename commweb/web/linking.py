"""Linking an account of one's own, proven by a code that is sent to it."""

from __future__ import annotations

import re
from contextlib import suppress

from flask import request
from flask.typing import ResponseReturnValue

from commweb import accounts, proofs
from commweb.erased import erased
from commweb.errors import ProviderError, ProviderStopped, RateLimited, Refused
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.sync.choose_account import PROVEN, own_account
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
from commweb.web.own_account import Visit, own_id_of, server_of, situation
from commweb.web.providers import pressed

__all__ = ["cancel", "confirm", "link"]


def link(visit: Visit) -> ResponseReturnValue:
    """Send a code to the account; or, where no proof is asked for, link it.

    The answer is the same whether there is such an account, whose it is and what it may do.
    """
    form = LinkForm()
    if not form.validate():
        return show(visit, link_form=form, status=422)
    remote = str(form.user_id.data).strip()
    needs_proof = situation(visit).needs_proof
    give_back(visit.state)
    refusal = _refusal(visit, remote, needs_proof=needs_proof)
    try:
        if refusal is None and not needs_proof:
            refusal = _claim(visit, remote)
        elif refusal is None:
            refusal = _send_code(visit, remote)
    except ProviderError as error:
        return show(visit, link_form=form, problem=trouble(error), status=422)
    if refusal is not None:
        form.user_id.errors = [refusal]
        return show(visit, link_form=form, status=422)
    if not needs_proof:
        return done(_linked(remote))
    return done(_("If the account %(user)s exists, a code is on its way to it.", user=remote))


def _linked(remote: str) -> str:
    text = _("The account %(user)s is linked. Your rooms will be updated shortly.", user=remote)
    return str(text)


def _refusal(visit: Visit, remote: str, *, needs_proof: bool) -> str | None:
    """Why the account cannot be linked, as far as that tells nothing about other people."""
    problem = visit.provider.account_problem(remote)
    if problem is not None:
        return problem
    if remote == own_id_of(visit):
        return own_account(remote)
    server = server_of(visit)
    provider, person = visit.provider.id, visit.person.id
    with visit.state.database.read() as connection:
        record = accounts.account_of(connection, provider, person, server)
        proof = proofs.pending(connection, provider, person)
    mine = record is not None and record.remote_user_id == remote
    if record is not None and mine and (record.origin == PROVEN or not needs_proof):
        return _("You have linked this account already.")
    if proof is not None and proof.wait_seconds and needs_proof:
        return _wait(proof.wait_seconds)
    address = request.remote_addr or ""
    with visit.state.database.write() as connection:
        if proofs.may_ask(
            connection,
            _key(visit),
            provider=provider,
            person_id=person,
            remote_id=remote,
            address=address,
        ):
            return None
    return _("Too many tries. Try again in an hour.")


def _wait(seconds: int) -> str:
    pause = waiting_time(seconds)
    return _("A code was sent a moment ago. Another one can be sent in %(time)s.", time=pause)


def _claim(visit: Visit, remote: str) -> str | None:
    """Link the account without proof; why not. It takes nothing from anybody."""
    with people_of(visit) as people:
        facts = people.examine(remote)
    if facts.elsewhere and not facts.usable:
        return facts.reason
    good = facts.usable and not facts.admin
    server = server_of(visit)
    provider, person = visit.provider.id, visit.person.id
    with visit.state.database.write() as connection:
        good = good and not erased(connection, visit.state.sealer, provider, [remote], server)
        good = good and accounts.link(
            connection, provider, person, remote, server=server, origin=accounts.CLAIM
        )
        conversation = proofs.revoke(connection, provider, person)
    clear_away(visit, conversation)
    if not good:
        return _("This account cannot be linked without a code.")
    visit.state.wake()
    return None


def _send_code(visit: Visit, remote: str) -> str | None:
    """Send a new code; why it cannot be sent now. Raises `ProviderError`."""
    state, provider, person = visit.state, visit.provider.id, visit.person.id
    with state.database.write() as connection:
        started = proofs.start(connection, _key(visit), provider, person, remote)
    if not started.code:
        return _wait(started.wait_seconds)
    try:
        conversation, refusal = _delivered(visit, remote, started)
    except ProviderError:
        with state.database.write() as connection:
            proofs.revoke(connection, provider, person)  # the pause goes on
        raise
    with state.database.write() as connection:
        if refusal is not None:
            proofs.revoke(connection, provider, person)
            return refusal
        wanted = proofs.sent(connection, provider, person, remote, conversation)
    if not wanted:
        clear_away(visit, conversation)
    return None


def _delivered(visit: Visit, remote: str, started: proofs.Started) -> tuple[str, str | None]:
    """The conversation with the code, empty if the account takes none, and why no code can be
    sent to an account of its server."""
    with people_of(visit) as people:
        if started.replaces:
            with suppress(ProviderError):
                people.end_conversation(started.replaces)
        facts = people.examine(remote)
        if facts.elsewhere and not facts.usable:
            return "", facts.reason
        try:
            # Also to one that is not there: how long it takes would tell.
            return people.send_code(remote, _message(visit, started.code)), None
        except (RateLimited, ProviderStopped):
            raise
        except Refused:
            return "", None


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
        taken = _("Somebody else has proven this account already.")
        form.code.errors = [taken if verdict.right else _wrong(verdict.tries_left)]
        form.code.data = ""
        return show(visit, code_form=form, status=422)
    visit.state.wake()
    remote = verdict.remote_user_id
    return done(_linked(remote))


def _wrong(tries_left: int) -> str:
    if not tries_left:
        return _("This code is no longer valid. Send a new one.")
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
    return done(_("Linking cancelled."))
