"""The page that asks before changed settings take people out of rooms, delete messages or change
many people's rights.

What was typed waits on the server, sealed, for ten minutes; nothing is saved before somebody
confirms exactly what the page shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import Connection

from commweb.connection import Session
from commweb.encryption import Secret
from commweb.errors import AnotherServer, StaleSettings
from commweb.fields import PageForm, SettingsForm
from commweb.i18n import gettext as _
from commweb.providers.base import Provider
from commweb.state import State, current_state
from commweb.web.another_server import wait_with
from commweb.web.connecting import Tried, introduced, waiting_for
from commweb.web.consequences import (
    Consequences,
    NumbersChanged,
    confirm_recorded,
    consequences,
)
from commweb.web.effects import give_back
from commweb.web.flashes import flash
from commweb.web.permissions import acting_person
from commweb.web.provider_secrets import keep_typed
from commweb.web.providers import pressed
from commweb.web.saving import save_tried

__all__ = ["ChangesPages", "TryServer", "wait_for_answer"]

TryServer = Callable[..., ResponseReturnValue]
"""What follows a save: given the state, the warnings, and by name ``old``, ``typed`` and
``silent``, the server is tried and the settings page shown."""


@dataclass(frozen=True)
class Typed:
    """What an administrator typed into the settings page. ``secrets``: by field name."""

    values: Mapping[str, Any]
    version: int
    secrets: Mapping[str, Secret]
    warnings: tuple[str, ...]

    def packed(self) -> dict[str, Any]:
        """For `Waiting`."""
        return {
            "changes": dict(self.values),
            "version": self.version,
            "secrets": {name: secret.reveal() for name, secret in self.secrets.items()},
            "warnings": list(self.warnings),
        }

    @classmethod
    def unpacked(cls, payload: Mapping[str, Any]) -> Typed:
        """It again."""
        secrets = {name: Secret(text) for name, text in payload["secrets"].items()}
        return cls(payload["changes"], payload["version"], secrets, tuple(payload["warnings"]))


def wait_for_answer(
    state: State, provider: Provider, form: SettingsForm, person_id: str
) -> ResponseReturnValue:
    """Keep what was typed, and ask."""
    typed = Typed(
        form.plain_values(provider.settings),
        int(form.version.data),
        form.secrets(),
        tuple(str(sentence) for sentence in form.warnings()),
    )
    give_back(state)
    waiting_for(state, provider, person_id).put(typed.packed())
    return redirect(url_for(f"commweb.{provider.id}.changes"), 303)


class ChangesPages:
    """The views of one provider."""

    def __init__(
        self, provider: Provider, form_class: type[SettingsForm], try_server: TryServer
    ) -> None:
        self.provider = provider
        self.form_class = form_class
        self._try_server = try_server

    def show(self) -> ResponseReturnValue:
        """What follows, with numbers; without anything that waits, back to the settings."""
        state = current_state()
        kept = self._kept(state)
        return self._page(*kept) if kept else self._nothing_waits()

    def answer(self) -> ResponseReturnValue:
        """Save what waits, or forget it."""
        state = current_state()
        pressed()
        person_id = acting_person(state).id
        kept = self._kept(state)
        if kept is None or kept[0] != request.form.get("key"):
            return self._nothing_waits()
        give_back(state)
        if "cancel" in request.form:
            waiting_for(state, self.provider, person_id).drop()
            flash(_("Nothing was changed."), "info")
            return self._settings()
        follows = consequences(state, self.provider, kept[1].values)
        if follows is not None and request.form.get("confirmed") != follows.key:
            return self._page(*kept, changed=True)
        return self._save(state, person_id, *kept, follows)

    def _save(
        self, state: State, person_id: str, key: str, typed: Typed, follows: Consequences | None
    ) -> ResponseReturnValue:
        provider, access = self.provider, typed.secrets.get("access_token")
        refresh = typed.secrets.get("refresh_token")
        tried = Tried(None, None)
        try:
            if state.values(provider).version != typed.version:
                raise StaleSettings("These settings were saved by somebody else meanwhile.")
            tried = introduced(state, provider, typed.values, access, refresh)
            old = self._store(state, typed, follows, tried)
        except StaleSettings:
            waiting_for(state, provider, person_id).drop()
            flash(_("Somebody else changed these settings. Enter your changes again."), "warning")
            return self._settings()
        except NumbersChanged:
            return self._page(key, typed, changed=True)
        except AnotherServer:
            return wait_with(state, provider, person_id, tried, typed.values, typed.version)
        waiting_for(state, provider, person_id).drop()
        flash(_("Changes saved"), "success")
        return self._tried(state, typed, old, access, tried)

    def _tried(
        self,
        state: State,
        typed: Typed,
        old: Session | None,
        access: Secret | None,
        tried: Tried,
    ) -> ResponseReturnValue:
        warnings = list(typed.warnings)
        return self._try_server(state, warnings, old=old, typed=access, silent=tried.problem)

    def _store(
        self, state: State, typed: Typed, follows: Consequences | None, tried: Tried
    ) -> Session | None:
        provider, person = self.provider, acting_person(state)
        before = dict(state.values(provider).values)

        def also(connection: Connection) -> None:
            url = provider.server_url(typed.values)
            keep_typed(
                connection,
                state,
                provider,
                self.form_class,
                typed.secrets,
                server_url=url,
                actor=person.id,
            )
            if follows is not None:
                confirm_recorded(connection, provider, before, typed.values, follows)

        replaced = sorted(typed.secrets)
        detail: dict[str, Any] = {"replaced": replaced} if replaced else {}
        if follows is not None:
            detail["confirmed"] = list(follows.sentences)
        return save_tried(
            state,
            provider,
            typed.values,
            version=typed.version,
            person=person,
            tried=tried,
            also=also,
            detail=detail,
        )

    def _kept(self, state: State) -> tuple[str, Typed] | None:
        """The key of what waits for this person, and what it is."""
        kept = waiting_for(state, self.provider, acting_person(state).id).read()
        if kept is None or "changes" not in kept[1]:
            return None
        return kept[0], Typed.unpacked(kept[1])

    def _page(self, key: str, typed: Typed, *, changed: bool = False) -> ResponseReturnValue:
        state = current_state()
        page = render_template(
            "commweb/changes.html",
            provider=self.provider,
            follows=consequences(state, self.provider, typed.values),
            changed=changed,
            key=key,
            button=PageForm(formdata=None),
        )
        return page, 422 if changed else 200

    def _nothing_waits(self) -> ResponseReturnValue:
        flash(_("Nothing waits for a confirmation. Change the settings again."), "info")
        return self._settings()

    def _settings(self) -> ResponseReturnValue:
        return redirect(url_for(f"commweb.{self.provider.id}.settings"), 303)
