"""Only a job's own crashes are held against it: they, and lost workers, are counted apart from its starts.

Until now `max_attempts` was raised by one for each start that was not to count. It is again what the job was sent with.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Of the starts so far: what runs now, or has ended the job, has not failed as an attempt.
_NOT_FAILED = (
    "CASE WHEN waits_for IS NULL AND status IN ('running', 'cancelling', 'succeeded', 'cancelled') THEN 1 ELSE 0 END"
)


def _asked() -> str:
    if op.get_context().dialect.name == "sqlite":
        return "coalesce(json_extract(resolved_spec, '$.max_attempts'), max_attempts)"
    return "coalesce(CAST(resolved_spec->>'max_attempts' AS INTEGER), max_attempts)"


def upgrade() -> None:
    op.add_column("job", sa.Column("failed_attempts", sa.Integer(), server_default="0", nullable=False))
    op.add_column("job", sa.Column("lost_workers", sa.Integer(), server_default="0", nullable=False))
    op.add_column("job", sa.Column("claimable_at", sa.Float(), nullable=True))
    counted = f"attempt - (max_attempts - {_asked()}) - {_NOT_FAILED}"
    op.execute(f"UPDATE job SET failed_attempts = CASE WHEN {counted} < 0 THEN 0 ELSE {counted} END")
    # What failed with attempts left has failed by its own error, at its last start.
    op.execute(
        "UPDATE job SET failed_attempts = failed_attempts - 1 "
        f"WHERE status = 'failed' AND failed_attempts BETWEEN 1 AND {_asked()} - 1"
    )
    # What waits or runs has an attempt left, or it would have failed.
    op.execute(
        f"UPDATE job SET failed_attempts = {_asked()} - 1 "
        f"WHERE failed_attempts >= {_asked()} AND status IN ('queued', 'running', 'cancelling')"
    )
    op.execute(f"UPDATE job SET max_attempts = {_asked()} WHERE max_attempts <> {_asked()}")


def downgrade() -> None:
    by_error = "CASE WHEN status = 'failed' AND failed_attempts < max_attempts THEN 1 ELSE 0 END"
    failed = f"failed_attempts + {_NOT_FAILED} + {by_error}"
    op.execute(f"UPDATE job SET max_attempts = max_attempts + attempt - ({failed}) WHERE attempt > {failed}")
    for column in ("claimable_at", "lost_workers", "failed_attempts"):
        op.drop_column("job", column)
