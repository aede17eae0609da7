"""What crosses between the engine and a provider: observed rooms, and the actions on them.

Pure data. Every action is safe to repeat and says in a sentence what it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from commweb.i18n import gettext as _

__all__ = [
    "AccountFacts",
    "Action",
    "CloseDoor",
    "CreateRoom",
    "DeleteRoom",
    "EnsureAccount",
    "FoundRoom",
    "Join",
    "ObservedMember",
    "ObservedRoom",
    "OwnRoom",
    "Picture",
    "Remove",
    "RepairPower",
    "RoomRef",
    "SetLevels",
    "SetName",
    "SetPicture",
    "SetTopic",
]


@dataclass(frozen=True)
class RoomRef:
    """What names a room: ours (course, group, key) and, once made, the server's id."""

    course_id: str
    group_id: str
    creation_key: str
    remote_id: str | None


@dataclass(frozen=True)
class ObservedMember:
    """``membership``: join, invite, leave, ban, knock. ``by_self``: the person did it themself;
    ``by``: the account that did it (for a join, the last one that invited is not known)."""

    membership: str
    by_self: bool = False
    by: str = ""


@dataclass(frozen=True)
class ObservedRoom:
    """A room as the server has it now.

    ``levels`` are the power levels of people that are listed, ``default_level`` is everybody
    else's, ``creators`` have infinite power without being listed (room version 12 and later),
    ``own_id`` is the acting account. ``replaced_by``: the room was upgraded to that one.
    ``open_door``: the acting account made it so that anybody who knows the room's id may join,
    and has not closed it; a door that somebody opened in the chat does not count.
    ``own_membership`` and ``own_membership_by``: the acting account's, and who set it.
    ``message_level`` is the level needed to write, ``invite_level`` the one needed to invite.
    ``join_rule_by`` and ``history_by``: the accounts that set those two; empty: not known.
    ``creator`` made the room; ``creation_key`` and ``origin`` are what its first event says,
    ``predecessor`` the room it says it replaces, ``replaced_by_sender`` who named its replacement.
    ``join_rule`` and ``history_visibility``: who may come in, and who may read, in Matrix's words.
    """

    remote_id: str
    name: str = ""
    topic: str = ""
    picture_uri: str | None = None
    members: Mapping[str, ObservedMember] = field(default_factory=dict)
    levels: Mapping[str, int] = field(default_factory=dict)
    default_level: int = 0
    creators: frozenset[str] = frozenset()
    own_id: str = ""
    own_in_room: bool = True
    own_can_manage: bool = True
    read_only: bool = False
    replaced_by: str | None = None
    open_door: bool = False
    own_membership: str = "join"
    own_membership_by: str = ""
    message_level: int = 0
    invite_level: int = 0
    creator: str = ""
    creation_key: str = ""
    origin: Mapping[str, str] = field(default_factory=dict)
    predecessor: str | None = None
    replaced_by_sender: str | None = None
    join_rule: str = "invite"
    history_visibility: str = "shared"
    join_rule_by: str = ""
    history_by: str = ""


@dataclass(frozen=True)
class OwnRoom:
    """A room that the acting account created: what its first event says of it, and how many
    people are in it besides that account."""

    remote_id: str
    name: str
    creation_key: str
    origin: Mapping[str, str]
    member_count: int = 0


@dataclass(frozen=True)
class Picture:
    """A picture to show: ``read()`` gives the bytes, ``digest`` names them."""

    digest: str
    media_type: str
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True)
class AccountFacts:
    """What a provider found out about an account. ``usable`` False comes with a ``reason``.

    ``made``: there was none, it was created just now. ``existed``: it was there before.
    ``admin``: a server administrator's; ``deactivated``, ``locked``: nobody can use it now, and
    the person comes back when it works again. ``origin``: where it comes from, as far as that was
    found out (see `commweb.sync.choose_account`): created, external_id, trusted_name, named (it
    only has the person's name) or refused (another name is needed, which the next sync tries);
    empty: as before. ``display_name``: what the account is called now; None: not known.
    ``note``: something that did not work and leaves the account usable, as a sentence.
    ``elsewhere``: it belongs to another server, which was not asked.
    """

    remote_user_id: str
    usable: bool = True
    reason: str | None = None
    made: bool = False
    existed: bool = False
    admin: bool = False
    deactivated: bool = False
    locked: bool = False
    origin: str = ""
    display_name: str | None = None
    note: str = ""
    elsewhere: bool = False


@dataclass(frozen=True)
class FoundRoom:
    """What an interrupted creation left. Not ``complete``: nobody will finish it, remove it."""

    remote_id: str
    complete: bool


@dataclass(frozen=True)
class Action:
    """Something to do to one room."""

    def sentence(self) -> str:
        """What it does, for people."""
        raise NotImplementedError


@dataclass(frozen=True)
class CreateRoom(Action):
    """Make the room, or find the half-made one by its alias and finish it. ``open_door``: it is
    filled faster while anybody who knows its id may join; `CloseDoor` follows. ``invited``: who
    is put in next, with an account of this server that was made just now; a provider may invite
    these in the write that makes the room, if that makes putting them in cheaper."""

    name: str
    topic: str
    slug: str
    creation_key: str
    creation_started_at_seconds: float | None
    levels: Mapping[str, int]
    picture: Picture | None
    origin: Mapping[str, str]
    open_door: bool = False
    invited: tuple[Join, ...] = ()
    default_level: int = 0
    invite_level: int | None = None

    def sentence(self) -> str:
        return _("Create the room %(name)s", name=self.name)


@dataclass(frozen=True)
class EnsureAccount(Action):
    """Make sure the person's account exists and can be used.

    ``known``: it was looked at before; False also asks for one that is gone to be created again.
    ``make``: it may be created when there is none. ``rename``: commweb created it, so its display
    name follows the person's as long as nobody changed it; ``last_name`` is the one that commweb
    gave it last. ``theirs``: it is the person's by more than its name; an account that is there
    and is not theirs is left alone, unless ``trust_names``. ``guessed``: it is theirs by their
    name only, or because they said so; a server administrator's is not given out for that.
    ``intended_at_seconds`` (since 1970): when its name was written down to be created.
    """

    person_id: str
    remote_user_id: str
    display_name: str
    external_id: str | None = None
    known: bool = False
    make: bool = True
    rename: bool = True
    theirs: bool = False
    trust_names: bool = False
    intended_at_seconds: float | None = None
    last_name: str = ""
    guessed: bool = False

    def sentence(self) -> str:
        return _("Make sure %(name)s has an account", name=self.display_name)


@dataclass(frozen=True)
class Join(Action):
    """Put a person into the room. ``by_invitation``: nobody can be put in with this account,
    it is invited and the person answers."""

    person_id: str
    remote_user_id: str
    display_name: str
    moderator: bool = False
    room_name: str = ""
    by_invitation: bool = False

    def sentence(self) -> str:
        words = {"name": self.display_name, "room": self.room_name}
        if self.by_invitation:
            return _("Invite %(name)s to %(room)s", **words)
        if self.moderator:
            return _("Add %(name)s to %(room)s as moderator", **words)
        return _("Add %(name)s to %(room)s", **words)


@dataclass(frozen=True)
class Remove(Action):
    """Take an account out of the room. ``person_id`` empty: not a person the host knows, or not
    the account the person uses. ``after``: the person whose new account has to be inside first.
    ``room_id``: another room than the one that is synced, which it replaced."""

    person_id: str
    remote_user_id: str
    display_name: str
    room_name: str = ""
    after: str = ""
    room_id: str | None = None

    def sentence(self) -> str:
        words = {"name": self.display_name, "room": self.room_name}
        return _("Remove %(name)s from %(room)s", **words)


@dataclass(frozen=True)
class SetName(Action):
    """Give the room its name."""

    name: str

    def sentence(self) -> str:
        return _("Rename the room to %(name)s", name=self.name)


@dataclass(frozen=True)
class SetTopic(Action):
    """Give the room its topic; empty clears it."""

    topic: str

    def sentence(self) -> str:
        return _("Change the topic") if self.topic else _("Clear the topic")


@dataclass(frozen=True)
class SetPicture(Action):
    """Give the room its picture; None clears it. ``uri``: it was uploaded before."""

    picture: Picture | None
    uri: str | None = None

    def sentence(self) -> str:
        return _("Change the picture") if self.picture else _("Clear the picture")


@dataclass(frozen=True)
class SetLevels(Action):
    """Change power levels in one write. A level of None takes the person off the list.
    ``read_only`` None leaves the level needed for messages alone; False puts it back to
    ``open_level``. ``default_level`` and ``invite_level``: None leaves them alone."""

    levels: Mapping[str, int | None]
    names: Mapping[str, str] = field(default_factory=dict, compare=False)
    read_only: bool | None = None
    open_level: int = 0
    default_level: int | None = None
    invite_level: int | None = None

    def sentence(self) -> str:
        said = []
        if self.levels:
            people = ", ".join(sorted({self.names.get(key, key) for key in self.levels}))
            said.append(_("Change the power level of %(people)s", people=people))
        if self.read_only is not None:
            closed, open_again = _("Make the room read-only"), _("Open the room again")
            said.append(closed if self.read_only else open_again)
        if self.default_level is not None:
            said.append(
                _("Give everybody else the power level %(level)d", level=self.default_level)
            )
        if self.invite_level is not None:
            few, everybody = (
                _("Let only moderators invite people"),
                _("Let everybody invite people"),
            )
            said.append(few if self.invite_level > 0 else everybody)
        return "; ".join(said)


@dataclass(frozen=True)
class RepairPower(Action):
    """Get the acting account back into the room, with power."""

    def sentence(self) -> str:
        return _("Give the acting account its power in the room back")


@dataclass(frozen=True)
class CloseDoor(Action):
    """Let only invited people join: the room was open while it was filled."""

    def sentence(self) -> str:
        return _("Let only invited people into the room")


@dataclass(frozen=True)
class DeleteRoom(Action):
    """Remove the room from the server. ``delete_id``: it was asked for, look how far it is.
    ``slug``: it is a half-made one, whose address is to be freed first."""

    delete_id: str | None = None
    slug: str = ""

    def sentence(self) -> str:
        return _("Delete the room")
