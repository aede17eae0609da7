"""The acting account itself: where it is, how it gets back in, and the rooms it created.

Nothing here makes a fault worse: a room that the acting account did not create is never taken by
the server's administration, only entered on an invitation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from commweb.errors import Refused, RoomGone, RoomUnsettled, Unreachable
from commweb.i18n import gettext as _
from commweb.providers.matrix.answers import incomplete
from commweb.providers.matrix.client import MatrixClient
from commweb.providers.matrix.rooms import Birthmark, birthmark, observed
from commweb.providers.matrix.transport import MatrixRefused
from commweb.providers.rooms import ObservedRoom, OwnRoom, RoomRef

__all__ = ["BANNED", "NOT_OURS", "OwnRooms", "gone"]

BANNED = "COMMWEB_BANNED"
"""Said of a room from which the acting account is banned."""
NOT_OURS = "COMMWEB_NOT_OURS"
"""Said of a room that the acting account did not create for commweb."""

CREATE = "m.room.create"
INSIDE = ("join", "invite", "knock")
PAGE = 500
MOST_PAGES = 2000
"""A server that has always one more page is listened to for so long."""


@dataclass(frozen=True)
class OwnRooms:
    """Rooms as ``own_id`` stands in them."""

    client: MatrixClient
    own_id: str

    def membership(self, room_id: str, user_id: str) -> str:
        """Anybody's membership as the acting account sees it; empty: none, or the room does not
        show itself to it. One small request."""
        try:
            return self.client.membership(room_id, user_id)
        except MatrixRefused as error:
            if error.status == 403 or (error.status, error.errcode) == (404, "M_NOT_FOUND"):
                return ""
            raise

    def require_being_in(self, room_id: str) -> None:
        """Raises `RoomUnsettled` when the acting account is out of the room: the next sync says
        how it gets back in."""
        if self.membership(room_id, self.own_id) != "join":
            raise RoomUnsettled(
                _("The site's account is not in the room. It is checked again."),
                retry_after_seconds=1.0,
            )

    def seen(self, room_id: str) -> ObservedRoom | None:
        """The room as it is at this moment; None: there is none, or nobody is in it any more.

        Synapse shows a room that everybody left without any state. Some other answer looks the
        same, and so does a piece of one: nobody is in only if the list of members says so too.
        Raises `Unreachable` where it does not, and for a room without its first event.
        """
        events = self.client.room_state(room_id)
        if events is None:
            return None
        seen = observed(room_id, events, self.own_id)
        if seen is None or all(one.membership != "join" for one in seen.members.values()):
            if self.client.members(room_id):
                raise incomplete()
            return None
        if not seen.creator:
            raise incomplete()
        return seen

    def _seen(self, room_id: str) -> ObservedRoom:
        seen = self.seen(room_id)
        if seen is None:
            raise gone()
        return seen

    def accept_invitation(self, room_id: str) -> None:
        """Join, if the acting account is invited. Being in already is fine."""
        seen = self._seen(room_id)
        if seen.own_in_room:
            return
        if seen.own_membership != "invite":
            raise Refused(_("%(user)s is not invited to the room.", user=self.own_id), status=403)
        self._enter(room_id)

    def leave(self, room_id: str) -> None:
        """Go out; being out already, or a room that is gone, is fine."""
        try:
            self.client.leave(room_id)
        except (Refused, RoomUnsettled):
            seen = self.seen(room_id)
            if seen is not None and seen.own_membership in INSIDE:
                raise

    def repair(self, room_id: str) -> None:
        """Back into the room, with power. The room is read first: what was observed before may
        be old, and raising the level of a banned account would make its ban final."""
        seen = self._seen(room_id)
        if seen.own_membership == "ban":
            raise Refused(_banned(seen), status=403, errcode=BANNED)
        if seen.own_in_room and seen.own_can_manage:
            return
        ours = seen.creator == self.own_id
        if not ours and seen.own_membership != "invite":
            raise Refused(self._how_to_help(seen), status=403)
        if ours and self.own_id not in seen.creators:
            self._take_power(room_id)
        self._enter(room_id)

    def _take_power(self, room_id: str) -> None:
        try:
            self.client.make_room_admin(room_id)
        except MatrixRefused as error:
            if error.status != 400:
                raise
            # Nobody local can give power; an invitation is enough to get back in.

    def _enter(self, room_id: str) -> None:
        try:
            self.client.join(room_id)
        except MatrixRefused as error:
            if error.status not in (403, 404):
                raise
            raise Refused(
                _invite_again(self.own_id), status=error.status, errcode=error.errcode
            ) from None

    def _how_to_help(self, seen: ObservedRoom) -> str:
        if not seen.own_in_room:
            return _invite_again(self.own_id)
        return _(
            "%(user)s has too little power in the room. Somebody there has to raise it to 100.",
            user=self.own_id,
        )

    # Rooms it created

    def may_delete(self, room: RoomRef, room_id: str, *, half_made: bool) -> bool:
        """Whether the room may be deleted; False: it is gone. Raises `Refused` when the acting
        account did not create it for this course, and `RoomUnsettled` when a room that should be
        ``half_made`` is complete."""
        events = self.client.room_state(room_id) if half_made else self._first_event(room_id)
        if events is None:
            return False
        mark = birthmark(events, self.own_id)
        if mark.sender is None:
            # No create event yet: only the list of rooms still knows who began it.
            details = self.client.room_details(room_id)
            if details is None:
                return False
            if details.creator == self.own_id:
                return True
        if not self._is_for(mark, room):
            raise Refused(
                _("The site did not create this room and does not delete it."), errcode=NOT_OURS
            )
        if half_made and mark.complete:
            raise RoomUnsettled(
                _("The homeserver has finished creating the room."), retry_after_seconds=1.0
            )
        return True

    def _is_for(self, mark: Birthmark, room: RoomRef) -> bool:
        """Its first event is of the acting account, and names this course or carries its key."""
        if mark.sender != self.own_id or not mark.creation_key:
            return False
        course = (mark.origin.get("course"), mark.origin.get("group"))
        return mark.creation_key == room.creation_key or course == (room.course_id, room.group_id)

    def _first_event(self, room_id: str) -> list[dict[str, Any]] | None:
        return self.client.room_state(room_id, CREATE)

    def all(self, known: frozenset[str]) -> Iterator[OwnRoom]:
        """The rooms with a creation key whose first event is of the acting account, but for
        ``known`` ones. One request a page of the server's list, two for each room of its own that
        is not known. Rooms that come or go meanwhile, or cannot be read now, may be missed."""
        seen: set[str] = set()
        start = 0
        for _page in range(MOST_PAGES):
            content = self.client.rooms(start, PAGE)
            listed = content.get("rooms")
            fresh = [one for one in _rooms_in(listed) if one["room_id"] not in seen]
            seen.update(one["room_id"] for one in fresh)
            for one in fresh:
                if one.get("creator") == self.own_id and one["room_id"] not in known:
                    found = self._own_room(one)
                    if found is not None:
                        yield found
            start, before = _number(content, "next_batch"), start
            if not fresh or start <= before:
                return

    def _own_room(self, listed: dict[str, Any]) -> OwnRoom | None:
        """None: it is not of commweb, or the server has a fault with this one room."""
        room_id, name = listed["room_id"], listed.get("name")
        try:
            mark = birthmark(self._first_event(room_id) or (), self.own_id)
            if mark.sender != self.own_id or not mark.creation_key:
                return None
            inside = self.membership(room_id, self.own_id) == "join"
        except Unreachable as error:
            if error.status is None:
                raise
            return None
        others = _number(listed, "joined_members") - inside
        shown = name if isinstance(name, str) else ""
        return OwnRoom(room_id, shown, mark.creation_key, mark.origin, max(others, 0))


def _rooms_in(listed: object) -> list[dict[str, Any]]:
    rooms = listed if isinstance(listed, list) else []
    return [one for one in rooms if isinstance(one, dict) and isinstance(one.get("room_id"), str)]


def _number(content: Mapping[str, Any], key: str) -> int:
    value = content.get(key)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def gone() -> RoomGone:
    """The homeserver said so of this very room."""
    return RoomGone(_("The room is not on the homeserver any more."))


def _banned(seen: ObservedRoom) -> str:
    return _(
        "%(who)s banned the site's account %(own)s from the room. Lift the ban in the chat; "
        "the room is synced again then.",
        who=seen.own_membership_by or _("Somebody"),
        own=seen.own_id,
    )


def _invite_again(own_id: str) -> str:
    return _(
        "The site's account is not in the room. A moderator there has to invite %(user)s again.",
        user=own_id,
    )
