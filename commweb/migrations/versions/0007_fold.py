"""Which reports of a course a failed fold has seen, and when the course was last folded."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007_fold"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEX = "ix_commweb_fold_checked_at"


def upgrade() -> None:
    op.add_column(
        "commweb_fold",
        sa.Column("tried_id", sa.Integer(), server_default=sa.text("0"), nullable=False),
    )
    op.add_column("commweb_fold", sa.Column("checked_at", sa.DateTime(), nullable=True))
    op.create_index(INDEX, "commweb_fold", ["checked_at"])


def downgrade() -> None:
    op.drop_index(INDEX, table_name="commweb_fold")
    with op.batch_alter_table("commweb_fold") as batch:
        batch.drop_column("checked_at")
        batch.drop_column("tried_id")
