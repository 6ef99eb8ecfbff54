"""Models that were measured on no data set."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table("model") as batch:
        batch.alter_column("dataset", existing_type=sa.String(), nullable=True)


def downgrade() -> None:
    # The code before demands a name; this one is no data set's, so that it refuses to start from such a model.
    op.execute("UPDATE model SET dataset = 'none' WHERE dataset IS NULL")
    with op.batch_alter_table("model") as batch:
        batch.alter_column("dataset", existing_type=sa.String(), nullable=False)
