"""What people are told about a course's rooms: one map of states and sentences."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from commweb.host import Person
from commweb.i18n import gettext as _
from commweb.models import Change, CourseChoice, MemberRow, RoomRow
from commweb.state import State

__all__ = ["RoomStatus", "rooms_of", "sentence", "worst"]

ORDER = ("failing", "held", "pending", "ready", "read_only", "off")


@dataclass(frozen=True)
class RoomStatus:
    """One room as pages, API and CLI tell it. ``members`` of ``expected`` people are in."""

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
            "Your %(provider)s room waits for a confirmation: %(reason)s",
            provider=provider,
            reason=reason or "",
        ),
        "read_only": _(
            "Your %(provider)s room is read-only while the course is not open.", provider=provider
        ),
        "off": _("This course has no %(provider)s room.", provider=provider),
    }
    return sentences.get(status, sentences["pending"])


def worst(rooms: list[RoomStatus]) -> RoomStatus | None:
    """The room whose state stands for the course."""
    return min(rooms, key=lambda room: ORDER.index(room.status), default=None)


def rooms_of(state: State, course_id: str, *, person: Person | None = None) -> list[RoomStatus]:
    """The wanted rooms of a course of active providers; with ``person`` only those he is in.

    A course that chose a provider and whose rooms were not folded yet has one pending room.
    """
    if not state.subsystem_on():
        return []
    with state.database.read() as connection:
        inside = (
            select(MemberRow.room_id, func.count().label("inside"))
            .where(MemberRow.state == "in")
            .group_by(MemberRow.room_id)
            .subquery()
        )
        query = (
            select(RoomRow, func.coalesce(inside.c.inside, 0).label("inside_count"))
            .join(inside, inside.c.room_id == RoomRow.id, isouter=True)
            .where(RoomRow.course_id == course_id, RoomRow.wanted)
            .order_by(RoomRow.group_id)
        )
        if person is not None:
            mine = select(MemberRow.room_id).where(
                MemberRow.person_id == person.id, MemberRow.state == "in"
            )
            query = query.where(RoomRow.id.in_(mine))
        rows = connection.execute(query).mappings().all()
        chosen = _chosen(connection, course_id)
    found = [_status(state, dict(row)) for row in rows]
    known = [room for room in found if room is not None]
    if not known and person is None and chosen:
        return _not_folded(state, chosen)
    return known


def _chosen(connection: Connection, course_id: str) -> str | None:
    chosen = connection.execute(
        select(CourseChoice.provider).where(CourseChoice.course_id == course_id)
    ).scalar()
    if chosen is not None:
        return chosen
    return connection.execute(
        select(Change.provider)
        .where(Change.course_id == course_id, Change.kind == "created")
        .order_by(Change.id)
        .limit(1)
    ).scalar()


def _status(state: State, row: Mapping[str, object]) -> RoomStatus | None:
    provider = state.registry.get(str(row["provider"]))
    if provider is None or not state.provider_state(provider).active:
        return None
    remote_id = row["remote_id"]
    name = str(provider.name)
    status, reason = str(row["status"]), row["reason"]
    url = None
    if remote_id and status in ("ready", "read_only", "held"):
        url = provider.room_url(state.values(provider).values, str(remote_id))
    return RoomStatus(
        id=int(str(row["id"])),
        group_id=str(row["group_id"]),
        provider=provider.id,
        provider_name=name,
        name=str(row["name"] or ""),
        status=status,
        message=sentence(status, name, str(reason) if reason else None),
        reason=str(reason) if reason else None,
        remote_id=str(remote_id) if remote_id else None,
        url=url,
        members=int(str(row["inside_count"])),
        expected=int(str(row["expected"])),
    )


def _not_folded(state: State, chosen: str) -> list[RoomStatus]:
    provider = state.registry.get(chosen)
    if provider is None or not provider.has_rooms or not state.provider_state(provider).active:
        return []
    name = str(provider.name)
    return [
        RoomStatus(
            0, "", chosen, name, "", "pending", sentence("pending", name), None, None, None, 0, 0
        )
    ]
