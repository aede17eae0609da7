"""The tables ``commweb_*``. Own metadata, no keys into the host's tables.

Rooms and members are written by the worker with bulk statements; the classes are for reading
and for the few rows a page writes. All times are aware UTC datetimes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    false,
    text,
    true,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from commweb.columns import ToldText, UtcDateTime

__all__ = [
    "Account", "AccountConsent", "AccountProof", "Base", "Change", "Connection", "CourseChoice",
    "CourseOption", "CreationAttempt", "Event", "FoldRow", "MemberRow", "PastAccount", "RoomRow",
    "SettingRow", "UnclaimedRoom", "now",
]  # fmt: skip


def now() -> datetime:
    """The time as an aware UTC datetime."""
    return datetime.now(UTC)


class Base(DeclarativeBase):
    """The base of our tables; hosts keep their own."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[str]: JSON,
        list[Any]: JSON,
    }


class SettingRow(Base):
    """One admin setting. The row with the key ``''`` carries the version of its scope."""

    __tablename__ = "commweb_setting"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[int] = mapped_column(Integer, default=0)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    updated_by: Mapped[str] = mapped_column(String(255), default="")


class Connection(Base):
    """The one session with a provider's server: sealed tokens and who is refreshing them.

    ``trouble``: what concerns the acting account or the server and stops all rooms, as a sentence
    with the server's own words; ``trouble_code`` names it for programs. ``answered_at``: the
    server's last good answer. ``orphans_sought_at``: when rooms without a course were last looked
    for."""

    __tablename__ = "commweb_connection"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    access: Mapped[str | None] = mapped_column(Text)
    refresh: Mapped[str | None] = mapped_column(Text)
    previous: Mapped[str | None] = mapped_column(Text)
    expires_at: Mapped[datetime | None]
    lifetime_seconds: Mapped[int | None]
    device_id: Mapped[str | None] = mapped_column(String(255))
    generation: Mapped[int] = mapped_column(default=0)
    lease: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None]
    base_url: Mapped[str] = mapped_column(String(512), default="")
    user_id: Mapped[str | None] = mapped_column(String(255))
    server_name: Mapped[str | None] = mapped_column(String(255))
    instance: Mapped[str] = mapped_column(String(255), default="")
    state: Mapped[str] = mapped_column(String(32), default="ok")
    reason: Mapped[str | None] = mapped_column(ToldText)
    set_at: Mapped[datetime | None]
    set_by: Mapped[str | None] = mapped_column(String(255))
    rotated_at: Mapped[datetime | None]
    blocked_until: Mapped[datetime | None]
    trouble_code: Mapped[str | None] = mapped_column(String(64))
    trouble: Mapped[str | None] = mapped_column(ToldText)
    trouble_since: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    orphans_sought_at: Mapped[datetime | None]

    def __repr__(self) -> str:
        return f"<Connection {self.provider} {self.state} generation={self.generation}>"


class CourseChoice(Base):
    """What a course chose: which provider, which rooms. ``provider`` ``''`` means none.
    ``look_at``: when the course opens or closes next, which nobody reports."""

    __tablename__ = "commweb_course"

    course_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64), default="")
    room_mode: Mapped[str] = mapped_column(String(16), default="course")
    group_template: Mapped[str] = mapped_column(String(255), default="{room} - {group}")
    course_name: Mapped[str] = mapped_column(String(255), default="")
    look_at: Mapped[datetime | None] = mapped_column(index=True)
    version: Mapped[int] = mapped_column(default=0)


class CourseOption(Base):
    """What was entered for a course and a provider; kept when the course switches away."""

    __tablename__ = "commweb_course_option"

    course_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    values: Mapped[dict[str, Any]] = mapped_column(default=dict)


class Change(Base):
    """Something the host reported. Append only; the worker folds and deletes it."""

    __tablename__ = "commweb_change"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[str] = mapped_column(String(255), default="")
    person_id: Mapped[str] = mapped_column(String(255), default="")
    kind: Mapped[str] = mapped_column(String(16))
    provider: Mapped[str | None] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(default=now)


class RoomRow(Base):
    """A room of a course or (``group_id`` not empty) of a group: what we last applied to it,
    and who is working on it. ``revision > synced_revision`` means there is work.

    ``server_name``: the homeserver it was made on; empty until it is made. A room of a server that
    is not connected now is not wanted and has no work. ``priority``: see `commweb.priority`.
    ``unsure``: how many more syncs an act without an answer asks for (2: one at the server's first
    good answer, and one after that). ``gone_at``: when the server said that the room is not there.
    ``held_kind`` and ``held_people``: what a person has to confirm, and for whom;
    ``confirmed_people``: whom somebody confirmed. ``undone``: the keys of what could not be done
    ("person:7", "picture"). ``open_level``: the level for messages before the room was made read-
    only. ``chain``: the rooms it replaced, by upgrades. ``made_by_us``: the acting account created
    it, so it may be deleted and repaired. ``course_gone``: the host no longer has the course;
    "reported" (it said so) or "unreported". ``synced_at``: when the room last equalled the course.
    ``access``: who can come in and read, as the last sync found it (`commweb.room_access`).
    """

    __tablename__ = "commweb_room"
    __table_args__ = (
        UniqueConstraint("course_id", "group_id", "provider", "server_name"),
        UniqueConstraint("creation_key"),
        UniqueConstraint("provider", "remote_id"),
        Index(
            "ix_commweb_room_due",
            "provider",
            "priority",
            "next_attempt_at",
            sqlite_where=text("synced_revision < revision"),
            postgresql_where=text("synced_revision < revision"),
        ),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    course_id: Mapped[str] = mapped_column(String(255))
    group_id: Mapped[str] = mapped_column(String(255), default="", server_default="")
    provider: Mapped[str] = mapped_column(String(64))
    wanted: Mapped[bool] = mapped_column(default=True)
    name: Mapped[str | None] = mapped_column(Text)
    topic: Mapped[str | None] = mapped_column(Text)
    picture_digest: Mapped[str | None] = mapped_column(String(128))
    picture_uri: Mapped[str | None] = mapped_column(String(512))
    read_only: Mapped[bool | None]
    intended: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    remote_id: Mapped[str | None] = mapped_column(String(255))
    creation_key: Mapped[str | None] = mapped_column(String(64))
    creation_slug: Mapped[str | None] = mapped_column(String(64))
    creation_started_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(16), default="pending")
    reason: Mapped[str | None] = mapped_column(ToldText)
    revision: Mapped[int] = mapped_column(default=1)
    synced_revision: Mapped[int] = mapped_column(default=0)
    confirmed_revision: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime | None]
    lease: Mapped[str | None] = mapped_column(String(64))
    lease_until: Mapped[datetime | None]
    expected: Mapped[int] = mapped_column(default=0)
    unsure_until: Mapped[datetime | None]
    unsure: Mapped[int] = mapped_column(default=0, server_default="0")
    pending_delete: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    server_name: Mapped[str] = mapped_column(String(255), default="", server_default="")
    priority: Mapped[int] = mapped_column(default=0, server_default="0")
    gone_at: Mapped[datetime | None]
    held_kind: Mapped[str] = mapped_column(String(16), default="", server_default="")
    held_people: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    confirmed_people: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    undone: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    open_level: Mapped[int | None]
    chain: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    made_by_us: Mapped[bool] = mapped_column(default=True, server_default=true())
    course_gone: Mapped[str] = mapped_column(String(16), default="", server_default="")
    synced_at: Mapped[datetime | None]
    guests: Mapped[list[Any]] = mapped_column(default=list, server_default="[]")
    access: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")


class MemberRow(Base):
    """A person in a room, as commweb intends and last applied it."""

    __tablename__ = "commweb_member"
    __table_args__ = (Index("ix_commweb_member_person_id", "person_id"),)

    room_id: Mapped[int] = mapped_column(
        ForeignKey("commweb_room.id", ondelete="CASCADE"), primary_key=True
    )
    person_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    display_name: Mapped[str] = mapped_column(String(255), default="")
    remote_user_id: Mapped[str | None] = mapped_column(String(255))
    intended_level: Mapped[int | None]
    applied_level: Mapped[int | None]
    state: Mapped[str] = mapped_column(String(16), default="waiting")
    reason: Mapped[str | None] = mapped_column(ToldText)
    removed_at: Mapped[datetime | None]


class PastAccount(Base):
    """An account that commweb put, or meant to put, into a room: not wanted and inside, it is
    removed, whoever let it in again."""

    __tablename__ = "commweb_past_account"

    room_id: Mapped[int] = mapped_column(
        ForeignKey("commweb_room.id", ondelete="CASCADE"), primary_key=True
    )
    remote_user_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(255), default="")


class CreationAttempt(Base):
    """A key with which a room was asked for. Kept when the try is given up, so that a room the
    server made late can be told to be ours. ``abandoned_at`` None: the room's row has it."""

    __tablename__ = "commweb_creation_attempt"

    creation_key: Mapped[str] = mapped_column(String(64), primary_key=True)
    provider: Mapped[str] = mapped_column(String(64))
    server_name: Mapped[str] = mapped_column(String(255), default="", server_default="")
    course_id: Mapped[str] = mapped_column(String(255))
    group_id: Mapped[str] = mapped_column(String(255), default="", server_default="")
    slug: Mapped[str] = mapped_column(String(64), default="", server_default="")
    started_at: Mapped[datetime] = mapped_column(default=now)
    abandoned_at: Mapped[datetime | None]


class UnclaimedRoom(Base):
    """A room that our account made for this installation and that no course has."""

    __tablename__ = "commweb_unclaimed_room"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    remote_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    name: Mapped[str] = mapped_column(Text, default="")
    course_id: Mapped[str] = mapped_column(String(255), default="")
    group_id: Mapped[str] = mapped_column(String(255), default="")
    creation_key: Mapped[str | None] = mapped_column(String(64))
    member_count: Mapped[int] = mapped_column(default=0)
    found_at: Mapped[datetime] = mapped_column(default=now)
    closing: Mapped[bool] = mapped_column(default=False)


class FoldRow(Base):
    """Who folded a course last, and why it cannot be folded. ``ticket`` grows with each fold: one
    that read the host before a later one began does not count. ``failures``: how often in a row
    it failed; 0: it did not. ``retry_at``: when it is tried again. ``tried_id``: the newest report
    that a failed fold had seen. ``checked_at``: when the course was last folded, or reported for
    the drift check."""

    __tablename__ = "commweb_fold"

    course_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    ticket: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    retry_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(ToldText)
    tried_id: Mapped[int] = mapped_column(default=0, server_default="0")
    checked_at: Mapped[datetime | None] = mapped_column(index=True)


class Account(Base):
    """The remote account used for a person on one server, where it comes from, when it was last
    looked at.

    ``origin``: see `commweb.sync.choose_account`. ``made_user_id`` is the account that commweb
    created for the person; it stays that person's while another one is used. ``server_name``: the
    homeserver it is used on (the connection's, not the account's own). ``intended_at``: when it was
    written down before it was asked for; ``retired_at``: its person is gone. ``locked_at``: when
    commweb locked it on the server; ``lock_asked``: whether it has to be (un)locked is to be looked
    at; ``lock_until``: until when somebody is at that.
    """

    __tablename__ = "commweb_account"
    __table_args__ = (
        UniqueConstraint("provider", "server_name", "remote_user_id"),
        Index("ix_commweb_account_made_user_id", "made_user_id"),
        Index("ix_commweb_account_person_id", "person_id"),
    )

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    server_name: Mapped[str] = mapped_column(
        String(255), primary_key=True, default="", server_default=""
    )
    person_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    remote_user_id: Mapped[str] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(16), default="created")
    display_name: Mapped[str] = mapped_column(String(255), default="")
    checked_at: Mapped[datetime | None]
    made_user_id: Mapped[str | None] = mapped_column(String(255))
    external_id: Mapped[str | None] = mapped_column(String(255))
    intended_at: Mapped[datetime | None]
    retired_at: Mapped[datetime | None]
    locked_at: Mapped[datetime | None]
    lock_asked: Mapped[bool] = mapped_column(default=False, server_default=false())
    lock_until: Mapped[datetime | None]


class AccountProof(Base):
    """A code on its way to an account that a person says is his own. The code is not stored,
    ``code_hash`` tells whether one that is typed is the same."""

    __tablename__ = "commweb_account_proof"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    remote_user_id: Mapped[str] = mapped_column(String(255))
    code_hash: Mapped[str] = mapped_column(String(64))
    sent_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    tries_left: Mapped[int]
    conversation: Mapped[str | None] = mapped_column(String(255))


class AccountConsent(Base):
    """A person agreed that an account is made for him."""

    __tablename__ = "commweb_account_consent"

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    agreed_at: Mapped[datetime] = mapped_column(default=now)


class Event(Base):
    """The audit trail. ``detail`` never holds a secret."""

    __tablename__ = "commweb_event"
    __table_args__ = {"sqlite_autoincrement": True}

    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime] = mapped_column(default=now)
    actor: Mapped[str] = mapped_column(String(255), default="")
    action: Mapped[str] = mapped_column(String(64))
    subject: Mapped[str] = mapped_column(String(255), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
