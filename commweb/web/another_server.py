"""The page that asks before a provider is connected to another server than its rooms are on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from commweb.errors import StaleSettings
from commweb.fields import PageForm, SettingsForm
from commweb.i18n import gettext as _
from commweb.providers.base import Provider
from commweb.servers import Elsewhere, elsewhere
from commweb.state import State, current_state
from commweb.web.connecting import (
    Tried,
    after_saving,
    end_tried,
    packed,
    unpacked,
    waiting_for,
)
from commweb.web.effects import find, flash_findings, give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person
from commweb.web.providers import pressed
from commweb.web.saving import save_tried

__all__ = ["AnotherServerPages", "wait_for_confirmation", "wait_with"]


def wait_for_confirmation(
    state: State, provider: Provider, form: SettingsForm, person_id: str, tried: Tried
) -> ResponseReturnValue:
    """Keep the tokens and the form for ten minutes, and ask."""
    values = form.plain_values(provider.settings)
    return wait_with(state, provider, person_id, tried, values, int(form.version.data))


def wait_with(  # noqa: PLR0917  (whose, and all that waits)
    state: State,
    provider: Provider,
    person_id: str,
    tried: Tried,
    values: Mapping[str, Any],
    version: int,
) -> ResponseReturnValue:
    """`wait_for_confirmation`, without the form."""
    waiting_for(state, provider, person_id).put(packed(tried, values, version))
    return redirect(url_for(f"commweb.{provider.id}.another_server"), 303)


def _tokens(kept: tuple[str, dict[str, Any]] | None) -> tuple[str, dict[str, Any]] | None:
    """What waits, if it is tokens: other changes wait in the same place for another page."""
    return None if kept is None or "tokens" not in kept[1] else kept


class AnotherServerPages:
    """The views of one provider."""

    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    def show(self) -> ResponseReturnValue:
        """What follows, with numbers; without anything that waits, back to the settings."""
        state = current_state()
        kept = _tokens(waiting_for(state, self.provider, acting_person(state).id).read())
        if kept is None:
            flash(_("Nothing waits for a confirmation. Enter the tokens again."), "info")
            return self._settings()
        return render_template(
            "commweb/another_server.html",
            provider=self.provider,
            follows=self._follows(state, kept[1]),
            user=kept[1]["user_id"],
            key=kept[0],
            button=PageForm(formdata=None),
        )

    def answer(self) -> ResponseReturnValue:
        """Connect the other server, or forget its tokens."""
        state = current_state()
        pressed()
        person = acting_person(state)
        give_back(state)
        waiting = waiting_for(state, self.provider, person.id)
        kept = _tokens(waiting.read())
        if kept is None or kept[0] != request.form.get("key"):
            flash(_("Nothing waits for a confirmation. Enter the tokens again."), "warning")
            return self._settings()
        waiting.drop()
        if "cancel" in request.form:
            end_tried(state, self.provider, kept[1])
            flash(_("Nothing was changed."), "info")
            return self._settings()
        return self._connect(state, person, kept[1])

    def _connect(self, state: State, person: Any, payload: dict[str, Any]) -> ResponseReturnValue:
        tried = unpacked(payload)
        try:
            old = save_tried(
                state,
                self.provider,
                payload["values"],
                version=payload["version"],
                person=person,
                tried=tried,
                allow_new_server=True,
                detail={"another_server": tried.user_id},
            )
        except StaleSettings:
            end_tried(state, self.provider, payload)
            flash(_("Somebody else changed these settings. Enter the tokens again."), "warning")
            return self._settings()
        flash(_("Changes saved"), "success")
        found = flash_findings(find(state, self.provider))
        after_saving(state, self.provider, old, None)
        state.wake()
        return self._settings(found)

    def _follows(self, state: State, payload: dict[str, Any]) -> Elsewhere:
        new = str(payload["user_id"] or "").partition(":")[2]
        session = state.tokens(self.provider).server_name()
        with state.database.read() as connection:
            found = elsewhere(connection, self.provider.id, session, new)
        return found or Elsewhere(session or "", new, 0, 0)

    def _settings(self, found: list[str] | None = None) -> ResponseReturnValue:
        return redirect(url_for(f"commweb.{self.provider.id}.settings", found=found or []), 303)
