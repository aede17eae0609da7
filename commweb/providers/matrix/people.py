"""One person's account on the homeserver, for the page on which people see theirs."""

from __future__ import annotations

import secrets
from contextlib import suppress
from dataclasses import dataclass

from commweb.encryption import Secret
from commweb.errors import ProviderError, Refused
from commweb.i18n import gettext as _
from commweb.providers.base import People
from commweb.providers.matrix.accounts import Accounts
from commweb.providers.matrix.backend import Acting
from commweb.providers.matrix.identifiers import user_id
from commweb.providers.matrix.session import HomeserverSession
from commweb.providers.rooms import AccountFacts
from commweb.sync.choose_account import own_account

__all__ = ["MatrixPeople"]


@dataclass(frozen=True)
class MatrixPeople(People):
    """Works with ``session``, which is closed with it. ``federate``: accounts of other
    homeservers can be used."""

    session: HomeserverSession
    acting: Acting
    federate: bool

    def close(self) -> None:
        self.session.close()

    def identify(self, username: str) -> str:
        return user_id(username, self.acting.server_name, frozenset())

    def examine(self, remote_user_id: str) -> AccountFacts:
        if remote_user_id == self.acting.user_id:
            return AccountFacts(remote_user_id, False, own_account(remote_user_id), existed=True)
        accounts = Accounts(self.session.client, self.acting.server_name, self.federate, "")
        return accounts.examine(remote_user_id)

    def send_code(self, remote_user_id: str, text: str) -> str:
        """A room of the two, marked as direct, with one message in it.

        Source: client-server API, "Direct Messaging": ``is_direct`` is in the invitation.
        """
        client = self.session.client
        room_id = client.create_room({"preset": "private_chat", "visibility": "private"})
        try:
            invitation = {"membership": "invite", "is_direct": True}
            client.put_state(room_id, "m.room.member", invitation, remote_user_id)
            client.send_text(room_id, text, secrets.token_hex(8))
        except ProviderError:
            with suppress(ProviderError):
                self.end_conversation(room_id)
            raise
        return room_id

    def end_conversation(self, conversation: str) -> None:
        self.session.client.delete_room(conversation)

    def set_password(self, remote_user_id: str, password: Secret) -> None:
        facts = self.examine(remote_user_id)
        if not facts.usable:
            raise Refused(facts.reason or _("The account cannot be used."))
        if facts.admin:
            raise Refused(_("Administrators of the homeserver set their password there."))
        self.session.client.set_password(remote_user_id, password)

    def set_locked(self, remote_user_id: str, locked: bool) -> None:
        self.session.client.set_locked(remote_user_id, locked=locked)
