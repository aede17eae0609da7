"""An index that finds the rooms nobody has looked at for long."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_index(
        "ix_commweb_room_rest",
        "commweb_room",
        ["provider", "updated_at"],
        unique=False,
        sqlite_where=sa.text("wanted = 1 AND synced_revision >= revision"),
        postgresql_where=sa.text("wanted AND synced_revision >= revision"),
    )


def downgrade() -> None:
    op.drop_index(
        "ix_commweb_room_rest",
        table_name="commweb_room",
        sqlite_where=sa.text("wanted = 1 AND synced_revision >= revision"),
        postgresql_where=sa.text("wanted AND synced_revision >= revision"),
    )
