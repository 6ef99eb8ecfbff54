"""Jobs, models and data sets of a service, and what can be done with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast

from tonok import records
from tonok.answers import STORED_MEASURES, Plot, Prediction
from tonok.connection import Connection
from tonok.display import NotebookView, View, build_curves, build_view, show_event
from tonok.errors import JobFailed, TonokError
from tonok.events import Event
from tonok.exports import ExportResult
from tonok.markup import build_bar, build_table, format_cell
from tonok.records import Record

RESULTS: dict[str, type[Record]] = {
    "train": records.TrainResult,
    "prune": records.PruneResult,
    "quantize": records.QuantizeResult,
    "compress": records.CompressResult,
    "study": records.StudyResult,
    "export": ExportResult,
    "import": records.ImportResult,
    "import_dataset": records.ImportDatasetResult,
    "predict": records.PredictResult,
}
"""Kind of job → what its result is read as."""

Result = TypeVar("Result", bound=Record)
Picture = str | Path | bytes | Sequence[Sequence[int]]
"""A file, its bytes, or gray pixels row by row, 0 being black."""

_ENDED = ("succeeded", "failed", "cancelled")


class _Stored(Record):
    """What the service keeps under an id."""

    id: str

    def __init__(self, connection: Connection, data: Any) -> None:
        super().__init__(data)
        self._connection = connection

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Stored) and self.id == other.id

    def __hash__(self) -> int:
        return hash(self.id)


class Network(_Stored):
    """A trained network: a model, or the job that makes one, whose end is awaited where the model is needed."""

    @property
    def model(self) -> Model:
        """The model itself."""
        raise NotImplementedError

    @property
    def job(self) -> Job[Any]:
        """The job that makes it."""
        raise NotImplementedError

    def prune(self, **options: Any) -> Job[records.PruneResult]:
        """Submits a job that removes weights or channels: `sparsity=0.8`, or `max_accuracy_drop=1.0`."""
        return self._submit("prune", model_id=self.model.id, **options)

    def quantize(self, **options: Any) -> Job[records.QuantizeResult]:
        """Submits a job that maps weights to integers: `bit_widths=[8, 4]`."""
        return self._submit("quantize", model_id=self.model.id, **options)

    def compress(self, **options: Any) -> Job[records.CompressResult]:
        """Submits a job that looks for the smallest file within `max_accuracy_drop`."""
        return self._submit("compress", model_id=self.model.id, **options)

    def export(self, target: str, **options: Any) -> Job[ExportResult]:
        """Submits a job that writes it for other programs: `"c"`, with `form="compressed"`, or `"onnx"`, with
        `weight_type="int8"`.
        """
        return self._submit("export", model_id=self.model.id, target=target, **options)

    def fine_tune(self, **options: Any) -> Job[records.TrainResult]:
        """Submits a training that begins with its weights."""
        return self._submit("train", initial_model_id=self.model.id, **options)

    def study(self, **options: Any) -> Job[records.StudyResult]:
        """Submits a study that begins with its weights: all of it on one network, with a report in a `language`."""
        return self._submit("study", initial_model_id=self.model.id, **options)

    def predict(self, picture: Picture, *, compare_to: Network | str | None = None, **options: Any) -> Prediction:
        """Asks what it says of a picture; `top_k` classes, light and dark swapped where `invert` is true."""
        query = options | {"compare_to": None if compare_to is None else get_model_id(compare_to)}
        path = f"/v1/models/{self.model.id}/predict"
        if isinstance(picture, str | Path | bytes):
            content = picture if isinstance(picture, bytes) else Path(picture).read_bytes()
            media_type = "image/jpeg" if content.startswith(b"\xff\xd8") else "image/png"
            said = self._connection.upload(path, content, media_type, **query)
        else:
            said = self._connection.post(path, {"pixels": [list(row) for row in picture]}, **query)
        if "predictions" in said:
            return Prediction(said)
        late: Job[Any] = Job(self._connection, said)  # not answered in time: the job goes on
        return Prediction({**late.result.data, "job_id": late.id, "warnings": late.warnings})

    def plot(self, name: str) -> Plot:
        """Fetches the plot of its job whose name holds `name`: `confusion`, `training`, `curve`, `front`."""
        plots = [artifact for artifact in self.job.artifacts if artifact.kind == "plot"]
        found = _choose(name, plots, [plot for plot in plots if name in plot.name])
        return Plot(found.name, self._connection.read(found.url))

    def save(self, path: str | Path) -> Path:
        """Downloads the file that has the name or the ending of `path`; returns the path."""
        path = Path(path)
        files = self._list_files()
        same = [file for file in files if file.name == path.name]
        found = _choose(path.name, files, same or [file for file in files if Path(file.name).suffix == path.suffix])
        return self._connection.download(found.url, path)

    def _list_files(self) -> tuple[records.Artifact, ...]:
        raise NotImplementedError

    def _submit(self, kind: str, **spec: Any) -> Job[Any]:
        return submit_job(self._connection, kind, spec)


class Model(Network):
    """A trained or compressed network, with what was measured of it; None where it was not."""

    name: str
    architecture: str
    dataset: str | None
    not_measured: str | None
    job_id: str
    parent_model_id: str | None
    files: dict[str, Any]
    evaluation: records.Evaluations | None
    accuracy_drop: records.AccuracyDrop | None
    accuracy_drop_interval: records.DropIntervals | None
    health: records.ModelHealth | None
    sparsity: float | None
    size: records.SizeLedger | None
    macs: int | None
    latency: records.Latency | None

    @property
    def model(self) -> Model:
        """Itself."""
        return self

    @property
    def job(self) -> Job[Any]:
        """The job that made it."""
        return Job(self._connection, self._connection.get(f"/v1/jobs/{self.job_id}"))

    @property
    def accuracy(self) -> float | None:
        """Fraction of the test pictures that it answers rightly."""
        test = self.evaluation and self.evaluation.test
        return test.accuracy if test else None

    @property
    def num_bytes(self) -> int | None:
        """What it takes to store: its file on disk, else what that would be."""
        sizes = {entry.measure: entry.bytes for entry in self.size.entries} if self.size else {}
        return next((sizes[measure] for measure in STORED_MEASURES if measure in sizes), None)

    @property
    def layers(self) -> tuple[Record, ...]:
        """Shapes, parameters, MACs and bit widths of its layers."""
        answer = self._connection.get(f"/v1/models/{self.id}/layers")
        return tuple(map(Record, answer["layers"]))

    def _list_files(self) -> tuple[records.Artifact, ...]:
        own = {file["artifact_id"] for file in self.files.values()}
        return tuple(artifact for artifact in self.job.artifacts if artifact.id in own)

    def _repr_html_(self) -> str:
        drop = self.accuracy_drop and self.accuracy_drop.test
        rows = [
            ["model", self.id],
            ["network", f"{self.architecture} on {format_cell(self.dataset)}"],
            ["accuracy on test", format_cell(self.accuracy, 100, "{:.2f} %")],
            ["drop", format_cell(drop, 1, "{:.2f} points")],
            ["zeros", format_cell(self.sparsity, 100, "{:.1f} %")],
            ["bytes", format_cell(self.num_bytes, 1, "{:,.0f}")],
            ["multiply-accumulates", format_cell(self.macs, 1, "{:,.0f}")],
            *(["problem", problem] for problem in (self.health.problems if self.health else ())),
        ]
        return build_table([self.name, ""], rows)


class Dataset(_Stored):
    """Pictures that somebody brought. A job takes it as its `dataset`."""

    name: str
    job_id: str
    summary: records.DatasetSummary

    def contact_sheet(self) -> Plot:
        """Fetches some pictures of each class."""
        path = f"/v1/datasets/{self.id}/contact-sheet"
        return Plot("contact-sheet.png", self._connection.read(path))

    def delete(self) -> None:
        """Deletes it, unless a model was made on it."""
        self._connection.delete(f"/v1/datasets/{self.id}")


class Job(Network, Generic[Result]):
    """A job. `result`, `model` and all that is made from it wait for its end; `live` shows the way there."""

    kind: str
    name: str | None
    labels: dict[str, str]
    phase: str | None
    progress: records.JobProgress
    parent_job_id: str | None
    output_model_id: str | None
    error: records.JobFailure | None
    warnings: tuple[str, ...]

    @property
    def status(self) -> str:
        """How it stands now: queued, running, cancelling, succeeded, failed or cancelled."""
        if self.data["status"] not in _ENDED:
            self.data = self._connection.get(f"/v1/jobs/{self.id}")
        return str(self.data["status"])

    def events(self) -> Iterator[Event]:
        """Yields its events from the first on, as they come, until it has ended."""
        for event in self._connection.follow(self.id):
            if event.name == "done":
                self.data = event.data
            yield event

    def live(self, view: View | None = None) -> Self:
        """Shows how it goes until it has ended; returns it. Raises JobFailed. Interrupted, the job itself goes on."""
        view = view or build_view(f"{self.kind} {self.id}")
        for event in self.events():
            show_event(view, event)
        if isinstance(view, NotebookView):
            view.end(self._repr_html_())
        else:
            view.note(str(self.data["status"]))
        return self.wait()

    def wait(self) -> Self:
        """Waits until it has succeeded; returns it. Raises JobFailed."""
        if self.data["status"] not in _ENDED:
            for _ in self.events():
                pass
        if self.data["status"] != "succeeded":
            raise JobFailed(self.data)
        return self

    @property
    def result(self) -> Result:
        """What it found out."""
        self.wait()
        return cast("Result", RESULTS.get(self.kind, Record)(self._complete()["result"]))

    @property
    def resolved_spec(self) -> dict[str, Any]:
        """What it was asked for, with every default filled in."""
        return dict(self._complete()["resolved_spec"])

    @property
    def model(self) -> Model:
        """The model that it made."""
        if self.wait().output_model_id is None:
            raise TonokError(f"a {self.kind} job makes no model")
        return Model(self._connection, self._connection.get(f"/v1/models/{self.output_model_id}"))

    @property
    def models(self) -> tuple[Model, ...]:
        """Every model that it made, such as one for each bit width; the oldest first."""
        self.wait()
        found = list_all(self._connection, "/v1/models", "models", job_id=self.id)
        return tuple(Model(self._connection, model) for model in found)[::-1]

    @property
    def dataset(self) -> Dataset:
        """The data set that its pictures became."""
        named = self.result.data.get("dataset_id")
        if named is None:
            raise TonokError(f"a {self.kind} job makes no data set")
        return Dataset(self._connection, self._connection.get(f"/v1/datasets/{named}"))

    @property
    def job(self) -> Job[Any]:
        """Itself."""
        return self

    @property
    def artifacts(self) -> tuple[records.Artifact, ...]:
        """Its files, once it has ended: plots, checkpoints, reports and its log."""
        if self.status not in _ENDED:
            self.wait()
        found = self._connection.get(f"/v1/jobs/{self.id}/artifacts")["artifacts"]
        return tuple(map(records.Artifact, found))

    @property
    def metrics(self) -> dict[str, list[tuple[float, float]]]:
        """Name of a series → its points (step, value) so far."""
        series = self._connection.get(f"/v1/jobs/{self.id}/metrics")["series"]
        return {
            name: [(point["step"], point["value"]) for point in points if point["value"] is not None]
            for name, points in series.items()
        }

    @property
    def steps(self) -> tuple[Job[Any], ...]:
        """The jobs that are steps of this one, the oldest first."""
        found = list_all(self._connection, "/v1/jobs", "jobs", parent_job_id=self.id)
        return tuple(Job(self._connection, job) for job in found)[::-1]

    def save_all(self, folder: str | Path) -> list[Path]:
        """Downloads all of its files into a folder; returns their paths."""
        Path(folder).mkdir(parents=True, exist_ok=True)
        return [
            self._connection.download(artifact.url, Path(folder) / Path(artifact.name).name)
            for artifact in self.artifacts
        ]

    def cancel(self) -> None:
        """Asks it to stop. Raises Problem (409) where it has ended already."""
        self.data = self._connection.post(f"/v1/jobs/{self.id}/cancel")

    def retry(self) -> Job[Result]:
        """Submits it again, once it has ended; returns the new job."""
        return Job(self._connection, self._connection.post(f"/v1/jobs/{self.id}/retry"))

    def delete(self) -> None:
        """Deletes it, with its models and files."""
        self._connection.delete(f"/v1/jobs/{self.id}")

    def _complete(self) -> Mapping[str, Any]:
        if "result" not in self.data:  # lists leave out specs and results
            self.data = self._connection.get(f"/v1/jobs/{self.id}")
        return self.data

    def _list_files(self) -> tuple[records.Artifact, ...]:
        return self.wait().artifacts

    def _repr_html_(self) -> str:
        status = self.status
        words = f"{self.kind} {self.id}: {status}"
        if self.error is not None:
            words += f": {self.error.title}: {self.error.detail}"
        html = build_bar(100 if status == "succeeded" else self.progress.percent, words) + "<br>"
        html += build_curves(self.metrics)
        return html + self.model._repr_html_() if status == "succeeded" and self.output_model_id else html


def submit_job(connection: Connection, kind: str, spec: dict[str, Any]) -> Job[Any]:
    """Queues a job; what a spec names may be a Job, a Model or a Dataset. Raises Problem, its fields named."""
    return Job(connection, connection.post(f"/v1/jobs/{kind}", resolve_spec(spec)))


def resolve_spec(spec: dict[str, Any]) -> dict[str, Any]:
    """Replaces what a spec names by ids. Waits for the end of a job that makes it."""
    return {name: _identify(name, value) for name, value in spec.items()}


def _identify(name: str, value: Any) -> Any:
    if name == "dataset" and isinstance(value, Job):
        return value.dataset.id
    return get_model_id(value) if isinstance(value, Network) else value.id if isinstance(value, Dataset) else value


def get_model_id(named: Network | str) -> str:
    """The id of a model, or of the one that a job makes."""
    return named if isinstance(named, str) else named.model.id


def list_all(connection: Connection, path: str, field: str, **filters: Any) -> Iterator[dict[str, Any]]:
    """Yields what a list holds, page after page, newest first."""
    token = None
    while True:
        page = connection.get(path, **{"page_size": 200, **filters, "page_token": token})
        yield from page[field]
        token = page["next_page_token"]
        if token is None:
            return


def _choose(wanted: str, files: Sequence[records.Artifact], found: Sequence[records.Artifact]) -> records.Artifact:
    """The one file that was found. Raises TonokError, which names what there is."""
    if len(found) == 1:
        return found[0]
    names = ", ".join(file.name for file in found or files)
    raise TonokError(f"{wanted}: {'several files are meant' if found else 'no such file'}; there are {names or 'none'}")
