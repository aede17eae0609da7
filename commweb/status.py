"""What people are told about a course's rooms: one map of states and sentences."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select

from commweb.host import Person
from commweb.i18n import gettext as _
from commweb.i18n import joined, ngettext
from commweb.links import app_link, web_link
from commweb.models import Change, CourseChoice, CourseOption, MemberRow, RoomRow
from commweb.plain import PlainFields
from commweb.providers.base import Provider, RoomLinks
from commweb.room_access import access_notes
from commweb.state import State

__all__ = ["RoomStatus", "rooms_of", "sentence", "status_word", "undone_sentence", "worst"]

ORDER = ("failing", "held", "pending", "ready", "read_only", "off")
OPEN = ("ready", "read_only", "held")


@dataclass(frozen=True)
class RoomStatus(PlainFields):
    """One room as pages, API and CLI tell it. ``members`` of ``expected`` people are in.

    ``membership`` is how the asking person stands to the room (see ``commweb_member``; None: the
    person has no place in it), ``membership_reason`` why, ``mine`` whether the person can open it.
    A link instead of a room has the ``id`` 0 and is everybody's. ``synced_at``: when the room last
    equalled the course. ``undone``: the keys of what could not be done then. ``guests``: accounts
    in the room that are not of the course, each with its ``id``, perhaps a ``name``, and ``by``,
    who let it in. ``access``: what moderators opened in the chat, as sentences.
    """

    id: int
    group_id: str
    provider: str
    provider_name: str
    name: str
    status: str
    message: str
    reason: str | None
    remote_id: str | None
    url: str | None
    members: int
    expected: int
    app_url: str | None = None
    membership: str | None = None
    membership_reason: str | None = None
    mine: bool = False
    synced_at: datetime | None = None
    undone: tuple[str, ...] = ()
    guests: tuple[Mapping[str, Any], ...] = ()
    access: tuple[str, ...] = ()

    @property
    def more(self) -> str | None:
        """What ``message`` does not say to those who configure the course: what could not be
        done, or what was kept."""
        if self.status not in ("ready", "read_only", "pending"):
            return None
        return undone_sentence(self.undone, self.reason)

    def for_members(self) -> RoomStatus:
        """As somebody is told who only uses the room: that an administrator has to confirm
        something, and what could not be done for others, is not theirs to know."""
        plain = replace(self, undone=(), guests=(), access=())
        if self.status == "failing":
            return plain  # why there is no room is no secret
        status = self.status
        if status == "held":
            status = "ready" if self.mine else "pending"
        told = sentence(status, self.provider_name) if self.id else self.message
        return replace(plain, status=status, message=told, reason=None)

    def as_dict(self) -> Mapping[str, object]:
        """As JSON."""
        return {
            "group_id": self.group_id or None,
            "provider": self.provider,
            "name": self.name,
            "status": self.status,
            "message": self.message,
            "reason": self.reason,
            "remote_id": self.remote_id,
            "url": self.url,
            "members": self.members,
            "expected": self.expected,
            "synced_at": self.synced_at.isoformat() if self.synced_at else None,
        }


def sentence(status: str, provider: str, reason: str | None = None) -> str:
    """The sentence for a state. ``provider`` is the provider's name."""
    sentences = {
        "pending": _("Your %(provider)s room will be ready soon.", provider=provider),
        "ready": _("Your %(provider)s room is ready.", provider=provider),
        "failing": _(
            "Your %(provider)s room is not ready: %(reason)s",
            provider=provider,
            reason=reason or _("the reason is not known yet."),
        ),
        "held": _(
            "Your %(provider)s room needs confirmation: %(reason)s",
            provider=provider,
            reason=reason or "",
        ),
        "read_only": _(
            "Your %(provider)s room is read-only while the course is not open.", provider=provider
        ),
        "off": _("This course has no %(provider)s room.", provider=provider),
    }
    return sentences.get(status, sentences["pending"])


def status_word(status: str, *, created: bool) -> str:
    """The state for those who keep the site. ``created``: the room is there already."""
    words = {
        "ready": _("Ready"),
        "read_only": _("Read-only"),
        "failing": _("Failing"),
        "held": _("Held"),
        "off": _("Off"),
    }
    return words.get(status) or (_("Filling") if created else _("Pending"))


def undone_sentence(undone: Sequence[str], reason: str | None) -> str | None:
    """What could not be done, by name, and why; None: all was. ``undone``: keys as in
    ``commweb_room.undone``."""
    if not undone:
        return reason or None
    told = ngettext(
        "%(count)d thing could not be done: %(what)s.",
        "%(count)d things could not be done: %(what)s.",
        len(undone),
        what=", ".join(_things(undone)),
    )
    return joined([told, *([reason] if reason else [])])


def _things(undone: Sequence[str]) -> list[str]:
    words = {
        "name": _("the name"),
        "topic": _("the topic"),
        "picture": _("the picture"),
        "levels": _("the power levels"),
        "door": _("who may join"),
    }
    people = sum(key.startswith("person:") for key in undone)
    accounts = sum(key.startswith("account:") for key in undone)
    rooms = sum(key.startswith("chain:") for key in undone)
    told = [words.get(key, key) for key in undone if ":" not in key]
    if people:
        told.append(ngettext("%(count)d person", "%(count)d people", people))
    if accounts:
        told.append(ngettext("%(count)d account", "%(count)d accounts", accounts))
    if rooms:
        told.append(ngettext("%(count)d earlier room", "%(count)d earlier rooms", rooms))
    return told


def worst(rooms: list[RoomStatus]) -> RoomStatus | None:
    """The room whose state stands for the course."""
    return min(rooms, key=lambda room: ORDER.index(room.status), default=None)


@dataclass(frozen=True)
class _Chosen:
    """What a course uses now: the provider, its settings, and the server's own name."""

    provider: Provider
    options: Mapping[str, Any]
    values: Mapping[str, Any]
    server_name: str


def rooms_of(state: State, course_id: str, *, viewer: Person | None = None) -> list[RoomStatus]:
    """The wanted rooms of a course, the whole course's first, then by name; none while the
    subsystem or the provider is off. Addresses and membership are ``viewer``'s.

    A course that chose a provider and whose rooms were not folded yet has one pending room.
    """
    if not state.subsystem_on():
        return []
    with state.database.read() as connection:
        provider_id, options = _choice(connection, course_id)
        rows = _rows(connection, course_id, provider_id, viewer.id if viewer else "")
    chosen = _in_use(state, provider_id, options)
    if chosen is None:
        return []
    if not chosen.provider.has_rooms:
        return [_link(chosen)]
    found = [_status(chosen, row) for row in rows] or [_not_folded(chosen)]
    return sorted(found, key=lambda room: (bool(room.group_id), room.name.casefold(), room.id))


def _choice(connection: Connection, course_id: str) -> tuple[str, Mapping[str, Any]]:
    row = connection.execute(
        select(CourseChoice.provider, CourseOption.values)
        .join(
            CourseOption,
            and_(
                CourseOption.course_id == CourseChoice.course_id,
                CourseOption.provider == CourseChoice.provider,
            ),
            isouter=True,
        )
        .where(CourseChoice.course_id == course_id)
    ).first()
    if row is not None:
        return row[0], row[1] or {}
    created = connection.execute(
        select(Change.provider)
        .where(Change.course_id == course_id, Change.kind == "created")
        .order_by(Change.id)
        .limit(1)
    ).scalar()
    return created or "", {}


def _rows(
    connection: Connection, course_id: str, provider_id: str, viewer_id: str
) -> list[Mapping[str, Any]]:
    inside = (
        select(MemberRow.room_id, func.count().label("inside"))
        .join(RoomRow, RoomRow.id == MemberRow.room_id)
        .where(RoomRow.course_id == course_id, MemberRow.state == "in")
        .group_by(MemberRow.room_id)
        .subquery()
    )
    query = (
        select(
            RoomRow,
            func.coalesce(inside.c.inside, 0).label("inside_count"),
            MemberRow.state.label("membership"),
            MemberRow.reason.label("membership_reason"),
            MemberRow.remote_user_id,
        )
        .join(inside, inside.c.room_id == RoomRow.id, isouter=True)
        .join(
            MemberRow,
            and_(MemberRow.room_id == RoomRow.id, MemberRow.person_id == viewer_id),
            isouter=True,
        )
        .where(RoomRow.course_id == course_id, RoomRow.provider == provider_id, RoomRow.wanted)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def _in_use(state: State, provider_id: str, options: Mapping[str, Any]) -> _Chosen | None:
    provider = state.registry.get(provider_id)
    if provider is None:
        return None
    current = state.provider_state(provider)
    if not current.active:
        return None
    server_name = current.session.server_name if current.session else None
    return _Chosen(provider, options, state.values(provider).values, server_name or "")


def _status(chosen: _Chosen, row: Mapping[str, Any]) -> RoomStatus:
    name = str(chosen.provider.name)
    membership = None if row["membership"] == "removed" else row["membership"]
    # Who was invited has to open the room to accept.
    mine = membership in ("in", "invited")
    links = RoomLinks(None)
    if row["remote_id"] and row["status"] in OPEN:
        links = chosen.provider.room_links(
            chosen.values, row["remote_id"], row["remote_user_id"], chosen.server_name
        )
    return RoomStatus(
        id=row["id"],
        group_id=row["group_id"],
        provider=chosen.provider.id,
        provider_name=name,
        name=row["name"] or "",
        status=row["status"],
        message=sentence(row["status"], name, row["reason"]),
        reason=row["reason"] or None,
        remote_id=row["remote_id"],
        url=web_link(links.web),
        members=row["inside_count"],
        expected=row["expected"],
        app_url=app_link(links.app),
        membership=membership,
        membership_reason=row["membership_reason"],
        mine=mine,
        synced_at=row["synced_at"],
        undone=tuple(row["undone"] or ()),
        guests=tuple(row["guests"] or ()),
        access=tuple(access_notes(row["access"] or {})),
    )


def _not_folded(chosen: _Chosen) -> RoomStatus:
    return _without_row(chosen, "pending", sentence("pending", str(chosen.provider.name)))


def _link(chosen: _Chosen) -> RoomStatus:
    url = web_link(chosen.provider.course_url(chosen.options))
    if url is not None:
        return _without_row(chosen, "ready", _("The link to the chat is ready."), url=url)
    message = _("The link to the chat is missing: nobody has entered it yet.")
    return _without_row(chosen, "failing", message)


def _without_row(
    chosen: _Chosen, status: str, message: str, *, url: str | None = None
) -> RoomStatus:
    name = str(chosen.provider.name)
    return RoomStatus(
        id=0,
        group_id="",
        provider=chosen.provider.id,
        provider_name=name,
        name="" if chosen.provider.has_rooms else name,
        status=status,
        message=message,
        reason=None,
        remote_id=None,
        url=url,
        members=0,
        expected=0,
        mine=url is not None,
    )
