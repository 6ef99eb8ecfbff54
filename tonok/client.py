"""The door: a client of one service."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tonok import records
from tonok.answers import Comparison
from tonok.connection import Connection, Report
from tonok.records import Record
from tonok.resources import Dataset, Job, Model, Network, get_model_id, list_all, resolve_spec, submit_job

DEFAULT_URL = "http://127.0.0.1:8000"


class Client:
    """Everything that a service does. Its methods raise Problem where it refuses, Unreachable where nobody answers."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def base_url(self) -> str:
        """Where the service is."""
        return self.connection.base_url

    def train(
        self, dataset: str | Dataset | Job[Any] | None = None, architecture: str | None = None, **options: Any
    ) -> Job[records.TrainResult]:
        """Submits a training; what is left out is the service's default."""
        given = {"dataset": dataset, "architecture": architecture}
        return self.submit("train", **{name: value for name, value in given.items() if value is not None}, **options)

    def study(self, **options: Any) -> Job[records.StudyResult]:
        """Submits a study: all of it on one network, with a report in a `language`."""
        return self.submit("study", **options)

    def submit(self, kind: str, **spec: Any) -> Job[Any]:
        """Queues a job of any kind."""
        return submit_job(self.connection, kind, spec)

    def validate(self, kind: str, **spec: Any) -> dict[str, Any]:
        """Asks for the spec that a job would have, every default filled in; starts nothing."""
        answer = self.connection.post(f"/v1/jobs/{kind}", resolve_spec(spec), validate_only=True)
        resolved: dict[str, Any] = answer["resolved_spec"]
        return resolved

    def upload_model(self, path: str | Path, report: Report | None = None, **facts: Any) -> Job[records.ImportResult]:
        """Brings a model's file: `.tonok`, safetensors, ONNX. facts: `dataset` or `measure`, `architecture` …"""
        source, query = Path(path), resolve_spec(facts)
        return Job(
            self.connection,
            self.connection.upload("/v1/models", source, "application/octet-stream", report, **query),
        )

    def upload_dataset(
        self, path: str | Path, report: Report | None = None, **options: Any
    ) -> Job[records.ImportDatasetResult]:
        """Brings pictures: a zip, NPZ or Parquet. options: `size`, `mode`, `test_fraction`, `name` …"""
        answer = self.connection.upload("/v1/datasets", Path(path), "application/octet-stream", report, **options)
        return Job(self.connection, answer)

    def job(self, job_id: str = "latest") -> Job[Any]:
        """A job by its id."""
        return Job(self.connection, self.connection.get(f"/v1/jobs/{job_id}"))

    def model(self, model_id: str = "latest") -> Model:
        """A model by its id."""
        return Model(self.connection, self.connection.get(f"/v1/models/{model_id}"))

    def dataset(self, dataset_id: str = "latest") -> Dataset:
        """A data set that was brought, by its id."""
        return Dataset(self.connection, self.connection.get(f"/v1/datasets/{dataset_id}"))

    def jobs(self, **filters: Any) -> Iterator[Job[Any]]:
        """Yields jobs, the newest first: of a `status`, a `kind`, a `label` …"""
        return (Job(self.connection, job) for job in list_all(self.connection, "/v1/jobs", "jobs", **filters))

    def models(self, **filters: Any) -> Iterator[Model]:
        """Yields models, the newest first."""
        return (Model(self.connection, one) for one in list_all(self.connection, "/v1/models", "models", **filters))

    def datasets(self) -> Iterator[Dataset]:
        """Yields the data sets that were brought, the newest first."""
        return (Dataset(self.connection, one) for one in list_all(self.connection, "/v1/datasets", "own"))

    def compare(self, *models: Network | str) -> Comparison:
        """Holds two to eight models, or what jobs make, against the first of them."""
        return Comparison(self.connection.get("/v1/compare", models=[get_model_id(model) for model in models]))

    def methods(self) -> Record:
        """Everything that a spec can choose from."""
        return Record(self.connection.get("/v1/methods"))

    def system(self) -> Record:
        """The service itself: versions, workers, disk."""
        return Record(self.connection.get("/v1/system"))

    def _repr_html_(self) -> str:
        return self.system()._repr_html_()


def connect(url: str | None = None, key: str | None = None) -> Client:
    """Returns a client of the service at `url`, else at `TONOK_URL`, else on this machine.

    key: an API key, else `TONOK_KEY`. Asks once: raises Unreachable where nobody answers, Problem (401) without a key.
    """
    url = url or os.environ.get("TONOK_URL") or DEFAULT_URL
    key = key or os.environ.get("TONOK_KEY") or None
    Connection(url, key, tries=1).get("/v1/system")
    return Client(Connection(url, key))
