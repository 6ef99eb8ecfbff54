"""What every kind that makes a model does before and after its own work: opens a stored model; registers and plots."""

from __future__ import annotations

from worker.catalog import ArtifactKind
from worker.core.checkpoint import COMPRESSED_SUFFIX
from worker.core.measured_model import MeasuredModel, StoredBaseline, load_baseline
from worker.core.stored_model import StoredModel
from worker.progress import Progress
from worker.report.figures.canvas import make_titled
from worker.report.figures.compression import draw_layers, draw_ledger
from worker.report.figures.training import draw_confusion
from worker.workspace import ModelRecord, Workspace


def open_baseline(context: Workspace, model_id: str) -> StoredBaseline:
    """Loads a stored float model by `load_baseline`. How good it is was measured when it was stored."""
    path, summary = context.model_file(model_id), context.model_summary(model_id)
    context.report(Progress(phase="loading", percent=0))
    return load_baseline(model_id, path, summary, context.datasets)


def publish(context: Workspace, stored: StoredModel, title: str | None, initial_model_id: str | None = None) -> str:
    """Registers a model by `register` and plots it under the name of its file; returns its id."""
    model_id = register(context, stored, title, initial_model_id)
    if isinstance(stored, MeasuredModel):
        plot_model(context, stored, stored.path.stem)
    else:
        plot_layers(context, stored, stored.path.stem)
    return model_id


def register(context: Workspace, stored: StoredModel, title: str | None, initial_model_id: str | None = None) -> str:
    """Registers the model of a file, says what is wrong with it and plots the ledger of a compressed one.

    title: what people call the model; by default the name of its file. initial_model_id: whose weights a training began
    with that made a new first model of a lineage. Returns its id.
    """
    path, info = stored.path, stored.info
    for warning in stored.list_warnings(title or path.stem):
        context.warn(warning)
    is_compressed = path.suffix == COMPRESSED_SUFFIX
    if is_compressed:
        draw_ledger(
            make_titled(f"Size of {path.stem}, each way to count"),
            context.artifact_path(f"{path.stem}-size.png", ArtifactKind.PLOT),
            stored.sizes,
        )
    return context.save_model(
        ModelRecord(
            name=title or path.stem,
            architecture=info.architecture,
            dataset=info.dataset,
            parent_model_id=stored.baseline_model_id or initial_model_id,
            files={"compressed" if is_compressed else "checkpoint": path.name},
            summary=stored.summary.to_json(),
        )
    )


def plot_model(context: Workspace, measured: MeasuredModel, name: str) -> None:
    """The confusion matrix on test and the sparsity of each layer, as PNG artifacts."""
    test = measured.metrics.test
    draw_confusion(
        make_titled(f"{name} on test: {test.num_correct:,} of {test.num_examples:,} right"),
        context.artifact_path(f"{name}-confusion.png", ArtifactKind.PLOT),
        measured.metrics.matrix.tolist(),
        measured.info.class_names,
    )
    plot_layers(context, measured, name)


def plot_layers(context: Workspace, stored: StoredModel, name: str) -> None:
    """The sparsity of each layer."""
    sparsity = stored.sparsity
    draw_layers(
        make_titled(f"Zeros in each layer of {name}: {100 * sparsity.total:.2f} % of all weights"),
        context.artifact_path(f"{name}-sparsity.png", ArtifactKind.PLOT),
        [layer.name for layer in sparsity.layers],
        {name: [layer.sparsity for layer in sparsity.layers]},
    )
