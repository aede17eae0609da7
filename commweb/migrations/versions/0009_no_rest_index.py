"""No index of rooms at rest: nothing asks for them by when they were written last."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008_asks"
branch_labels = None
depends_on = None

INDEX = "ix_commweb_room_rest"


def upgrade() -> None:
    op.drop_index(INDEX, table_name="commweb_room")


def downgrade() -> None:
    op.create_index(
        INDEX,
        "commweb_room",
        ["provider", "updated_at"],
        unique=False,
        sqlite_where=sa.text("wanted = 1 AND synced_revision >= revision"),
        postgresql_where=sa.text("wanted AND synced_revision >= revision"),
    )
