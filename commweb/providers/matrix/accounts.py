"""Making sure that a person's Matrix account exists, is theirs and can be used.

What is there is looked at first and never changed, unless commweb created it: an account of a
person's name may be anybody's. A server administrator's account is never changed at all.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass, replace

from commweb.errors import Refused
from commweb.i18n import gettext as _
from commweb.providers.matrix.client import MatrixClient, User
from commweb.providers.matrix.identifiers import is_on
from commweb.providers.rooms import AccountFacts, EnsureAccount
from commweb.sync.choose_account import (
    CREATED,
    EXTERNAL_ID,
    NAMED,
    REFUSED,
    Found,
    judge_found,
    never_named,
    own_account,
)

__all__ = ["Accounts", "local_only"]

CLOCK_SECONDS = 1.0
"""``creation_ts`` and the ``Date`` header are whole seconds, cut off."""
NAME_REFUSALS = ("M_INVALID_USERNAME", "M_EXCLUSIVE", "M_USER_IN_USE")
"""The name is reserved, owned by a bridge, or taken in another spelling."""


@dataclass(frozen=True)
class Accounts:
    """Accounts on ``server_name``. ``sso_provider_id``: the id under which the homeserver knows
    the single sign-on, for linking new accounts; empty: not linked. ``own_id``: the acting
    account."""

    client: MatrixClient
    server_name: str
    federate: bool
    sso_provider_id: str
    own_id: str = ""

    def ensure(self, action: EnsureAccount) -> AccountFacts:
        """Create the account when it is missing and may be; else look whose it is and whether it
        can be used. Raises `ProviderError`."""
        name = action.remote_user_id
        if not is_on(name, self.server_name):
            return self._elsewhere(name)
        if name == self.own_id:
            return AccountFacts(name, False, own_account(name), existed=True, origin=REFUSED)
        other = self._signs_in_as(action)
        if other is not None:
            return other
        user = self.client.user(name)
        if user is not None:
            return self._there(action, user)
        return self._created(action) if action.make else _missing(name)

    def examine(self, name: str) -> AccountFacts:
        """Whether the account can be in rooms; nothing is created. Raises `ProviderError`."""
        if not is_on(name, self.server_name):
            return self._elsewhere(name)
        user = self.client.user(name)
        return _missing(name) if user is None else _facts(user)

    def _elsewhere(self, name: str) -> AccountFacts:
        if self.federate:
            return AccountFacts(name, elsewhere=True)
        return AccountFacts(name, usable=False, reason=local_only(name), elsewhere=True)

    def _signs_in_as(self, action: EnsureAccount) -> AccountFacts | None:
        """Another account that the person's single sign-on opens already: it is theirs, and a
        second one would never be used."""
        if action.theirs or not (action.external_id and self.sso_provider_id):
            return None
        found = self.client.user_of_external_id(self.sso_provider_id, action.external_id)
        if found in (None, action.remote_user_id, self.own_id):
            return None
        reason = _("Their single sign-on opens %(user)s: the next sync uses it.", user=found)
        return AccountFacts(found or "", False, reason, existed=True, origin=EXTERNAL_ID)

    def _created(self, action: EnsureAccount) -> AccountFacts:
        name = action.remote_user_id
        try:
            user = self.client.put_user(name, action.display_name)
        except Refused as error:
            return self._not_created(action, error)
        if not user.made:
            # Somebody was faster, between the look and the write.
            facts = self._there(action, user)
            if facts.origin in (NAMED, REFUSED):
                self._put_back(user)
            return facts
        note = self._link(action, user)
        return AccountFacts(name, made=True, display_name=action.display_name, note=note)

    def _put_back(self, user: User) -> None:
        """The name that an account has which is as new as this one: the look before the write found
        nothing there."""
        if user.admin:
            return
        with suppress(Refused):
            self.client.put_user(user.user_id, _plain(user))

    def _not_created(self, action: EnsureAccount, error: Refused) -> AccountFacts:
        name = action.remote_user_id
        if error.errcode in NAME_REFUSALS:
            user = self.client.user(name) if error.errcode == "M_USER_IN_USE" else None
            if user is not None:
                return self._there(action, user)
            reason = _("The homeserver does not give out %(user)s: trying another.", user=name)
            return AccountFacts(name, usable=False, reason=reason, origin=REFUSED)
        if error.status == 403:
            # An authentication service creates the accounts: people sign in to get theirs.
            reason = _("The homeserver does not let the site create %(user)s.", user=name)
            return AccountFacts(name, usable=False, reason=reason)
        raise error

    def _there(self, action: EnsureAccount, user: User) -> AccountFacts:
        """An account that exists: whose it is, by what commweb knows and what it shows."""
        facts = _facts(user)
        if action.theirs and action.guessed and user.admin:
            reason = never_named(user.user_id)
            return replace(facts, usable=False, reason=reason, origin=NAMED)
        if action.theirs:
            return self._renamed(action, user, facts) if facts.usable else facts
        origin = judge_found(self._found(action, user), trust_names=action.trust_names)
        facts = replace(facts, origin=origin)
        if origin == CREATED:
            note = self._link(action, user)
            last = replace(action, last_name=action.last_name or action.display_name)
            return replace(self._renamed(last, user, facts), note=note)
        if facts.usable and origin in (NAMED, REFUSED):
            return replace(facts, usable=False, reason=never_named(user.user_id))
        return facts

    def _found(self, action: EnsureAccount, user: User) -> Found:
        signs_in = (self.sso_provider_id, action.external_id) in user.external_ids
        return Found(
            user.user_id,
            admin=user.admin,
            deactivated=user.deactivated,
            locked=user.locked,
            external_id=bool(self.sso_provider_id and action.external_id and signs_in),
            ours=self._is_ours(action, user),
            foreign=user.of_service,
        )

    def _is_ours(self, action: EnsureAccount, user: User) -> bool:
        """Whether commweb created it and the answer was lost: it is not older than the wish to
        create it, by the server's own clock, it is just what commweb writes, and nobody ever
        signed in with it. A wish may wait for long, and meanwhile others may register the name, or
        a script of the school create it: they give it another display name."""
        if action.intended_at_seconds is None or user.created_at is None:
            return False
        if user.server_time is None or user.admin or user.seen:
            return False
        ahead = user.server_time - time.time()
        wished = action.intended_at_seconds + ahead
        if user.created_at + CLOCK_SECONDS < wished:
            return False
        if user.display_name != action.display_name or not user.bare:
            return False
        return not self.client.has_devices(user.user_id)

    def _renamed(self, action: EnsureAccount, user: User, facts: AccountFacts) -> AccountFacts:
        """With the person's display name, unless somebody gave the account another one."""
        name, now = action.display_name, user.display_name
        untouched = not now or now in (_plain(user), action.last_name)
        if action.rename and untouched and now != name and not user.admin:
            try:
                self.client.put_user(user.user_id, name)
            except Refused:
                return facts  # a person whose name cannot be set comes in all the same
            return replace(facts, display_name=name)
        return facts

    def _link(self, action: EnsureAccount, user: User) -> str:
        """Let the person's single sign-on open an account that commweb created. What went wrong,
        as a sentence; the account can be used without it."""
        if not (action.external_id and self.sso_provider_id) or user.admin:
            return ""
        pair = (self.sso_provider_id, action.external_id)
        if pair in user.external_ids:
            return ""
        try:
            self.client.link_external_ids(user.user_id, {*user.external_ids, pair})
        except Refused as error:
            if error.status != 409:
                raise
            text = _(
                "The single sign-on of %(name)s already opens another account than %(user)s.",
                name=action.display_name,
                user=user.user_id,
            )
            return str(text)
        return ""


def _plain(user: User) -> str:
    """What Synapse calls an account that nobody gave a name."""
    return user.user_id[1:].partition(":")[0]


def local_only(name: str) -> str:
    """Why an account of another server cannot be in a room that is not federated."""
    return _(
        "%(user)s is an account of another homeserver, and the rooms are open to this one only.",
        user=name,
    )


def _missing(name: str) -> AccountFacts:
    reason = _("There is no account %(user)s on the homeserver.", user=name)
    return AccountFacts(name, usable=False, reason=reason)


def _facts(user: User) -> AccountFacts:
    facts = AccountFacts(
        user.user_id,
        existed=True,
        admin=user.admin,
        deactivated=user.deactivated,
        locked=user.locked,
        display_name=user.display_name,
    )
    if user.deactivated:
        reason = _("The account %(user)s is deactivated on the homeserver.", user=user.user_id)
        return replace(facts, usable=False, reason=reason)
    if user.locked:
        reason = _("The account %(user)s is locked on the homeserver.", user=user.user_id)
        return replace(facts, usable=False, reason=reason)
    return facts
