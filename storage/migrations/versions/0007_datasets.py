"""Data sets that owners bring."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from storage.tables import UtcDateTime

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset",
        sa.Column("id", sa.String(), primary_key=True),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), sa.ForeignKey("job.id", ondelete="CASCADE"), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("files", sa.JSON(), nullable=False),
        sa.Column("summary", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
    )
    op.create_index("ix_dataset_job_id", "dataset", ["job_id"])
    op.create_index("ix_dataset_owner_created", "dataset", ["owner", "created_at", "id"])
    # A data set is deleted only where no model names it.
    op.create_index("ix_model_dataset", "model", ["dataset"])


def downgrade() -> None:
    op.drop_index("ix_model_dataset", "model")
    op.drop_table("dataset")
