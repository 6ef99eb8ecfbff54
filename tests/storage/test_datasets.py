from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from storage.database import Database
from storage.datasets import get_dataset, list_datasets
from storage.errors import Conflict, NotFound
from storage.files import FileStore
from storage.jobs import delete_job
from storage.references import check_references
from storage.tables import Dataset, Job, JobStatus, Model, utc_now
from tests.storage.conftest import Submit


def add_dataset(database: Database, job_id: str, dataset_id: str, owner: str = "local") -> None:
    with database.transaction() as session:
        session.add(Dataset(id=dataset_id, owner=owner, job_id=job_id, name="n", created_at=utc_now()))


def end(database: Database, job_id: str) -> None:
    with database.transaction() as session:
        job = session.get(Job, job_id)
        assert job is not None
        job.status = JobStatus.SUCCEEDED


def test_data_sets_are_listed_newest_first_and_seen_by_their_owner_alone(database: Database, submit: Submit) -> None:
    job_id = submit().id
    for dataset_id, owner in (("dst_a", "local"), ("dst_b", "local"), ("dst_c", "somebody")):
        add_dataset(database, job_id, dataset_id, owner)
    with database.read("local") as session:
        page = list_datasets(session, page_size=1)
        assert [row.id for row in page.items] == ["dst_b"]
        assert [row.id for row in list_datasets(session, page_token=page.next_page_token).items] == ["dst_a"]
        assert get_dataset(session, "dst_a").id == "dst_a"
        for dataset_id in ("dst_c", "dst_none"):
            with pytest.raises(NotFound):
                get_dataset(session, dataset_id)


@pytest.mark.parametrize("spec", [{"dataset": "dst_a"}, {"steps": [{"dataset": "dst_a"}]}])
def test_a_spec_may_name_only_a_data_set_that_is_there(database: Database, submit: Submit, spec: Any) -> None:
    with database.read() as session, pytest.raises(NotFound) as caught:
        check_references(session, spec)
    assert caught.value.field == next(iter(spec))
    add_dataset(database, submit().id, "dst_a")
    with database.read() as session:
        check_references(session, spec)


def test_a_data_set_that_a_model_was_made_on_stays(database: Database, submit: Submit, files: FileStore) -> None:
    bringing, training = submit().id, submit().id
    add_dataset(database, bringing, "dst_a")
    with database.transaction() as session:
        session.add(
            Model(id="mdl_a", job_id=training, name="n", architecture="mlp", dataset="dst_a", created_at=utc_now())
        )
    for job_id in (bringing, training):
        end(database, job_id)
    with pytest.raises(Conflict, match=training):
        delete_job(database, files, bringing)
    delete_job(database, files, training)
    delete_job(database, files, bringing)
    with database.read() as session:
        assert list_datasets(session).items == []


def test_a_data_set_that_a_waiting_job_needs_stays(database: Database, submit: Submit, files: FileStore) -> None:
    bringing = submit().id
    add_dataset(database, bringing, "dst_a")
    end(database, bringing)
    needing: Mapping[str, Any] = {"kind": "train", "dataset": "dst_a"}
    waiting = submit(resolved_spec=needing).id
    with pytest.raises(Conflict, match=waiting):
        delete_job(database, files, bringing)
    end(database, waiting)
    delete_job(database, files, bringing)
