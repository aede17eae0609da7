"""The way into the chat: to the room, to a choice of rooms, or to a page that says why not."""

from __future__ import annotations

from collections.abc import Sequence

from flask import redirect, render_template
from flask.typing import ResponseReturnValue

from commweb.host import Permission
from commweb.i18n import gettext as _
from commweb.providers.base import Provider
from commweb.state import State, current_state
from commweb.status import RoomStatus, rooms_of
from commweb.web.own_account import provider_with_accounts
from commweb.web.permissions import acting_person, known_course, require

__all__ = ["chat", "why_not"]

ACCOUNT_HELPS = ("waiting", "invited", "failing")
"""Member states for which the account page can help."""


@require(Permission.VIEW_COURSE)
def chat(course_id: str) -> ResponseReturnValue:
    """To the room in the chat client, for who is in it; otherwise a page that says why not."""
    state = current_state()
    course = known_course(state, course_id)
    person = acting_person(state)
    configures = state.host.can(person, Permission.CONFIGURE_COURSE, course_id)
    rooms = rooms_of(state, course_id, viewer=person)
    mine = [room for room in rooms if room.url and room.mine]
    if not mine and configures and not any(room.membership for room in rooms):
        # Who configures the course without being a member may go everywhere.
        mine = [room for room in rooms if room.url]
    if len(mine) == 1 and mine[0].url:
        return redirect(mine[0].url, 303)
    told = rooms if configures else [room.for_members() for room in rooms]
    sentences = () if mine else why_not(told, configures=configures)
    page = render_template(
        "commweb/chat.html",
        course=course,
        rooms=mine,
        waiting=bool(rooms),
        sentences=sentences,
        configures=configures,
        accounts=None if mine else _with_accounts(state, rooms),
    )
    return page, 200 if mine else 404


def _with_accounts(state: State, rooms: Sequence[RoomStatus]) -> Provider | None:
    """The provider whose page about one's account can help the viewer into one of ``rooms``."""
    provider = provider_with_accounts(state)
    if provider is None:
        return None
    helped = (r for r in rooms if r.provider == provider.id and r.membership in ACCOUNT_HELPS)
    return provider if any(helped) else None


def why_not(rooms: Sequence[RoomStatus], *, configures: bool) -> tuple[str, ...]:
    """Why nobody can be sent to one of ``rooms``, and what to do: sentences."""
    if not rooms:
        if configures:
            return (
                _("This course has no chat room."),
                _("Choose a provider on the Communication page to get one."),
            )
        return (_("This course has no chat room."),)
    own = [room for room in rooms if room.membership]
    if own:
        return _own(own[0], configures=configures)
    if any(room.url for room in rooms):
        return (
            _("You are not in the room of this course, or you have not been added yet."),
            _("If you should be, try again in a minute or ask your teacher."),
        )
    return (rooms[0].message, _("Try again in a minute."))


def _own(room: RoomStatus, *, configures: bool) -> tuple[str, ...]:
    """For somebody who should be in ``room`` and cannot open it."""
    helper = (
        _("The page “Members of the room” has a button for it.")
        if configures
        else _("Your teacher can add you back.")
    )
    gone = {
        "left": _("You left the room."),
        "kicked": _("A moderator of the chat removed you from the room."),
    }
    if room.membership in gone:
        return (gone[room.membership], helper)
    if room.membership == "banned":
        return (
            _("A moderator of the chat banned you from the room."),
            _("Only a moderator can lift that, in the chat."),
        )
    if room.membership == "failing":
        reason = room.membership_reason or _("the reason is not known yet.")
        return (_("You could not be added to the room: %(reason)s", reason=reason), helper)
    if not room.url:
        return (room.message, _("Try again in a minute."))
    if room.membership == "waiting":
        return (_("You are not in the room yet."), room.membership_reason or _("Try again later."))
    return (_("You are being added to the room."), _("Try again in a minute."))
