"""Jobs survive a storm of kills. `make storm` runs the large one: 200 jobs, 30 kills."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from storage.artifacts import build_artifact
from storage.database import Database
from storage.files import FileStore
from storage.settings import Settings
from tests.faults.points import POINTS, Point
from tests.faults.quick_jobs import build_content
from tests.faults.storm import Storm, run_storm
from tests.faults.verdict import Submission, check_files, check_rows, open_database
from tests.storage.conftest import Claim, Submit


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_every_job_that_was_answered_202_ends_once_through_a_storm_of_kills(tmp_path: Path) -> None:
    verdict = run_storm(Storm(num_jobs=40, num_kills=len(POINTS) + 6, seed=0), tmp_path)
    assert verdict.faults == [], verdict.describe() + (tmp_path / "service.log").read_text("utf-8")[-10_000:]
    # At least: where nothing is left to be taken over, one more worker dies so that a takeover can be killed too.
    assert sum(verdict.killed.values()) >= len(POINTS) + 6
    assert {point.name for point in POINTS} <= verdict.killed.keys()
    assert sum(verdict.statuses.values()) + verdict.num_deleted >= 40
    assert verdict.statuses["succeeded"] > 20
    assert verdict.num_restored > 0
    assert verdict.num_steps > 0


@pytest.mark.parametrize("point", POINTS, ids=lambda point: point.name)
def test_a_named_point_is_one_line_of_the_source(point: Point) -> None:
    assert Path(point.location[0]).is_file()


# A check that finds nothing wrong must be shown to find what is.


def test_the_verdict_sees_a_lost_job_and_one_that_nobody_submitted(settings: Settings, submit: Submit) -> None:
    job = submit()
    with open_database(settings.data_dir) as connection:
        faults = check_rows(connection, {"job_lost": Submission("job_lost", 0)})
    assert f"lost: ['job_lost']; never answered: ['{job.id}']" in faults
    assert f"{job.id} is queued after the ends []" in faults


def test_the_verdict_sees_torn_foreign_and_surplus_files(
    database: Database, files: FileStore, settings: Settings, submit: Submit, claim: Claim
) -> None:
    submit()
    lease = claim()
    contents = {"weights.bin": build_content(7, "weights.bin"), "curve.png": b"of another job", "torn.bin": b"torn"}
    for name, content in contents.items():
        stored = files.put_bytes(content)
        artifact = build_artifact(
            job_id=lease.job_id, kind="plot", name=name, media_type="m", sha256=stored.sha256,
            num_bytes=stored.num_bytes,
        )  # fmt: skip
        with database.transaction() as session:
            session.add(artifact)
    files.path(hashlib.sha256(b"torn").hexdigest()).write_bytes(b"tor")
    files.put_bytes(b"surplus")
    with open_database(settings.data_dir) as connection:
        faults = check_files(connection, settings.data_dir, {lease.job_id: 7})
    assert sorted(faults) == [
        "1 files that no row names",
        f"curve.png of {lease.job_id} does not hold what the job wrote",
        f"torn.bin of {lease.job_id} is torn or gone",
    ]
