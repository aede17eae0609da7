"""What is believed of rooms and accounts: their server, what was meant, who was ever put in."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

EMPTY = "''"
NOTHING = "'[]'"
DUE: dict[str, Any] = {
    "sqlite_where": sa.text("synced_revision < revision"),
    "postgresql_where": sa.text("synced_revision < revision"),
}
OLD_ROOM = "uq_commweb_room_course_id_group_id_provider"
NEW_ROOM = "uq_commweb_room_course_id_group_id_provider_server_name"
REMOTE = "uq_commweb_room_provider_remote_id"
OLD_ACCOUNT = "uq_commweb_account_provider_remote_user_id"
NEW_ACCOUNT = "uq_commweb_account_provider_server_name_remote_user_id"
PERSON = "ix_commweb_account_person_id"


def _text(name: str, length: int = 255) -> sa.Column[str]:
    return sa.Column(name, sa.String(length), server_default=sa.text(EMPTY), nullable=False)


def _json(name: str) -> sa.Column[object]:
    return sa.Column(name, sa.JSON(), server_default=sa.text(NOTHING), nullable=False)


def upgrade() -> None:
    _new_tables()
    with op.batch_alter_table("commweb_connection") as batch:
        batch.add_column(sa.Column("trouble_code", sa.String(64), nullable=True))
        batch.add_column(sa.Column("trouble", sa.Text(), nullable=True))
        batch.add_column(sa.Column("trouble_since", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("answered_at", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("orphans_sought_at", sa.DateTime(), nullable=True))
    op.drop_column("commweb_setting", "sealed")
    op.drop_column("commweb_course", "deleted_at")
    op.add_column("commweb_member", sa.Column("removed_at", sa.DateTime(), nullable=True))
    _accounts()
    _rooms()
    op.execute(
        "INSERT INTO commweb_past_account (room_id, remote_user_id, person_id)"
        " SELECT room_id, remote_user_id, MIN(person_id) FROM commweb_member"
        " WHERE remote_user_id IS NOT NULL AND state NOT IN ('waiting', 'failing')"
        " GROUP BY room_id, remote_user_id"
    )
    op.execute(
        "INSERT INTO commweb_creation_attempt (creation_key, provider, server_name, course_id,"
        " group_id, slug, started_at)"
        " SELECT creation_key, provider, server_name, course_id, group_id,"
        " COALESCE(creation_slug, ''), COALESCE(creation_started_at, updated_at)"
        " FROM commweb_room WHERE creation_key IS NOT NULL"
    )


def _new_tables() -> None:
    op.create_table(
        "commweb_creation_attempt",
        sa.Column("creation_key", sa.String(64), nullable=False),
        sa.Column("provider", sa.String(64), nullable=False),
        _text("server_name"),
        sa.Column("course_id", sa.String(255), nullable=False),
        _text("group_id"),
        _text("slug", 64),
        sa.Column("started_at", sa.DateTime(), nullable=False),
        sa.Column("abandoned_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("creation_key", name=op.f("pk_commweb_creation_attempt")),
    )
    op.create_table(
        "commweb_unclaimed_room",
        sa.Column("provider", sa.String(64), nullable=False),
        sa.Column("remote_id", sa.String(255), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("course_id", sa.String(255), nullable=False),
        sa.Column("group_id", sa.String(255), nullable=False),
        sa.Column("creation_key", sa.String(64), nullable=True),
        sa.Column("member_count", sa.Integer(), nullable=False),
        sa.Column("found_at", sa.DateTime(), nullable=False),
        sa.Column("closing", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "remote_id", name=op.f("pk_commweb_unclaimed_room")),
    )
    op.create_table(
        "commweb_fold",
        sa.Column("course_id", sa.String(255), nullable=False),
        sa.Column("ticket", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("retry_at", sa.DateTime(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_commweb_fold")),
    )


def _accounts() -> None:
    with op.batch_alter_table("commweb_account") as batch:
        batch.add_column(_text("server_name"))
        batch.add_column(sa.Column("external_id", sa.String(255), nullable=True))
        batch.add_column(sa.Column("intended_at", sa.DateTime(), nullable=True))
        batch.add_column(sa.Column("retired_at", sa.DateTime(), nullable=True))
        batch.drop_constraint(OLD_ACCOUNT, type_="unique")
        batch.drop_constraint("pk_commweb_account", type_="primary")
        batch.create_primary_key("pk_commweb_account", ["provider", "server_name", "person_id"])
        batch.create_unique_constraint(NEW_ACCOUNT, ["provider", "server_name", "remote_user_id"])
    op.create_index(PERSON, "commweb_account", ["person_id"])
    op.execute(
        "UPDATE commweb_account SET server_name = COALESCE((SELECT commweb_connection.server_name"
        " FROM commweb_connection"
        " WHERE commweb_connection.provider = commweb_account.provider), '')"
    )


def _rooms() -> None:
    kept = _put_members_aside()
    op.drop_index("ix_commweb_room_due", table_name="commweb_room")
    # Two courses with one room: only one of them can keep it.
    op.execute(
        "UPDATE commweb_room SET remote_id = NULL, creation_key = NULL,"
        " synced_revision = revision - 1 WHERE id NOT IN (SELECT MIN(id)"
        " FROM commweb_room WHERE remote_id IS NOT NULL GROUP BY provider, remote_id)"
        " AND remote_id IS NOT NULL"
    )
    with op.batch_alter_table("commweb_room") as batch:
        batch.add_column(
            sa.Column("unsure", sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        batch.add_column(_text("server_name"))
        batch.add_column(
            sa.Column("priority", sa.Integer(), server_default=sa.text("0"), nullable=False)
        )
        batch.add_column(sa.Column("gone_at", sa.DateTime(), nullable=True))
        batch.add_column(_text("held_kind", 16))
        for name in ("held_people", "confirmed_people", "undone", "chain", "guests"):
            batch.add_column(_json(name))
        batch.add_column(sa.Column("open_level", sa.Integer(), nullable=True))
        batch.add_column(
            sa.Column("made_by_us", sa.Boolean(), server_default=sa.true(), nullable=False)
        )
        batch.add_column(_text("course_gone", 16))
        batch.add_column(sa.Column("synced_at", sa.DateTime(), nullable=True))
        batch.drop_constraint(OLD_ROOM, type_="unique")
        batch.create_unique_constraint(
            NEW_ROOM, ["course_id", "group_id", "provider", "server_name"]
        )
        batch.create_unique_constraint(REMOTE, ["provider", "remote_id"])
    op.create_index(
        "ix_commweb_room_due", "commweb_room", ["provider", "priority", "next_attempt_at"], **DUE
    )
    op.execute(
        "UPDATE commweb_room SET server_name = COALESCE((SELECT commweb_connection.server_name"
        " FROM commweb_connection"
        " WHERE commweb_connection.provider = commweb_room.provider), '')"
    )
    op.execute(
        "UPDATE commweb_room SET synced_at = updated_at"
        " WHERE synced_revision >= revision AND remote_id IS NOT NULL"
    )
    if kept:
        _put_members_back()
    op.create_table(
        "commweb_past_account",
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("remote_user_id", sa.String(255), nullable=False),
        sa.Column("person_id", sa.String(255), nullable=False),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["commweb_room.id"],
            name=op.f("fk_commweb_past_account_room_id_commweb_room"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("room_id", "remote_user_id", name=op.f("pk_commweb_past_account")),
    )


def _put_members_aside() -> bool:
    """SQLite makes the table of the rooms anew, and dropping the old one would take the members
    along."""
    if op.get_bind().dialect.name != "sqlite":
        return False
    op.execute("CREATE TABLE commweb_member_aside AS SELECT * FROM commweb_member")
    op.execute("DELETE FROM commweb_member")
    return True


def _put_members_back() -> None:
    op.execute("INSERT INTO commweb_member SELECT * FROM commweb_member_aside")
    op.execute("DROP TABLE commweb_member_aside")


def downgrade() -> None:
    op.drop_table("commweb_past_account")
    kept = _put_members_aside()
    op.drop_index("ix_commweb_room_due", table_name="commweb_room")
    with op.batch_alter_table("commweb_room") as batch:
        batch.drop_constraint(REMOTE, type_="unique")
        batch.drop_constraint(NEW_ROOM, type_="unique")
        batch.create_unique_constraint(OLD_ROOM, ["course_id", "group_id", "provider"])
        for name in (
            "unsure", "server_name", "priority", "gone_at", "held_kind", "held_people",
            "confirmed_people", "undone", "chain", "guests", "open_level", "made_by_us",
            "course_gone", "synced_at",
        ):  # fmt: skip
            batch.drop_column(name)
    op.create_index("ix_commweb_room_due", "commweb_room", ["provider", "next_attempt_at"], **DUE)
    if kept:
        _put_members_back()
    op.drop_index(PERSON, table_name="commweb_account")
    with op.batch_alter_table("commweb_account") as batch:
        batch.drop_constraint(NEW_ACCOUNT, type_="unique")
        batch.drop_constraint("pk_commweb_account", type_="primary")
        batch.create_primary_key("pk_commweb_account", ["provider", "person_id"])
        batch.create_unique_constraint(OLD_ACCOUNT, ["provider", "remote_user_id"])
        for name in ("server_name", "external_id", "intended_at", "retired_at"):
            batch.drop_column(name)
    op.drop_column("commweb_member", "removed_at")
    op.add_column("commweb_course", sa.Column("deleted_at", sa.DateTime(), nullable=True))
    op.add_column(
        "commweb_setting",
        sa.Column("sealed", sa.Boolean(), server_default=sa.false(), nullable=False),
    )
    with op.batch_alter_table("commweb_connection") as batch:
        for name in (
            "trouble_code", "trouble", "trouble_since", "answered_at", "orphans_sought_at"
        ):  # fmt: skip
            batch.drop_column(name)
    for name in ("commweb_fold", "commweb_unclaimed_room", "commweb_creation_attempt"):
        op.drop_table(name)
