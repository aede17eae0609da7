"""The page about accounts that people got for their name alone: keep them, or ask for a proof."""

from __future__ import annotations

from collections.abc import Callable

from flask import abort, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from commweb import names_taken
from commweb.connection import Session
from commweb.fields import PageForm
from commweb.i18n import gettext as _
from commweb.i18n import ngettext
from commweb.providers.base import Provider
from commweb.state import State, current_state
from commweb.validators import MAX_TEXT
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person
from commweb.web.providers import pressed

__all__ = ["TakenNamesPages", "how_many_taken"]

SHOWN = 200
Decide = Callable[..., int | None]


def how_many_taken(state: State, provider: Provider, session: Session | None) -> int:
    """How many accounts wait for the administrator's decision."""
    if provider.account_page is None:
        return 0
    server = (session.server_name if session else None) or ""
    with state.database.read() as connection:
        return names_taken.count_taken(connection, provider.id, server)


def _server(state: State, provider: Provider) -> str:
    session = state.tokens(provider).read()
    return (session.server_name if session else None) or ""


class TakenNamesPages:
    """The views of one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def show(self) -> ResponseReturnValue:
        """Who has which account, and what either answer does."""
        state = current_state()
        server = _server(state, self.provider)
        with state.database.read() as connection:
            taken = names_taken.taken_by_name(connection, self.provider.id, server)
            rooms = names_taken.rooms_with(connection, self.provider.id, taken)
        return render_template(
            "commweb/taken_names.html",
            provider=self.provider,
            taken=taken[:SHOWN],
            count=len(taken),
            rooms=rooms,
            key=names_taken.key_of(taken),
            button=PageForm(formdata=None),
        )

    def keep(self) -> ResponseReturnValue:
        """The accounts stay theirs."""

        def told(count: int) -> str:
            return ngettext(
                "%(count)d person keeps their account.",
                "%(count)d people keep their accounts.",
                count,
            )

        return self._decided(names_taken.keep, told)

    def ask(self) -> ResponseReturnValue:
        """The people prove their accounts first."""

        def told(count: int) -> str:
            return ngettext(
                "%(count)d person has to prove their account now.",
                "%(count)d people have to prove their accounts now.",
                count,
            )

        return self._decided(names_taken.ask_for_proof, told)

    def _decided(self, decide: Decide, told: Callable[[int], str]) -> ResponseReturnValue:
        state = current_state()
        pressed()
        actor, server = acting_person(state).id, _server(state, self.provider)
        give_back(state)
        key = request.form.get("key", "")
        if len(key) > MAX_TEXT:
            abort(400, description=_("This page has expired. Reload it and try again."))
        with state.database.write() as connection:
            count = decide(connection, self.provider.id, server, key=key, actor=actor)
        if count is None:
            flash(_("The list has changed meanwhile. Look at it again."), "warning")
            return redirect(url_for(f"commweb.{self.provider.id}.taken_names"), 303)
        state.wake()
        flash(told(count), "success")
        return redirect(url_for(f"commweb.{self.provider.id}.settings"), 303)
