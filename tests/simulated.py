"""A provider whose homeserver is a dictionary: the simulator the contract tests hold to account."""

from __future__ import annotations

import itertools
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from commweb.errors import ProviderError, Refused, RoomGone, RoomUnsettled, Unreachable
from commweb.i18n import lazy_gettext
from commweb.providers.base import Backend, People, Provider, ProviderContext
from commweb.providers.rooms import (
    AccountFacts,
    CloseDoor,
    CreateRoom,
    DeleteRoom,
    EnsureAccount,
    FoundRoom,
    Join,
    ObservedMember,
    ObservedRoom,
    OwnRoom,
    Picture,
    Remove,
    RepairPower,
    RoomRef,
    SetLevels,
    SetName,
    SetPicture,
    SetTopic,
)
from commweb.sync.choose_account import EXTERNAL_ID, NAMED, Found, judge_found, never_named

OWN = "@bot:sim"
JOINED = ObservedMember("join", by_self=True)
INVITED = ObservedMember("invite", by=OWN)
TO_CHANGE_LEVELS = 100
"""The level that a homeserver's preset asks for to change levels."""

LARGEST_LEVELS = 64_000
"""Bytes that the list of levels may take: an event of a homeserver holds 65536."""


@dataclass
class SimulatedRoom:
    """One room as the simulated server keeps it. ``creator``: who has power without being
    listed; None in rooms before version 12, where the acting account is listed at 100."""

    id: str
    key: str
    name: str
    topic: str
    creator: str | None = OWN
    picture_uri: str | None = None
    members: dict[str, ObservedMember] = field(default_factory=dict)
    levels: dict[str, int] = field(default_factory=dict)
    default_level: int = 0
    message_level: int = 0
    invite_level: int = 0
    replaced_by: str | None = None
    replaced_by_sender: str | None = None
    predecessor: str | None = None
    open_door: bool = False
    join_rule: str = "invite"
    join_rule_by: str = OWN
    history: str = "shared"
    history_by: str = OWN
    made_by: str = OWN
    origin: dict[str, str] = field(default_factory=dict)

    @property
    def read_only(self) -> bool:
        return self.message_level > self.default_level

    def power(self, remote: str) -> float:
        if remote == self.creator:
            return float("inf")
        return self.levels.get(remote, self.default_level)

    def is_in(self, remote: str) -> bool:
        return remote in self.members and self.members[remote].membership == "join"

    @property
    def own_membership(self) -> str:
        return self.members[OWN].membership if OWN in self.members else ""

    @property
    def own_can_manage(self) -> bool:
        return self.power(OWN) >= max(TO_CHANGE_LEVELS, self.invite_level)

    def shorten(self) -> None:
        """As the real backend does when the list is too large for the server."""
        frequent = Counter(self.levels.values()).most_common(1)
        most = frequent[0][0] if frequent else 0
        if self.default_level < most < 50:
            self.default_level = most
            self.levels = {key: level for key, level in self.levels.items() if level != most}

    @property
    def too_many_levels(self) -> bool:
        listed = self.levels.items()
        return sum(len(key) + len(str(level)) + 4 for key, level in listed) > LARGEST_LEVELS


class SimulatedServer:
    """Rooms and accounts; ``faults`` are raised by the next calls, ``calls`` counts them.
    ``older``: new rooms are of a version before 12. ``half_made``: room ids by creation key;
    ``deleting``: how often each coming deletion says that it is still going on. ``made``: the
    accounts that the backend created; the others are other people's, or ``admins``'.
    ``single_sign_on``: the accounts that it opens, by external id. ``down``:
    nothing is answered; ``answering``: whether it answers when it is asked whether it does."""

    def __init__(self, *, older: bool = False, name: str = "sim") -> None:
        self.older = older
        self.name = name
        self.down = False
        self.answering = True
        self.rooms: dict[str, SimulatedRoom] = {}
        self.accounts: dict[str, str] = {}
        self.unusable: dict[str, str] = {}
        self.suspended: set[str] = set()
        self.locked: set[str] = set()
        self.made: set[str] = set()
        self.admins: set[str] = set()
        self.single_sign_on: dict[str, str] = {}
        self.faults: list[ProviderError | None] = []
        self.calls: list[str] = []
        self.uploads: list[bytes] = []
        self.half_made: dict[str, str] = {}
        self.deleting = 0
        self.deleted: list[str] = []
        self.lock = threading.Lock()
        self.ids = itertools.count(1)

    def new_id(self) -> str:
        return f"!{self.name}{next(self.ids)}"

    def called(self, name: str) -> None:
        with self.lock:
            self.calls.append(name)
            fault = self.faults.pop(0) if self.faults else None
        if self.down:
            raise Unreachable("The homeserver does not answer.")
        if fault is not None:
            raise fault


class SimulatedBackend(Backend):
    own_id = OWN

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server
        self.server_name = server.name

    def _called(self, name: str) -> None:
        if self.before_request is not None:
            self.before_request(30.0)
        self.server.called(name)

    def home_of(self, remote_user_id: str) -> str:
        return remote_user_id.partition(":")[2]

    def answers(self) -> bool:
        return self.server.answering and not self.server.down

    def accept_invitation(self, room: RoomRef) -> None:
        self._called("accept_invitation")
        found = self._room(room)
        if found.own_membership not in ("join", "invite"):
            raise Refused("The acting account is not invited.", status=403)
        found.members[OWN] = JOINED

    def leave(self, room: RoomRef) -> None:
        self._called("leave")
        found = self.server.rooms.get(room.remote_id or "")
        if found is not None and found.own_membership in ("join", "invite", "knock"):
            found.members[OWN] = ObservedMember("leave", by_self=True, by=OWN)

    def own_rooms(self, known: frozenset[str] = frozenset()) -> Iterable[OwnRoom]:
        self._called("own_rooms")
        return [
            OwnRoom(
                room.id,
                room.name,
                room.key,
                room.origin,
                sum(room.is_in(remote) for remote in room.members if remote != OWN),
            )
            for room in list(self.server.rooms.values())
            if room.made_by == OWN and room.key and room.id not in known
        ]

    def identify(self, username: str, taken: frozenset[str]) -> str:
        for suffix in itertools.chain([""], (f"-{n}" for n in itertools.count(2))):
            remote = f"@{username.lower()}{suffix}:sim"
            if remote not in taken:
                return remote
        raise AssertionError

    def _room(self, ref: RoomRef) -> SimulatedRoom:
        room = self.server.rooms.get(ref.remote_id or "")
        if room is None:
            raise RoomGone("The room is gone.")
        return room

    def _managed(self, ref: RoomRef) -> SimulatedRoom:
        room = self._room(ref)
        if not room.is_in(OWN):
            raise RoomUnsettled("The acting account is not in the room any more.")
        if not room.own_can_manage:
            raise Refused("The acting account has no power.", status=403)
        return room

    def observe(self, room: RoomRef) -> ObservedRoom | None:
        self._called("observe")
        found = self.server.rooms.get(room.remote_id or "")
        if found is None or not any(found.is_in(remote) for remote in found.members):
            return None
        return ObservedRoom(
            remote_id=found.id,
            name=found.name,
            topic=found.topic,
            picture_uri=found.picture_uri,
            members=dict(found.members),
            levels=dict(found.levels),
            default_level=found.default_level,
            creators=frozenset({found.creator} if found.creator else ()),
            own_id=OWN,
            own_in_room=found.is_in(OWN),
            own_can_manage=found.own_can_manage,
            read_only=found.read_only,
            replaced_by=found.replaced_by,
            open_door=found.open_door,
            own_membership=found.own_membership,
            own_membership_by=found.members[OWN].by if OWN in found.members else "",
            message_level=found.message_level,
            invite_level=found.invite_level,
            creator=found.made_by,
            creation_key=found.key,
            origin=found.origin,
            predecessor=found.predecessor,
            replaced_by_sender=found.replaced_by_sender,
            join_rule="public" if found.open_door else found.join_rule,
            join_rule_by=found.join_rule_by,
            history_visibility=found.history,
            history_by=found.history_by,
        )

    def create(self, room: RoomRef, action: CreateRoom) -> str:
        self._called("create")
        for found in self.server.rooms.values():
            if found.key == action.creation_key:
                return found.id
        made = SimulatedRoom(self.server.new_id(), action.creation_key, action.name, action.topic)
        made.members.update({join.remote_user_id: INVITED for join in action.invited})
        made.members[OWN] = JOINED
        made.open_door = action.open_door
        made.origin = dict(action.origin)
        made.default_level = action.default_level
        made.invite_level = 50 if action.invite_level is None else action.invite_level
        made.levels = {
            key: level
            for key, level in action.levels.items()
            if key != OWN and level != action.default_level
        }
        if self.server.older:
            made.creator = None
            made.levels[OWN] = 100
        if made.too_many_levels:
            made.shorten()
        while made.too_many_levels:
            made.levels.pop(min(made.levels, key=lambda key: made.levels[key]))
        if action.picture is not None:
            made.picture_uri = self.upload(action.picture)
        self.server.rooms[made.id] = made
        return made.id

    def find(self, room: RoomRef, slug: str, started_at_seconds: float) -> FoundRoom | None:
        self._called("find")
        if room.creation_key in self.server.half_made:
            return FoundRoom(self.server.half_made[room.creation_key], complete=False)
        for found in self.server.rooms.values():
            if found.key == room.creation_key:
                return FoundRoom(found.id, complete=True)
        return None

    def ensure_account(self, action: EnsureAccount) -> AccountFacts:
        self._called("ensure_account")
        remote = action.remote_user_id
        reason = self.server.unusable.get(remote)
        if remote in self.server.locked:
            reason = f"The account {remote} is locked."
        if reason:
            return AccountFacts(
                remote,
                usable=False,
                reason=reason,
                existed=True,
                deactivated="deactivated" in reason,
                locked="locked" in reason,
            )
        opened = self.server.single_sign_on.get(action.external_id or "")
        if not action.theirs and opened not in (None, remote):
            reason = "Their single sign-on opens another account."
            return AccountFacts(str(opened), False, reason, existed=True, origin=EXTERNAL_ID)
        if remote not in self.server.accounts:
            if not action.make:
                return AccountFacts(remote, False, "There is no such account.")
            self.server.accounts[remote] = action.display_name
            self.server.made.add(remote)
            return AccountFacts(remote, made=True)
        admin = remote in self.server.admins
        ours = remote in self.server.made and action.intended_at_seconds is not None
        if not action.theirs:
            found = judge_found(
                Found(remote, admin=admin, ours=ours), trust_names=action.trust_names
            )
            if found == NAMED:
                reason = never_named(remote)
                return AccountFacts(remote, False, reason, existed=True, admin=admin, origin=NAMED)
            return AccountFacts(remote, existed=True, admin=admin, origin=found)
        if action.guessed and admin:
            reason = never_named(remote)
            return AccountFacts(remote, False, reason, existed=True, admin=admin, origin=NAMED)
        if action.rename and self.server.accounts[remote] in (action.last_name, ""):
            self.server.accounts[remote] = action.display_name
        return AccountFacts(remote, existed=True, admin=admin)

    def whereabouts(self, remote_user_id: str) -> str:
        if not remote_user_id.startswith("@") or ":" not in remote_user_id:
            return "nowhere"
        return "here" if remote_user_id.endswith(":sim") else "elsewhere"

    def highest_level(self) -> int:
        return 99 if self.server.older else 100

    def join(self, room: RoomRef, action: Join) -> None:
        self._called("join")
        found = self._managed(room)
        remote = action.remote_user_id
        if remote not in self.server.accounts:
            raise Refused("There is no such account.", status=404, errcode="M_NOT_FOUND")
        seen = found.members.get(remote)
        if seen is not None and seen.membership == "ban":
            raise Refused("The account is banned.", status=403, errcode="M_BAD_STATE")
        if remote in self.server.suspended and not found.is_in(remote):
            found.members[remote] = INVITED
            raise Refused("The account is suspended.", status=403)
        if action.by_invitation and not found.is_in(remote):
            found.members[remote] = INVITED
        else:
            found.members[remote] = JOINED

    def remove(self, room: RoomRef, action: Remove) -> None:
        self._called("remove")
        found = self._managed(room)
        remote = action.remote_user_id
        seen = found.members.get(remote)
        if seen is None or seen.membership not in ("join", "invite"):
            return
        if found.power(remote) >= found.power(OWN):
            raise Refused("You cannot kick this account.", status=403)
        found.members[remote] = ObservedMember("leave", by=OWN)

    def set_name(self, room: RoomRef, action: SetName) -> None:
        self._called("set_name")
        self._managed(room).name = action.name

    def set_topic(self, room: RoomRef, action: SetTopic) -> None:
        self._called("set_topic")
        self._managed(room).topic = action.topic

    def upload(self, picture: Picture) -> str:
        self._called("upload")
        self.server.uploads.append(picture.read())
        return f"mxc://sim/{picture.digest}/{next(self.server.ids)}"

    def set_picture(self, room: RoomRef, action: SetPicture) -> str | None:
        self._called("set_picture")
        uri = None
        if action.picture is not None:
            uri = action.uri or self.upload(action.picture)
        self._managed(room).picture_uri = uri
        return uri

    def _allowed(self, found: SimulatedRoom, action: SetLevels) -> dict[str, int | None]:
        """What is different; refused when the acting account must not change that."""
        changed = {
            remote: level
            for remote, level in action.levels.items()
            if found.levels.get(remote) != level
        }
        own = found.power(OWN)
        for remote, level in changed.items():
            if remote == found.creator:
                raise Refused("A creator must not be listed.", status=400)
            too_high = remote != OWN and found.power(remote) >= own
            if too_high or (level is not None and level > own):
                raise Refused("You do not have permission to set this level.", status=403)
        return changed

    def set_levels(self, room: RoomRef, action: SetLevels) -> None:
        self._called("set_levels")
        found = self._managed(room)
        changed = self._allowed(found, action)
        before = dict(found.levels), found.default_level
        for remote, level in changed.items():
            if level is None:
                found.levels.pop(remote)
            else:
                found.levels[remote] = level
        if action.default_level is not None:
            found.default_level = action.default_level
        if found.too_many_levels:
            found.shorten()
            if found.too_many_levels:
                found.levels, found.default_level = before
                raise Refused("The levels are too large.", status=413, errcode="M_TOO_LARGE")
        if action.invite_level is not None:
            found.invite_level = action.invite_level
        if action.read_only is not None:
            closed = max(50, found.default_level + 1)
            found.message_level = closed if action.read_only else action.open_level

    def close_door(self, room: RoomRef, action: CloseDoor) -> None:
        self._called("close_door")
        self._managed(room).open_door = False

    def repair_power(self, room: RoomRef, action: RepairPower) -> None:
        self._called("repair_power")
        found = self._room(room)
        if found.own_membership == "ban":
            sentence = f"{found.members[OWN].by} banned commweb's account."
            raise Refused(sentence, status=403, errcode="COMMWEB_BANNED")
        if found.is_in(OWN) and found.own_can_manage:
            return
        ours = found.made_by == OWN
        if not ours and found.own_membership != "invite":
            raise Refused("Somebody in the room has to give it power.", status=403)
        givers = [
            found.levels[remote] for remote in found.levels if remote != OWN and found.is_in(remote)
        ]
        strong = max(givers, default=0)
        if ours and found.creator is None and strong >= TO_CHANGE_LEVELS:
            found.levels[OWN] = max(strong, found.levels.get(OWN, 0))
            found.members[OWN] = JOINED
        if found.own_membership not in ("join", "invite"):
            raise Refused("Somebody in the room has to invite the acting account.", status=403)
        found.members[OWN] = JOINED

    def delete(self, room: RoomRef, action: DeleteRoom) -> str | None:
        self._called("delete")
        asked = int(action.delete_id or "0") + 1
        found = self.server.rooms.get(room.remote_id or "")
        if found is not None and not self._may_delete(room, found):
            raise Refused("commweb did not create this room.", errcode="COMMWEB_NOT_OURS")
        if action.slug:
            self.server.half_made.pop(room.creation_key, None)
        if asked <= self.server.deleting:
            return str(asked)
        self.server.rooms.pop(room.remote_id or "", None)
        self.server.deleted.append(room.remote_id or "")
        return None

    def _may_delete(self, room: RoomRef, found: SimulatedRoom) -> bool:
        if found.made_by != OWN or not found.key:
            return False
        course = found.origin.get("course"), found.origin.get("group")
        return found.key == room.creation_key or course == (room.course_id, room.group_id)


class SimulatedPeople(People):
    """Looks at accounts, and locks them."""

    def __init__(self, server: SimulatedServer) -> None:
        self.server = server

    def examine(self, remote_user_id: str) -> AccountFacts:
        self.server.called("examine")
        locked = remote_user_id in self.server.locked
        existed = remote_user_id in self.server.accounts
        admin = remote_user_id in self.server.admins
        usable = existed and not locked and remote_user_id != OWN
        return AccountFacts(
            remote_user_id, usable=usable, existed=existed, admin=admin, locked=locked
        )

    def set_locked(self, remote_user_id: str, locked: bool) -> None:
        self.server.called("lock" if locked else "unlock")
        if locked:
            self.server.locked.add(remote_user_id)
        else:
            self.server.locked.discard(remote_user_id)


class SimulatedProvider(Provider):
    """``id`` may be given so that two can be registered."""

    name = lazy_gettext("Simulated")

    def __init__(self, server: SimulatedServer, id: str = "simulated") -> None:
        self.id = id
        self.server = server

    def wanted_for_new_courses(self, values: Mapping[str, Any]) -> bool:
        return True

    def backend(self, context: ProviderContext) -> Backend:
        return SimulatedBackend(self.server)

    def people(self, context: ProviderContext, deadline_seconds: float) -> People:
        return SimulatedPeople(self.server)

    def room_url(self, values: Mapping[str, Any], remote_id: str) -> str | None:
        return f"https://chat.example/#/room/{remote_id}"
