"""Gives people of ``make run`` a password for the chat, once commweb has created their accounts.

It never creates an account: commweb does, when it puts people into rooms. An account that nobody
has yet is asked for again until it is there. Each is given the password once, so what a person
chooses later stays; another PEOPLE_PASSWORD is given to everybody again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from pathlib import Path

from commweb.site.homeserver_accounts import Accounts
from commweb.site.homeserver_config import write_private
from commweb.site.passwords import Passwords

__all__ = ["ChatPasswords"]

ASK_EVERY_SECONDS = 2.0
ASK_AT_LEAST_EVERY_SECONDS = 30.0


@dataclass
class Record:
    """What is kept between runs, in a file of mode 600.

    ``password`` is there only while somebody still waits for it; ``hash`` is how a later run
    knows that it is the same one. ``given``: user names that have it.
    """

    password: str | None = field(default=None, repr=False)
    hash: str | None = field(default=None, repr=False)
    given: list[str] = field(default_factory=list)


class ChatPasswords:
    """The passwords of ``usernames`` on ``server``. ``path`` is where the record is kept.

    ``password``: None takes the one an earlier run left for those who still wait.
    """

    def __init__(
        self, server: Accounts, path: Path, usernames: Collection[str], password: str | None
    ) -> None:
        self._server = server
        self._path = path
        self._record = _read(path)
        self._pause = ASK_EVERY_SECONDS
        self._next = 0.0
        hasher = Passwords()
        if password and not hasher.match(self._record.hash, password):
            self._record = Record(password, hasher.hash(password))
        self._password = password or self._record.password
        self.waiting = [name for name in usernames if name not in self._record.given]
        if self._password is None:
            self.waiting = []
        if password:
            self._keep()

    def due(self) -> bool:
        """Whether it is time to ask for the accounts of those who wait."""
        return bool(self.waiting) and time.monotonic() >= self._next

    def give(self) -> list[str]:
        """Give the password to whoever has an account by now; answers their user names.

        A server administrator is never given one, nor an account that is deactivated. Raises
        `HomeserverError`; who was given it before that is recorded.
        """
        self._next = time.monotonic() + self._pause
        given: list[str] = []
        try:
            for name in tuple(self.waiting):
                if self._give(name):
                    given.append(name)
        finally:
            slower = min(self._pause * 1.5, ASK_AT_LEAST_EVERY_SECONDS)
            self._pause = ASK_EVERY_SECONDS if given else slower
            self._next = time.monotonic() + self._pause
            if given:
                self._keep()
        return given

    def _give(self, name: str) -> bool:
        account = self._server.account(name)
        if account is None:
            return False
        self.waiting.remove(name)
        if account.get("admin") or account.get("deactivated") or self._password is None:
            return False
        self._server.set_password(name, self._password)
        self._record.given.append(name)
        return True

    def _keep(self) -> None:
        self._record.password = self._password if self.waiting else None
        write_private(self._path, json.dumps(asdict(self._record), indent=2) + "\n")


def _read(path: Path) -> Record:
    """What an earlier run left; nothing when the file is missing or damaged."""
    try:
        record = Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return Record()
    texts = (record.password, record.hash)
    fine = isinstance(record.given, list) and all(isinstance(t, str | None) for t in texts)
    return record if fine else Record()
