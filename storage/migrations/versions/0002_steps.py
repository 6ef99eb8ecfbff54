"""Jobs that are steps of other jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("job", sa.Column("step_hash", sa.String(), nullable=True))
    op.add_column("job", sa.Column("waits_for", sa.JSON(), nullable=True))
    op.create_index(op.f("ix_job_step_hash"), "job", ["step_hash"], unique=False)


def downgrade() -> None:
    # The code before knows no waiting: without a lease, such a parent would stay as it is for ever.
    op.execute("UPDATE job SET status = 'queued' WHERE waits_for IS NOT NULL AND status = 'running'")
    op.execute(
        "UPDATE job SET status = 'cancelled', finished_at = updated_at "
        "WHERE waits_for IS NOT NULL AND status = 'cancelling'"
    )
    op.drop_index(op.f("ix_job_step_hash"), table_name="job")
    op.drop_column("job", "waits_for")
    op.drop_column("job", "step_hash")
