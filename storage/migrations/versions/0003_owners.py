"""Jobs, models and idempotency keys belong to somebody; API keys say who comes; a job knows its HTTP request."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "apikey",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.Column("revoked_at", _MOMENT, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_apikey_sha256"), "apikey", ["sha256"], unique=True)
    for table in ("job", "model"):
        # What was there before belongs to the owner of a service without keys.
        op.add_column(table, sa.Column("owner", sa.String(), nullable=False, server_default="local"))
        op.create_index(f"ix_{table}_owner_created", table, ["owner", "created_at", "id"], unique=False)
    op.add_column("job", sa.Column("request_id", sa.String(), nullable=True))
    _rebuild_keys(
        sa.Column("owner", sa.String(), nullable=False),
        primary_key=("owner", "key"),
        rows="SELECT 'local', key, request_hash, job_id, created_at FROM idempotencykey",
    )


def downgrade() -> None:
    # Where two owners chose the same key, the older one stays.
    _rebuild_keys(
        primary_key=("key",),
        rows="SELECT key, request_hash, job_id, created_at FROM idempotencykey AS kept WHERE NOT EXISTS ("
        "SELECT 1 FROM idempotencykey AS rival WHERE rival.key = kept.key"
        " AND (rival.created_at, rival.owner) < (kept.created_at, kept.owner))",
    )
    op.drop_column("job", "request_id")
    for table in ("model", "job"):
        op.drop_index(f"ix_{table}_owner_created", table_name=table)
        op.drop_column(table, "owner")
    op.drop_index(op.f("ix_apikey_sha256"), table_name="apikey")
    op.drop_table("apikey")


def _rebuild_keys(*first: sa.Column[str], primary_key: tuple[str, ...], rows: str) -> None:
    """SQLite cannot change a primary key: the table is built anew and filled. No other table refers to it."""
    op.drop_index(op.f("ix_idempotencykey_created_at"), table_name="idempotencykey")
    op.create_table(
        "idempotencykey_new",
        *first,
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("request_hash", sa.String(), nullable=False),
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.PrimaryKeyConstraint(*primary_key, name="pk_idempotencykey_" + "_".join(primary_key)),
    )
    op.execute(f"INSERT INTO idempotencykey_new {rows}")
    op.drop_table("idempotencykey")
    op.rename_table("idempotencykey_new", "idempotencykey")
    op.create_index(op.f("ix_idempotencykey_created_at"), "idempotencykey", ["created_at"], unique=False)
