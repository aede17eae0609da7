"""The tables ``commweb_*``. Own metadata, no keys into the host's tables.

Rooms and members are written by the worker with bulk statements; the classes are for reading
and for the few rows a page writes. All times are aware UTC datetimes.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from commweb.columns import ToldText, UtcDateTime

__all__ = [
    "Account",
    "AccountConsent",
    "AccountProof",
    "Base",
    "Change",
    "Connection",
    "CourseChoice",
    "CourseOption",
    "Event",
    "MemberRow",
    "RoomRow",
    "SettingRow",
    "now",
]


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
    type_annotation_map = {datetime: UtcDateTime, dict[str, Any]: JSON}


class SettingRow(Base):
    """One admin setting. The row with the key ``''`` carries the version of its scope."""

    __tablename__ = "commweb_setting"

    scope: Mapped[str] = mapped_column(String(64), primary_key=True)
    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[str] = mapped_column(Text, default="")
    sealed: Mapped[bool] = mapped_column(Boolean, default=False)
    version: Mapped[int] = mapped_column(Integer, default=0)
    updated_at: Mapped[datetime] = mapped_column(default=now)
    updated_by: Mapped[str] = mapped_column(String(255), default="")


class Connection(Base):
    """The one session with a provider's server: sealed tokens and who is refreshing them."""

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
    deleted_at: Mapped[datetime | None]
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
    """

    __tablename__ = "commweb_room"
    __table_args__ = (
        UniqueConstraint("course_id", "group_id", "provider"),
        UniqueConstraint("creation_key"),
        Index(
            "ix_commweb_room_due",
            "provider",
            "next_attempt_at",
            sqlite_where=text("synced_revision < revision"),
            postgresql_where=text("synced_revision < revision"),
        ),
        Index(
            "ix_commweb_room_rest",
            "provider",
            "updated_at",
            sqlite_where=text("wanted = 1 AND synced_revision >= revision"),
            postgresql_where=text("wanted AND synced_revision >= revision"),
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
    pending_delete: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime] = mapped_column(default=now)


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


class Account(Base):
    """The remote account used for a person, where it comes from, when it was last looked at.

    ``origin``: linked (by the person), host (named by the host) or created (from the person's
    name, and made if there was none). ``made_user_id`` is the account that commweb made for the
    person; it stays that person's while another one is used.
    """

    __tablename__ = "commweb_account"
    __table_args__ = (
        UniqueConstraint("provider", "remote_user_id"),
        Index("ix_commweb_account_made_user_id", "made_user_id"),
    )

    provider: Mapped[str] = mapped_column(String(64), primary_key=True)
    person_id: Mapped[str] = mapped_column(String(255), primary_key=True)
    remote_user_id: Mapped[str] = mapped_column(String(255))
    origin: Mapped[str] = mapped_column(String(16), default="created")
    display_name: Mapped[str] = mapped_column(String(255), default="")
    checked_at: Mapped[datetime | None]
    made_user_id: Mapped[str | None] = mapped_column(String(255))


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
