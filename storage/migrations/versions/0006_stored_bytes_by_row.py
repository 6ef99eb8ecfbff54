"""Stored bytes are counted for each row that names them.

Counted once for equal files, they did not grow when somebody brought what somebody else had: whoever watched the number
could ask for any file whether it was here.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_IS_SHARED = "EXISTS (SELECT 1 FROM artifact WHERE sha256 = {row}.sha256 AND id <> {row}.id)"


def _create_triggers(condition: str) -> None:
    for name, event, row, amount in (
        ("artifact_added", "INSERT", "NEW", "NEW.num_bytes"),
        ("artifact_removed", "DELETE", "OLD", "-OLD.num_bytes"),
    ):
        op.execute(f"DROP TRIGGER {name}")
        op.execute(
            f"CREATE TRIGGER {name} AFTER {event} ON artifact WHEN {condition.format(row=row)} BEGIN "
            f"INSERT INTO tally (name, owner, kind, status, value) VALUES ('stored_bytes', '', '', '', {amount}) "
            "ON CONFLICT (name, owner, kind, status) DO UPDATE SET value = tally.value + excluded.value; END"
        )


def _count(source: str) -> None:
    op.execute("DELETE FROM tally WHERE name = 'stored_bytes'")
    op.execute(
        "INSERT INTO tally (name, owner, kind, status, value) "
        f"SELECT 'stored_bytes', '', '', '', sum(num_bytes) FROM {source} HAVING count(*) > 0"
    )


def upgrade() -> None:
    _create_triggers("TRUE")
    _count("artifact")


def downgrade() -> None:
    _create_triggers(f"NOT {_IS_SHARED}")
    _count("(SELECT DISTINCT sha256, num_bytes FROM artifact) AS stored")
