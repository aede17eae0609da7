"""What was chosen for the people of one room, before it is written. Pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from commweb.account_rows import AccountRecord
from commweb.providers.rooms import AccountFacts
from commweb.sync.choose_account import Choice

__all__ = ["Choices", "Learned"]


@dataclass
class Learned:
    """What was asked for a choice: ``found`` what looking at an account gave, by remote id;
    ``gone``: whether the host no longer has a person, by person id."""

    found: dict[str, AccountFacts] = field(default_factory=dict)
    gone: dict[str, bool] = field(default_factory=dict)


@dataclass(frozen=True)
class Choices:
    """The account of each member of a room, and what to write for that.

    ``doubtful``: accounts to look at before they are used, ``absent``: people of whom the host has
    to say whether they are gone. ``displaced``: (person, account) where somebody else had the
    account by a guess; ``adopted``: (person, old person id) for people with another id than
    before; ``replaced``: person ids that were somebody else's before.
    """

    picks: Mapping[str, Choice]
    known: Mapping[str, AccountRecord]
    added: list[dict[str, Any]] = field(default_factory=list)
    moved: list[dict[str, Any]] = field(default_factory=list)
    displaced: list[tuple[str, str]] = field(default_factory=list)
    adopted: list[tuple[str, str]] = field(default_factory=list)
    replaced: list[str] = field(default_factory=list)
    external_ids: dict[str, str] = field(default_factory=dict)
    without_server: list[str] = field(default_factory=list)
    looked_again: list[str] = field(default_factory=list)
    doubtful: frozenset[str] = frozenset()
    absent: frozenset[str] = frozenset()
    foreign: frozenset[str] = frozenset()

    @property
    def new(self) -> bool:
        """Whether there is anything to write."""
        rows = (self.added, self.moved, self.displaced, self.adopted, self.replaced)
        marks = (self.external_ids, self.without_server, self.looked_again)
        return any(rows) or any(marks)
