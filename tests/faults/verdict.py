"""What must hold after a storm, asked of the database, the files and the answers."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from storage.backup import restore_backup
from storage.database import Database, load_sqlite
from storage.files import FileStore
from storage.integrity import sweep_orphans
from storage.settings import Settings
from tests.faults.quick_jobs import build_content, build_step_seed
from worker.engine.cleanup import sweep_folders

_TERMINAL = ("succeeded", "failed", "cancelled")


@dataclass
class Submission:
    """A job that was answered 202, and what the client knows of it."""

    job_id: str
    seed: int
    deleted: bool = False
    answered_status: str | None = None


@dataclass
class Verdict:
    """Counts for the reader, faults for the test: it has passed when there are none."""

    killed: Mapping[str, int]
    statuses: Mapping[str, int]
    num_deleted: int
    num_attempts: int
    num_files: int
    num_orphans: int
    num_steps: int = 0
    num_restored: int = 0
    faults: list[str] = field(default_factory=list)

    def describe(self) -> str:
        """A few lines of text."""
        num_jobs = sum(self.statuses.values()) + self.num_deleted
        ended = ", ".join(f"{count} {status}" for status, count in sorted(self.statuses.items()))
        return "\n".join(
            [
                f"{num_jobs} jobs through {sum(self.killed.values())} kills: {ended}, {self.num_deleted} deleted",
                f"{self.num_steps} more jobs as steps of theirs; {self.num_attempts} attempts in all",
                f"{self.num_files} files, each with the bytes that its job wrote",
                f"{self.num_orphans} file(s) without a row, all swept; a backup of {self.num_restored} jobs, restored",
                *(f"FAULT: {fault}" for fault in self.faults or []),
                "no fault" if not self.faults else f"{len(self.faults)} faults",
            ]
        )


def judge_storm(
    settings: Settings,
    submissions: Sequence[Submission],
    killed: Mapping[str, int],
    deaths: Sequence[str],
    backup: Path | None,
) -> Verdict:
    """Reads everything with the service stopped."""
    database, files = Database(settings), FileStore(settings)
    # What a worker does each minute and hour; a stopped one has perhaps not come to it.
    sweep_folders(settings, database)
    orphans = sweep_orphans(database, files, grace_s=0)
    database.dispose()
    kept = {submission.job_id: submission for submission in submissions if not submission.deleted}
    seeds = {submission.job_id: submission.seed for submission in submissions}
    faults = [f"a process died unasked: {death}" for death in deaths]
    with open_database(settings.data_dir) as connection:
        faults += check_rows(connection, kept)
        faults += check_files(connection, settings.data_dir, seeds | find_step_seeds(connection, seeds))
        query = "SELECT status FROM job WHERE parent_job_id IS NULL"
        statuses = Counter(row["status"] for row in connection.execute(query))
        [num_steps] = connection.execute("SELECT count(*) FROM job WHERE parent_job_id IS NOT NULL").fetchone()
        num_attempts = sum(row["attempt"] for row in connection.execute("SELECT attempt FROM job"))
    for folder in ("staging", "scratch"):
        left = [path.name for path in (settings.data_dir / folder).glob("*")]
        if left:
            faults.append(f"{folder} holds {left}")
    verdict = Verdict(
        killed=killed,
        statuses=statuses,
        num_deleted=len(submissions) - len(kept),
        num_attempts=num_attempts,
        num_steps=num_steps,
        num_files=len(list(files.list_stored())),
        num_orphans=len(orphans),
        faults=faults,
    )
    if backup is None:
        verdict.faults.append("the backup failed")
    else:
        _check_backup(settings, backup, verdict, seeds)
    return verdict


@contextmanager
def open_database(data_dir: Path) -> Iterator[Any]:
    """A plain connection, of the same SQLite as the service's: two of them in one process undo each other's locks."""
    sqlite = load_sqlite()
    with closing(sqlite.connect(data_dir / "tonok.db")) as connection:
        connection.row_factory = sqlite.Row
        yield connection


def check_rows(connection: Any, kept: Mapping[str, Submission]) -> list[str]:
    """No job lost, none that nobody submitted, each ended once, with no more attempts than it was allowed."""
    faults = _check_database(connection)
    jobs = {row["id"]: row for row in connection.execute("SELECT * FROM job WHERE parent_job_id IS NULL")}
    if jobs.keys() != kept.keys():
        faults.append(f"lost: {sorted(kept.keys() - jobs.keys())}; never answered: {sorted(jobs.keys() - kept.keys())}")
    for job_id, submission in kept.items():
        if job_id in jobs and jobs[job_id]["status"] != submission.answered_status:
            faults.append(f"{job_id} was {submission.answered_status} and is {jobs[job_id]['status']}")
    for row in connection.execute("SELECT * FROM job"):
        faults += [f"{row['id']} {fault}" for fault in _check_job(connection, row)]
    return faults


def _check_job(connection: Any, job: Any) -> list[str]:
    faults = []
    query = "SELECT seq, attempt, type FROM jobevent WHERE job_id = ? ORDER BY seq"
    events = [dict(event) for event in connection.execute(query, (job["id"],))]
    ends = [event["type"] for event in events if event["type"] in _TERMINAL]
    if job["status"] not in _TERMINAL or ends != [job["status"]]:
        faults.append(f"is {job['status']} after the ends {ends}")
    if job["failed_attempts"] > job["max_attempts"]:
        faults.append(f"failed {job['failed_attempts']} times of {job['max_attempts']}")
    # Only its own process, killed as often as it may fail, makes a job fail: a killed worker or API never does.
    error = json.loads(job["error"] or "null") or {}
    is_its_own = job["kind"] != "compress"  # whose error may be a step's
    if is_its_own and error.get("code") == "worker_lost" and job["failed_attempts"] < job["max_attempts"]:
        faults.append(f"failed for its workers, {job['lost_workers']} of which were lost")
    if [event["seq"] for event in events] != list(range(1, len(events) + 1)):
        faults.append("has a gap in its log")
    if [event["attempt"] for event in events if event["type"] == "started"] != list(range(1, job["attempt"] + 1)):
        faults.append("was not started once for each attempt")
    if job["lease_holder"] is not None:
        faults.append("is held although it has ended")
    [num_models] = connection.execute("SELECT count(*) FROM model WHERE job_id = ?", (job["id"],)).fetchone()
    query = "SELECT name FROM artifact WHERE job_id = ? AND kind <> 'log' ORDER BY name"
    names = [row["name"] for row in connection.execute(query, (job["id"],))]
    # A job that has succeeded twice would have them twice; one that has not must show nothing of what it made.
    made = (0, ["curve.png"]) if job["kind"] == "compress" else (1, ["curve.png", "weights.bin"])
    expected = made if job["status"] == "succeeded" else (0, [])
    if (num_models, names) != expected:
        faults.append(f"is {job['status']} with {num_models} models and the files {names}")
    return faults


def find_step_seeds(connection: Any, seeds: Mapping[str, int]) -> dict[str, int]:
    """Id → seed of the steps, told by their parents' seeds and their names."""
    query = "SELECT id, parent_job_id, name FROM job WHERE parent_job_id IS NOT NULL"
    numbers = {"first": 1, "second": 2}
    return {
        row["id"]: build_step_seed(seeds[row["parent_job_id"]], numbers[row["name"]])
        for row in connection.execute(query)
    }


def check_files(connection: Any, data_dir: Path, seeds: Mapping[str, int]) -> list[str]:
    """Every row's file is there, its bytes are those that the job must have written, and no other file is."""
    faults = []
    rows = [dict(row) for row in connection.execute("SELECT job_id, kind, name, sha256, num_bytes FROM artifact")]
    for row in rows:
        path = data_dir / "files" / row["sha256"][:2] / row["sha256"][2:]
        content = path.read_bytes() if path.is_file() else b""
        if hashlib.sha256(content).hexdigest() != row["sha256"] or len(content) != row["num_bytes"]:
            faults.append(f"{row['name']} of {row['job_id']} is torn or gone")
        elif row["kind"] != "log" and content != build_content(seeds[row["job_id"]], row["name"]):
            faults.append(f"{row['name']} of {row['job_id']} does not hold what the job wrote")
    stored = {path.parent.name + path.name for path in (data_dir / "files").glob("??/*")}
    surplus = stored - {row["sha256"] for row in rows}
    if surplus:
        faults.append(f"{len(surplus)} files that no row names")
    return faults


def _check_database(connection: Any) -> list[str]:
    answers: list[Any] = [tuple(row) for row in connection.execute("PRAGMA integrity_check")]
    broken = connection.execute("PRAGMA foreign_key_check").fetchall()
    return [] if answers == [("ok",)] and not broken else [f"integrity_check: {answers}, foreign_key_check: {broken}"]


def _check_backup(settings: Settings, backup: Path, verdict: Verdict, seeds: Mapping[str, int]) -> None:
    target = settings.model_copy(update={"data_dir": settings.data_dir.with_name("restored")})
    verdict.num_restored = restore_backup(target, backup).num_jobs
    with open_database(target.data_dir) as connection:
        all_seeds = {**seeds, **find_step_seeds(connection, seeds)}
        faults = _check_database(connection) + check_files(connection, target.data_dir, all_seeds)
    verdict.faults += [f"backup: {fault}" for fault in faults]
