"""Counts and labels kept by triggers, and an index for each filter of a list.

The triggers write what a scrape would otherwise count anew in all rows. They stand here and not in the code that
changes jobs, so that no way to change one can forget them. A revision that rebuilds `job`, `jobevent` or `artifact`
drops them with the old table and must create them again; a test sees to it.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_Index = tuple[str, str, list[str]]

_MOMENT = sa.DateTime(timezone=True)
_KEY, _PATH = "'reason'", "'$.reason'"
_BOUNDS_S = (1, 5, 15, 60, 300, 900, 1800, 3600, 7200, 21600, 86400)

_NEW_INDEXES = (
    ("ix_job_owner_status", "job", ["owner", "status", "created_at", "id"]),
    ("ix_job_owner_kind", "job", ["owner", "kind", "created_at", "id"]),
    ("ix_job_owner_kind_status", "job", ["owner", "kind", "status", "created_at", "id"]),
    ("ix_job_model_created", "job", ["model_id", "created_at", "id"]),
    ("ix_job_parent_created", "job", ["parent_job_id", "created_at", "id"]),
    ("ix_model_parent_created", "model", ["parent_model_id", "created_at", "id"]),
)
# Of no use any more beside the new ones and those of revision 0003.
_OLD_INDEXES = (
    ("ix_job_created_at", "job", ["created_at"]),
    ("ix_job_kind_created", "job", ["kind", "created_at", "id"]),
    ("ix_job_model_id", "job", ["model_id"]),
    ("ix_job_parent_job_id", "job", ["parent_job_id"]),
    ("ix_model_created_at", "model", ["created_at"]),
    ("ix_model_parent_model_id", "model", ["parent_model_id"]),
)


def _bound(seconds: str) -> str:
    cases = " ".join(f"WHEN {seconds} <= {bound} THEN '{bound}.0'" for bound in _BOUNDS_S)
    return f"CASE {cases} ELSE '+Inf' END"


def _seconds(row: str) -> str:
    # Never below 0: a clock that is set back must not take from a sum that only grows.
    if op.get_context().dialect.name == "sqlite":
        return f"max(0.0, (julianday({row}.finished_at) - julianday({row}.started_at)) * 86400.0)"
    return f"greatest(0, CAST(EXTRACT(EPOCH FROM {row}.finished_at - {row}.started_at) AS DOUBLE PRECISION))"


def _add(name: str, owner: str, kind: str, status: str, amount: str) -> str:
    return (
        f"INSERT INTO tally (name, owner, kind, status, value) VALUES ('{name}', {owner}, {kind}, {status}, {amount}) "
        "ON CONFLICT (name, owner, kind, status) DO UPDATE SET value = tally.value + excluded.value;"
    )


def _copy_labels(row: str, source: str = "") -> str:
    each = "json_each" if op.get_context().dialect.name == "sqlite" else "json_each_text"
    return (
        "INSERT INTO joblabel (job_id, key, owner, value, created_at) "
        f"SELECT {row}.id, label.key, {row}.owner, label.value, {row}.created_at "
        f"FROM {source}{each}({row}.labels) AS label;"
    )


def _reason(row: str) -> str:
    reason = (
        "json_extract({row}.data, '$.reason')" if op.get_context().dialect.name == "sqlite" else "{row}.data->>'reason'"
    )
    return f"coalesce({reason.format(row=row)}, 'unknown')"


def _list_triggers() -> list[tuple[str, str, str, str, str]]:
    """Name, table, event, condition, statements."""
    duration = (
        "INSERT INTO durationtally (kind, status, upper_bound_s, num_jobs, total_s) "
        f"VALUES (NEW.kind, NEW.status, {_bound(_seconds('NEW'))}, 1, {_seconds('NEW')}) "
        "ON CONFLICT (kind, status, upper_bound_s) DO UPDATE SET num_jobs = durationtally.num_jobs + 1, "
        "total_s = durationtally.total_s + excluded.total_s;"
    )
    is_shared = "SELECT 1 FROM artifact WHERE sha256 = {row}.sha256 AND id <> {row}.id"
    return [
        ("job_added", "job", "INSERT", "TRUE", _add("jobs", "NEW.owner", "NEW.kind", "NEW.status", "1")),
        ("job_labelled", "job", "INSERT", "TRUE", _copy_labels("NEW")),
        ("job_removed", "job", "DELETE", "TRUE", _add("jobs", "OLD.owner", "OLD.kind", "OLD.status", "-1")),
        (
            "job_moved", "job", "UPDATE OF owner, kind, status",
            "(OLD.owner, OLD.kind, OLD.status) <> (NEW.owner, NEW.kind, NEW.status)",
            _add("jobs", "OLD.owner", "OLD.kind", "OLD.status", "-1")
            + _add("jobs", "NEW.owner", "NEW.kind", "NEW.status", "1"),
        ),
        (
            "job_started", "job", "UPDATE OF attempt", "NEW.attempt > OLD.attempt",
            _add("attempts", "''", "NEW.kind", "''", "NEW.attempt - OLD.attempt"),
        ),
        (
            "job_requeued", "jobevent", "INSERT", "NEW.type = 'requeued'",
            _add("requeues", "''", "(SELECT kind FROM job WHERE id = NEW.job_id)", _reason("NEW"), "1"),
        ),
        (
            "job_ended", "job", "UPDATE OF finished_at",
            "OLD.finished_at IS NULL AND NEW.finished_at IS NOT NULL AND NEW.started_at IS NOT NULL",
            duration,
        ),
        (
            "artifact_added", "artifact", "INSERT", f"NOT EXISTS ({is_shared.format(row='NEW')})",
            _add("stored_bytes", "''", "''", "''", "NEW.num_bytes"),
        ),
        (
            "artifact_removed", "artifact", "DELETE", f"NOT EXISTS ({is_shared.format(row='OLD')})",
            _add("stored_bytes", "''", "''", "''", "-OLD.num_bytes"),
        ),
    ]  # fmt: skip


def _create_triggers() -> None:
    for name, table, event, condition, statements in _list_triggers():
        if op.get_context().dialect.name == "sqlite":
            op.execute(f"CREATE TRIGGER {name} AFTER {event} ON {table} WHEN {condition} BEGIN {statements} END")
        else:
            # PostgreSQL runs what comes AFTER once the whole statement is done: of two rows of one file that go
            # together, neither would see the other. BEFORE sees the rows that were done already, as in SQLite.
            moment = "BEFORE" if table == "artifact" else "AFTER"
            body = f"BEGIN IF {condition} THEN {statements} END IF; RETURN coalesce(NEW, OLD); END"
            op.execute(f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ {body} $$")
            op.execute(f"CREATE TRIGGER {name} {moment} {event} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()")


def _drop_triggers() -> None:
    for name, table, *_ in _list_triggers():
        if op.get_context().dialect.name == "sqlite":
            op.execute(f"DROP TRIGGER {name}")
        else:
            op.execute(f"DROP TRIGGER {name} ON {table}")
            op.execute(f"DROP FUNCTION {name}()")


def _count_what_is_there() -> None:
    seconds = _seconds("job")
    ended = "finished_at IS NOT NULL AND started_at IS NOT NULL"
    for name, columns, source in (
        ("jobs", "owner, kind, status, count(*)", "job GROUP BY owner, kind, status"),
        ("attempts", "'', kind, '', sum(attempt)", "job WHERE attempt > 0 GROUP BY kind"),
        ("requeues", f"'', job.kind, {_reason('jobevent')}, count(*)",
         "job JOIN jobevent ON jobevent.job_id = job.id WHERE jobevent.type = 'requeued' GROUP BY 3, 4"),
        ("stored_bytes", "'', '', '', sum(num_bytes)",
         "(SELECT DISTINCT sha256, num_bytes FROM artifact) AS stored HAVING count(*) > 0"),
    ):  # fmt: skip
        op.execute(f"INSERT INTO tally (name, owner, kind, status, value) SELECT '{name}', {columns} FROM {source}")
    op.execute(
        "INSERT INTO durationtally (kind, status, upper_bound_s, num_jobs, total_s) "
        f"SELECT kind, status, {_bound(seconds)}, count(*), sum({seconds}) FROM job WHERE {ended} GROUP BY 1, 2, 3"
    )


def _exchange_indexes(old: Iterable[_Index], new: Iterable[_Index]) -> None:
    for name, table, _ in old:
        op.drop_index(name, table_name=table)
    for name, table, columns in new:
        op.create_index(name, table, columns, unique=False)


def upgrade() -> None:
    op.create_table(
        "joblabel",
        sa.Column("job_id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("value", sa.String(), nullable=False),
        sa.Column("created_at", _MOMENT, nullable=False),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("job_id", "key"),
    )
    op.execute(_copy_labels("job", "job, "))
    op.create_index("ix_joblabel_pair", "joblabel", ["owner", "key", "value", "created_at", "job_id"], unique=False)
    op.create_table(
        "tally",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("owner", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "owner", "kind", "status"),
    )
    op.create_table(
        "durationtally",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("status", sa.String(), nullable=False),
        sa.Column("upper_bound_s", sa.String(), nullable=False),
        sa.Column("num_jobs", sa.BigInteger(), nullable=False),
        sa.Column("total_s", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "status", "upper_bound_s"),
    )
    _count_what_is_there()
    _create_triggers()
    _exchange_indexes(_OLD_INDEXES, _NEW_INDEXES)


def downgrade() -> None:
    _exchange_indexes(_NEW_INDEXES, _OLD_INDEXES)
    _drop_triggers()
    op.drop_table("durationtally")
    op.drop_table("tally")
    op.drop_index("ix_joblabel_pair", table_name="joblabel")
    op.drop_table("joblabel")
