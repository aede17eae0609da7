"""What the planner is told: what is wanted, what commweb did last, what the admin chose. Pure data.

"Last" is two things. *Applied* was seen in the room or answered by the server; *intended* was
sent, or was about to be, when somebody last looked. A value in the room that equals either is
commweb's own; any other was set by a person in the chat (the three-way rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from commweb.sync.desired import DesiredRoom

__all__ = ["RETIRED", "Applied", "AppliedMember", "Intended", "Policy", "Seat", "Target"]

RETIRED = "~retired~"
"""In the ``group_id`` of a room whose course was deleted, before the number of its row: a new
course with the same id, whatever its groups are called, never gets the room."""


@dataclass(frozen=True)
class Seat:
    """A desired member with the account to use.

    ``remote_user_id`` None: the person has no account (yet); ``reason`` says why.
    ``account``: new (not created yet), stale (look again before joining), renamed (its display
    name is not the person's), known, unusable or unasked (nobody knows now), both with ``reason``.
    ``by_invitation``: nobody can put the account into a room, the person has to accept. ``make``,
    ``rename`` and the rest: see
    `EnsureAccount`.
    """

    person_id: str
    display_name: str
    remote_user_id: str | None
    level: int
    account: str = "known"
    external_id: str | None = None
    reason: str | None = None
    by_invitation: bool = False
    make: bool = True
    rename: bool = True
    theirs: bool = True
    trust_names: bool = False
    intended_at_seconds: float | None = None
    last_name: str = ""
    guessed: bool = False


@dataclass(frozen=True)
class Target:
    """The desired room with its seats; no two seats have the same account. ``foreign``: accounts
    that were people's here and are proven to be somebody else's. ``newcomers``: person ids that
    were somebody else's until now."""

    room: DesiredRoom
    seats: tuple[Seat, ...]
    foreign: frozenset[str] = frozenset()
    newcomers: frozenset[str] = frozenset()


@dataclass(frozen=True)
class AppliedMember:
    """What is recorded of a person: see ``commweb_member``. A level of None is "not listed".
    ``removed_at``: when commweb took the person out last."""

    remote_user_id: str | None
    display_name: str
    intended_level: int | None
    applied_level: int | None
    state: str
    reason: str | None = None
    removed_at: datetime | None = None


@dataclass(frozen=True)
class Intended:
    """Details on their way when commweb last looked; None: nothing is on its way.
    A ``picture_uri`` of "" is a picture being cleared. ``invite_level`` is the level to invite
    that was last seen to be commweb's; it stays, and ``invite_sent`` is the one on its way."""

    name: str | None = None
    topic: str | None = None
    picture_digest: str | None = None
    picture_uri: str | None = None
    read_only: bool | None = None
    invite_level: int | None = None
    invite_sent: int | None = None


@dataclass(frozen=True)
class Applied:
    """What commweb applied last to a room; None: never.

    ``unsure``: a request whose answer never came may still be processed by the server, or may have
    created the room. ``past``: every account that commweb ever put, or meant to put, into the room,
    with its person. ``open_level``: the level for messages before commweb made the room read-only.
    """

    name: str | None = None
    topic: str | None = None
    picture_digest: str | None = None
    picture_uri: str | None = None
    members: Mapping[str, AppliedMember] = field(default_factory=dict)
    read_only: bool | None = None
    intended: Intended = Intended()
    unsure: bool = False
    past: Mapping[str, str] = field(default_factory=dict)
    open_level: int | None = None


@dataclass(frozen=True)
class Policy:
    """What the admin chose.

    ``respect_hand_changes``: values set in the chat are kept. ``closing_rule`` for a room that
    is not wanted any more: remove_members (those commweb added), delete_room or leave (as it
    is). ``remove_others``: people who are not in the course are removed, whoever added them.
    ``fast_fill``: a new room is open to anybody who knows its id while it is filled.
    ``invite_level``: the power level that inviting needs; None: everybody may, unless somebody
    changed that in the chat. ``student_level`` and
    ``teacher_level``: the levels of most people, and of those who moderate.
    """

    respect_hand_changes: bool = True
    closing_rule: str = "remove_members"
    remove_others: bool = False
    fast_fill: bool = False
    invite_level: int | None = None
    student_level: int = 0
    teacher_level: int = 50
