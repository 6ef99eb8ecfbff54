from __future__ import annotations

import pytest

from storage.artifacts import build_artifact, get_artifact_of_job, list_artifacts
from storage.database import Database
from storage.errors import NotFound
from storage.models import get_lineage, get_model, list_models
from storage.tables import Model, WorkerNode, utc_now
from storage.workers import list_live_workers, record_heartbeat, remove_silent_workers, remove_worker
from tests.storage.conftest import Submit


def _add_model(database: Database, job_id: str, model_id: str, parent: str | None = None) -> None:
    with database.transaction() as session:
        session.add(
            Model(
                id=model_id, job_id=job_id, parent_model_id=parent, name="n", architecture="mlp", dataset="digits",
                created_at=utc_now(),
            )
        )  # fmt: skip


def test_lineage_runs_from_a_model_back_to_the_trained_one(database: Database, submit: Submit) -> None:
    job_id = submit().id
    for model_id, parent in (("mdl_a", None), ("mdl_b", "mdl_a"), ("mdl_c", "mdl_b"), ("mdl_other", None)):
        _add_model(database, job_id, model_id, parent)
    with database.read() as session:
        assert [model.id for model in get_lineage(session, "mdl_c")] == ["mdl_c", "mdl_b", "mdl_a"]
        assert [model.id for model in get_lineage(session, "mdl_a")] == ["mdl_a"]
        with pytest.raises(NotFound):
            get_model(session, "mdl_none")


def test_models_are_listed_newest_first_by_job_or_parent_too(database: Database, submit: Submit) -> None:
    first, second = submit().id, submit().id
    _add_model(database, first, "mdl_a")
    _add_model(database, second, "mdl_b", "mdl_a")
    _add_model(database, second, "mdl_c", "mdl_a")
    with database.read() as session:
        page = list_models(session, page_size=2)
        assert [model.id for model in page.items] == ["mdl_c", "mdl_b"]
        assert [model.id for model in list_models(session, page_token=page.next_page_token).items] == ["mdl_a"]
        assert [model.id for model in list_models(session, job_id=first).items] == ["mdl_a"]
        assert [model.id for model in list_models(session, parent_model_id="mdl_a").items] == ["mdl_c", "mdl_b"]


def test_an_artifact_is_found_by_its_own_job_only(database: Database, submit: Submit) -> None:
    first, second = submit().id, submit().id
    artifacts = [
        build_artifact(job_id=first, kind="plot", name=name, media_type="image/png", sha256="0" * 64, num_bytes=1)
        for name in ("a.png", "b.png")
    ]
    with database.transaction() as session:
        session.add_all(artifacts)
    with database.read() as session:
        assert [artifact.name for artifact in list_artifacts(session, first)] == ["a.png", "b.png"]
        for name in (artifacts[0].id, "a.png"):
            assert get_artifact_of_job(session, first, name).id == artifacts[0].id
            with pytest.raises(NotFound):
                get_artifact_of_job(session, second, name)


def test_a_worker_lives_as_long_as_its_heartbeat_is_young(database: Database) -> None:
    for jobs in ([], ["job_1"]):
        with database.transaction() as session:
            record_heartbeat(session, worker_id="wrk_1", pid=1, host="h", slots=2, info={"jobs": jobs})
    with database.transaction() as session:
        assert [worker.info for worker in list_live_workers(session, 60)] == [{"jobs": ["job_1"]}]
        remove_silent_workers(session, 60)
        assert len(list_live_workers(session, 60)) == 1
        remove_worker(session, "wrk_1")
        assert list_live_workers(session, 60) == []


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_a_heartbeat_from_before_the_clock_was_set_does_not_make_a_worker_live(
    database: Database, ahead_s: float
) -> None:
    with database.transaction() as session:
        record_heartbeat(session, worker_id="wrk_1", pid=1, host="h", slots=2, info={})
        session.get_one(WorkerNode, "wrk_1").heartbeat_at += ahead_s
    with database.transaction() as session:
        assert list_live_workers(session, 60) == []
        remove_silent_workers(session, 60)
        assert session.get(WorkerNode, "wrk_1") is None
