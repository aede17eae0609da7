"""What is asked of the server about one account or one room of many, before anything is planned.

A fault of one of these questions is that one's own, as long as the server answers others: nothing
is concluded from it, and it is asked again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from commweb.errors import AddressRefused, Refused, Unreachable
from commweb.providers.base import Backend
from commweb.providers.rooms import AccountFacts, EnsureAccount, ObservedRoom, RoomRef

__all__ = ["Questions"]

MOST_FAULTS = 5
"""After so many questions without an answer nothing more is asked, though the server answers
others."""


@dataclass
class Questions:
    """The questions of one look at a room. ``undone``: what could not be asked and why, by the
    keys of ``commweb_room.undone``."""

    backend: Backend
    undone: dict[str, str] = field(default_factory=dict)
    _faults: int = 0

    def account(self, remote_user_id: str, person_id: str = "") -> AccountFacts:
        """What the account is; nothing is created or changed. One that cannot be asked about now
        is taken to be there and not used, and ``undone`` names the person."""
        asked = EnsureAccount(
            person_id, remote_user_id, "", known=True, make=False, rename=False, theirs=True
        )
        try:
            return self.backend.ensure_account(asked)
        except (Refused, AddressRefused) as error:
            return AccountFacts(remote_user_id, usable=False, reason=error.sentence)
        except Unreachable as error:
            self._noted(f"person:{person_id}" if person_id else "", error)
            return AccountFacts(remote_user_id, usable=False, existed=True, reason=error.sentence)

    def replaced(self, room: RoomRef) -> ObservedRoom | None:
        """A room that was replaced by the one in use; None: it is gone, or cannot be shown now,
        and ``undone`` names it."""
        try:
            return self.backend.observe(room)
        except (Refused, Unreachable) as error:
            self._noted(f"chain:{room.remote_id}", error)
            return None

    def _noted(self, key: str, error: Refused | Unreachable) -> None:
        """Raises the error when it is the server's own."""
        self._faults += 1
        if self._faults >= MOST_FAULTS or not self.backend.answers():
            raise error
        if key:
            self.undone[key] = error.sentence
