"""Making sure that a person's Matrix account exists and can be used."""

from __future__ import annotations

from dataclasses import dataclass

from commweb.errors import Refused
from commweb.i18n import gettext as _
from commweb.providers.matrix.client import MatrixClient, User
from commweb.providers.matrix.identifiers import is_on
from commweb.providers.rooms import AccountFacts, EnsureAccount

__all__ = ["Accounts", "local_only"]

RACES = 3


@dataclass(frozen=True)
class Accounts:
    """Accounts on ``server_name``. ``sso_provider_id``: the id under which the homeserver knows
    the single sign-on, for linking new accounts; empty: not linked."""

    client: MatrixClient
    server_name: str
    federate: bool
    sso_provider_id: str

    def ensure(self, action: EnsureAccount) -> AccountFacts:
        """Make the account, or look at it when it was made before. Raises `ProviderError`."""
        name = action.remote_user_id
        if not is_on(name, self.server_name):
            return self._elsewhere(name)
        if not action.known and action.make and action.rename:
            return self._made(action)
        user = self.client.user(name)
        if user is None:
            return self._made(action) if action.make else _missing(name)
        facts = _facts(user)
        if action.rename and facts.usable and user.display_name != action.display_name:
            self.client.put_user(name, action.display_name)
        return facts

    def examine(self, name: str) -> AccountFacts:
        """Whether the account can be in rooms; nothing is made. Raises `ProviderError`."""
        if not is_on(name, self.server_name):
            return self._elsewhere(name)
        user = self.client.user(name)
        return _missing(name) if user is None else _facts(user)

    def _elsewhere(self, name: str) -> AccountFacts:
        if self.federate:
            return AccountFacts(name)
        return AccountFacts(name, usable=False, reason=local_only(name))

    def _made(self, action: EnsureAccount) -> AccountFacts:
        external = None
        if action.external_id and self.sso_provider_id:
            external = [{"auth_provider": self.sso_provider_id, "external_id": action.external_id}]
        for attempt in range(RACES):
            try:
                name, shown = action.remote_user_id, action.display_name
                return _facts(self.client.put_user(name, shown, external))
            except Refused as error:
                # Somebody else made the same account at the same moment: now it is there.
                if error.errcode == "M_USER_IN_USE" and attempt < RACES - 1:
                    continue
                refusal = error
                break
        return self._refused(action, refusal)

    def _refused(self, action: EnsureAccount, error: Refused) -> AccountFacts:
        name = action.remote_user_id
        if error.status == 403:
            # An authentication service makes the accounts: use one that is there.
            user = self.client.user(name)
            if user is not None:
                return _facts(user)
            reason = _("The homeserver does not let commweb make the account %(user)s.", user=name)
        elif error.status == 409:
            reason = _("The single sign-on identity belongs to another account already.")
        elif error.errcode == "M_INVALID_USERNAME":
            reason = _("The homeserver does not take %(user)s as a user ID.", user=name)
        else:
            raise error
        return AccountFacts(name, usable=False, reason=reason)


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
    if user.deactivated:
        reason = _("The account %(user)s is deactivated on the homeserver.", user=user.user_id)
        return AccountFacts(user.user_id, usable=False, reason=reason)
    if user.locked:
        reason = _("The account %(user)s is locked on the homeserver.", user=user.user_id)
        return AccountFacts(user.user_id, usable=False, reason=reason)
    return AccountFacts(user.user_id, made=user.made)
