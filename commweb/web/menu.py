"""The administration menu as data: a host draws it in its own menu, `admin` as a page."""

from __future__ import annotations

from dataclasses import dataclass

from flask import current_app, url_for

from commweb.host import Permission, Person
from commweb.i18n import gettext as _
from commweb.plain import PlainFields
from commweb.state import State
from commweb.web.own_account import provider_with_accounts

__all__ = ["MenuItem", "administration", "navigation"]


@dataclass(frozen=True)
class MenuItem(PlainFields):
    """One entry. ``url`` None: a heading over its ``children``."""

    text: str
    url: str | None = None
    children: tuple[MenuItem, ...] = ()


def navigation(state: State, person: Person | None) -> tuple[MenuItem, ...]:
    """Everything of ours that ``person`` may see: Site administration, and the page of one's own
    account while there is a chat in which people have accounts."""
    items = administration(state, person)
    if person is None or not state.subsystem_on():
        return items
    provider = provider_with_accounts(state)
    if provider is None:
        return items
    return (*items, MenuItem(str(provider.account_page), url_for("commweb.account.edit")))


def administration(state: State, person: Person | None) -> tuple[MenuItem, ...]:
    """ "Site administration" and all below it; empty for who may not configure the site.

    The communication section is there only while the subsystem is on.
    """
    if person is None or not state.host.can(person, Permission.CONFIGURE_SITE):
        return ()
    experimental = MenuItem(_("Experimental settings"), url_for("commweb.experimental.edit"))
    sections = [MenuItem(_("Development"), None, (experimental,))]
    if state.subsystem_on():
        communication = MenuItem(_("Communication"), None, _communication(state))
        sections.append(MenuItem(_("Plugins"), None, (communication,)))
    return (MenuItem(_("Site administration"), url_for("commweb.admin.index"), tuple(sections)),)


def _communication(state: State) -> tuple[MenuItem, ...]:
    items = [MenuItem(_("Manage communication providers"), url_for("commweb.providers.index"))]
    items += [
        MenuItem(str(provider.name), url_for(f"commweb.{provider.id}.settings"))
        for provider in state.registry
        if provider.settings_form() is not None
    ]
    if "commweb.rooms.index" in current_app.view_functions:
        items.append(MenuItem(_("Rooms"), url_for("commweb.rooms.index")))
    return tuple(items)
