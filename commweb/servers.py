"""Which server a provider is connected to, and what commweb has on another one.

Rooms and accounts bear the name of the server they are on. What is on a server that is not
connected now rests as it is, and is found again when that server is connected again. The name
comes from the server itself (whoami), never from its address. It is kept when tokens are cleared:
it says where the rooms are. Until it is known, rooms and accounts bear an empty name.

Every function is part of the caller's transaction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    union,
    update,
)
from sqlalchemy.orm import aliased

from commweb.errors import AnotherServer, Unreachable
from commweb.i18n import gettext as _
from commweb.i18n import joined, ngettext
from commweb.models import Account, Change, CourseChoice, RoomRow, now
from commweb.models import Connection as Row

__all__ = ["Elsewhere", "connected", "elsewhere", "here", "require_connected", "settle"]


@dataclass(frozen=True)
class Elsewhere:
    """What is on the server ``old`` while the provider is to be connected to ``new``.
    ``linked``: how many people use an account of their own there."""

    old: str
    new: str
    rooms: int
    accounts: int
    linked: int = 0

    def error(self) -> AnotherServer:
        """For whoever did not confirm."""
        return AnotherServer(self.old, self.new, self.rooms, self.accounts + self.linked)

    def sentence(self) -> str:
        """How much there is, and where."""
        rooms = ngettext("%(count)d room", "%(count)d rooms", self.rooms)
        accounts = ngettext("%(count)d account", "%(count)d accounts", self.accounts)
        return _("%(rooms)s and %(accounts)s are on %(old)s.",
                 rooms=rooms, accounts=accounts, old=self.old)  # fmt: skip

    def sentences(self) -> tuple[str, ...]:
        """What follows from connecting the new server."""
        said = [
            self.sentence(),
            _("They will be created anew on %(new)s.", new=self.new),
            _("The old rooms stay as they are."),
        ]
        if self.linked:
            linked = ngettext(
                "%(count)d person linked an account there and has to link one on %(new)s.",
                "%(count)d people linked an account there and have to link one on %(new)s.",
                self.linked,
                new=self.new,
            )
            said.append(linked)
        return tuple(said)


def connected(provider: ColumnElement[str] | Any) -> ColumnElement[str]:
    """The name of the server that ``provider`` (an id or a column) is connected to, for a
    statement; empty while it is not known."""
    name = select(Row.server_name).where(Row.provider == provider).scalar_subquery()
    return func.coalesce(name, "")


def here(model: type[RoomRow] | type[Account] = RoomRow) -> ColumnElement[bool]:
    """For a WHERE: rows of the server that is connected now."""
    return or_(model.server_name == "", model.server_name == connected(model.provider))


def require_connected(connection: Connection, provider: str, name: str) -> None:
    """Raise `Unreachable` when another server than ``name`` is connected by now: what was found
    out about the one is not stored for the other."""
    query = select(Row.server_name).where(Row.provider == provider)
    stored = connection.execute(query.with_for_update(read=True)).scalar()
    if stored and name and stored != name:
        raise Unreachable(_("The homeserver or its account was changed meanwhile."))


def elsewhere(connection: Connection, provider: str, old: str | None, new: str) -> Elsewhere | None:
    """What is on ``old`` when that is another server than ``new``; None: nothing that matters."""
    if not old or old == new:
        return None
    rooms = select(func.count()).where(
        RoomRow.provider == provider,
        RoomRow.server_name == old,
        RoomRow.wanted,
        RoomRow.remote_id.is_not(None),
    )
    accounts = (
        select(Account.origin, func.count())
        .where(
            Account.provider == provider,
            Account.server_name == old,
            Account.retired_at.is_(None),
        )
        .group_by(Account.origin)
    )
    counts: dict[str, int] = {row[0]: row[1] for row in connection.execute(accounts)}
    created = counts.pop("created", 0)
    found = Elsewhere(
        old,
        new,
        rooms=connection.execute(rooms).scalar_one(),
        accounts=created,
        linked=sum(counts.values()),
    )
    return found if found.rooms or found.accounts or found.linked else None


def settle(
    connection: Connection, provider: str, old: str | None, new: str, *, allowed: bool
) -> Elsewhere | None:
    """The provider is connected to ``new`` from now on, in place of ``old``.

    What bears no name yet is on ``new``. On another server everything is asked for anew, if that
    is ``allowed`` or nothing is lost; else nothing is done. Answers what is in the way.
    """
    if not old or old == new:
        _adopt(connection, provider, new)
        return None
    found = elsewhere(connection, provider, old, new)
    if found is not None and not allowed:
        return found
    _park(connection, provider, new)
    _wake(connection, provider, new)
    _report(connection, provider)
    return None


def _adopt(connection: Connection, provider: str, name: str) -> None:
    """What was made before the server's name was known is on that server."""
    same_room, same_account = aliased(RoomRow), aliased(Account)
    twin_room = exists().where(
        and_(
            same_room.course_id == RoomRow.course_id,
            same_room.group_id == RoomRow.group_id,
            same_room.provider == RoomRow.provider,
            same_room.server_name == name,
        )
    )
    twin_account = exists().where(
        and_(
            same_account.provider == Account.provider,
            same_account.server_name == name,
            or_(
                same_account.person_id == Account.person_id,
                same_account.remote_user_id == Account.remote_user_id,
            ),
        )
    )
    for model, twin in ((Account, twin_account), (RoomRow, twin_room)):
        of_nowhere = and_(model.provider == provider, model.server_name == "", ~twin)
        connection.execute(update(model).where(of_nowhere).values(server_name=name))


def _park(connection: Connection, provider: str, name: str) -> None:
    """Rooms of other servers are not wanted and have no work; whoever works on one loses it."""
    of_others = and_(
        RoomRow.provider == provider,
        RoomRow.server_name != name,
        or_(RoomRow.wanted, RoomRow.synced_revision < RoomRow.revision),
    )
    servers = connection.execute(select(RoomRow.server_name).where(of_others).distinct())
    for server in sorted(servers.scalars()):
        rooms = select(RoomRow.id).where(of_others, RoomRow.server_name == server)
        connection.execute(
            update(RoomRow)
            .where(RoomRow.id.in_(rooms.order_by(RoomRow.id).with_for_update()))
            .values(
                wanted=False,
                status="off",
                reason=_where(server, name),
                synced_revision=RoomRow.revision,
                next_attempt_at=None,
                lease=None,
                lease_until=None,
            )
        )


def _where(server: str, name: str) -> str:
    return joined(
        [
            _("This room is on %(server)s.", server=server or "?"),
            _("This site is connected to %(name)s now.", name=name),
        ]
    )


def _wake(connection: Connection, provider: str, name: str) -> None:
    """Rooms that rested while another server was connected may have missed anything."""
    rested = select(RoomRow.id).where(
        RoomRow.provider == provider,
        RoomRow.server_name == name,
        RoomRow.remote_id.is_not(None),
        RoomRow.synced_revision >= RoomRow.revision,
    )
    connection.execute(
        update(RoomRow)
        .where(RoomRow.id.in_(rested.order_by(RoomRow.id).with_for_update()))
        .values(revision=RoomRow.revision + 1, next_attempt_at=None, reason=None)
    )


def _report(connection: Connection, provider: str) -> None:
    """Report every course that has, or had, a room of the provider."""
    courses = union(
        select(CourseChoice.course_id).where(CourseChoice.provider == provider),
        select(RoomRow.course_id).where(RoomRow.provider == provider),
    ).subquery()
    reports = select(
        courses.c.course_id, literal(""), literal("course"), literal(now(), Change.at.type)
    ).order_by(courses.c.course_id)
    columns = ["course_id", "person_id", "kind", "at"]
    connection.execute(insert(Change).from_select(columns, reports))
