"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "commweb_account",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("remote_user_id", sa.String(length=255), nullable=False),
        sa.Column("origin", sa.String(length=16), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("checked_at", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("provider", "person_id", name=op.f("pk_commweb_account")),
        sa.UniqueConstraint(
            "provider", "remote_user_id", name=op.f("uq_commweb_account_provider_remote_user_id")
        ),
    )
    op.create_table(
        "commweb_change",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=True),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commweb_change")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "commweb_connection",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("access", sa.Text(), nullable=True),
        sa.Column("refresh", sa.Text(), nullable=True),
        sa.Column("previous", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(), nullable=True),
        sa.Column("lifetime_seconds", sa.Integer(), nullable=True),
        sa.Column("device_id", sa.String(length=255), nullable=True),
        sa.Column("generation", sa.Integer(), nullable=False),
        sa.Column("lease", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("base_url", sa.String(length=512), nullable=False),
        sa.Column("user_id", sa.String(length=255), nullable=True),
        sa.Column("server_name", sa.String(length=255), nullable=True),
        sa.Column("instance", sa.String(length=255), nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("set_at", sa.DateTime(), nullable=True),
        sa.Column("set_by", sa.String(length=255), nullable=True),
        sa.Column("rotated_at", sa.DateTime(), nullable=True),
        sa.Column("blocked_until", sa.DateTime(), nullable=True),
        sa.PrimaryKeyConstraint("provider", name=op.f("pk_commweb_connection")),
    )
    op.create_table(
        "commweb_course",
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("room_mode", sa.String(length=16), nullable=False),
        sa.Column("group_template", sa.String(length=255), nullable=False),
        sa.Column("course_name", sa.String(length=255), nullable=False),
        sa.Column("deleted_at", sa.DateTime(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("course_id", name=op.f("pk_commweb_course")),
    )
    op.create_table(
        "commweb_course_option",
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("course_id", "provider", name=op.f("pk_commweb_course_option")),
    )
    op.create_table(
        "commweb_event",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("at", sa.DateTime(), nullable=False),
        sa.Column("actor", sa.String(length=255), nullable=False),
        sa.Column("action", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commweb_event")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "commweb_room",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("course_id", sa.String(length=255), nullable=False),
        sa.Column("group_id", sa.String(length=255), server_default="", nullable=False),
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("wanted", sa.Boolean(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("topic", sa.Text(), nullable=True),
        sa.Column("picture_digest", sa.String(length=128), nullable=True),
        sa.Column("picture_uri", sa.String(length=512), nullable=True),
        sa.Column("read_only", sa.Boolean(), nullable=True),
        sa.Column("intended", sa.JSON(), server_default="{}", nullable=False),
        sa.Column("remote_id", sa.String(length=255), nullable=True),
        sa.Column("creation_key", sa.String(length=64), nullable=True),
        sa.Column("creation_slug", sa.String(length=64), nullable=True),
        sa.Column("creation_started_at", sa.DateTime(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("revision", sa.Integer(), nullable=False),
        sa.Column("synced_revision", sa.Integer(), nullable=False),
        sa.Column("confirmed_revision", sa.Integer(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(), nullable=True),
        sa.Column("lease", sa.String(length=64), nullable=True),
        sa.Column("lease_until", sa.DateTime(), nullable=True),
        sa.Column("expected", sa.Integer(), nullable=False),
        sa.Column("pending_delete", sa.Text(), nullable=True),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_commweb_room")),
        sa.UniqueConstraint(
            "course_id",
            "group_id",
            "provider",
            name=op.f("uq_commweb_room_course_id_group_id_provider"),
        ),
        sa.UniqueConstraint("creation_key", name=op.f("uq_commweb_room_creation_key")),
    )
    op.create_index(
        "ix_commweb_room_due",
        "commweb_room",
        ["provider", "next_attempt_at"],
        unique=False,
        sqlite_where=sa.text("synced_revision < revision"),
        postgresql_where=sa.text("synced_revision < revision"),
    )
    op.create_table(
        "commweb_setting",
        sa.Column("scope", sa.String(length=64), nullable=False),
        sa.Column("key", sa.String(length=64), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.Column("sealed", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.DateTime(), nullable=False),
        sa.Column("updated_by", sa.String(length=255), nullable=False),
        sa.PrimaryKeyConstraint("scope", "key", name=op.f("pk_commweb_setting")),
    )
    op.create_table(
        "commweb_member",
        sa.Column("room_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("display_name", sa.String(length=255), nullable=False),
        sa.Column("remote_user_id", sa.String(length=255), nullable=True),
        sa.Column("intended_level", sa.Integer(), nullable=True),
        sa.Column("applied_level", sa.Integer(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.ForeignKeyConstraint(
            ["room_id"],
            ["commweb_room.id"],
            name=op.f("fk_commweb_member_room_id_commweb_room"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("room_id", "person_id", name=op.f("pk_commweb_member")),
    )
    op.create_index("ix_commweb_member_person_id", "commweb_member", ["person_id"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_commweb_member_person_id", table_name="commweb_member")
    op.drop_table("commweb_member")
    op.drop_table("commweb_setting")
    op.drop_index(
        "ix_commweb_room_due",
        table_name="commweb_room",
        sqlite_where=sa.text("synced_revision < revision"),
        postgresql_where=sa.text("synced_revision < revision"),
    )
    op.drop_table("commweb_room")
    op.drop_table("commweb_event")
    op.drop_table("commweb_course_option")
    op.drop_table("commweb_course")
    op.drop_table("commweb_connection")
    op.drop_table("commweb_change")
    op.drop_table("commweb_account")
