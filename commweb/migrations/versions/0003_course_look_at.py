"""When a course opens or closes next."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("commweb_course", sa.Column("look_at", sa.DateTime(), nullable=True))
    op.create_index("ix_commweb_course_look_at", "commweb_course", ["look_at"], unique=False)


def downgrade() -> None:
    op.drop_index("ix_commweb_course_look_at", table_name="commweb_course")
    op.drop_column("commweb_course", "look_at")
