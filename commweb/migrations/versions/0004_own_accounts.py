"""Accounts of people's own: which one commweb made, codes on their way, who agreed."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "commweb_account", sa.Column("made_user_id", sa.String(length=255), nullable=True)
    )
    op.create_index("ix_commweb_account_made_user_id", "commweb_account", ["made_user_id"])
    op.create_table(
        "commweb_account_proof",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("remote_user_id", sa.String(length=255), nullable=False),
        sa.Column("code_hash", sa.String(length=64), nullable=False),
        sa.Column("sent_at", sa.DateTime(), nullable=False),
        sa.Column("expires_at", sa.DateTime(), nullable=False),
        sa.Column("tries_left", sa.Integer(), nullable=False),
        sa.Column("conversation", sa.String(length=255), nullable=True),
        sa.PrimaryKeyConstraint("provider", "person_id", name=op.f("pk_commweb_account_proof")),
    )
    op.create_table(
        "commweb_account_consent",
        sa.Column("provider", sa.String(length=64), nullable=False),
        sa.Column("person_id", sa.String(length=255), nullable=False),
        sa.Column("agreed_at", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("provider", "person_id", name=op.f("pk_commweb_account_consent")),
    )


def downgrade() -> None:
    op.drop_table("commweb_account_consent")
    op.drop_table("commweb_account_proof")
    op.drop_index("ix_commweb_account_made_user_id", table_name="commweb_account")
    op.drop_column("commweb_account", "made_user_id")
