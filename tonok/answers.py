"""What is asked once and kept nowhere: plots, predictions, comparisons."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tonok import records
from tonok.markup import build_table, format_cell
from tonok.records import Record

STORED_MEASURES = ("file", "packed", "float32")
"""What a model costs to store, best known first: the bytes on disk, else what they would be."""


class Plot:
    """A PNG that a job drew: shown by a notebook, written to a file by `save`."""

    def __init__(self, name: str, content: bytes) -> None:
        self.name, self.content = name, content

    def save(self, path: str | Path) -> Path:
        """Writes it to a file; returns its path."""
        Path(path).write_bytes(self.content)
        return Path(path)

    def _repr_png_(self) -> bytes:
        return self.content


class Prediction(records.PredictResult):
    """What one or two models say of a picture."""

    job_id: str
    warnings: tuple[str, ...]

    @property
    def class_name(self) -> str:
        """The class that the model asked holds most probable."""
        return self.predictions[0].top[0].class_name

    def _repr_html_(self) -> str:
        rows = [
            [said.model_id, top.class_name, f"{100 * top.probability:.1f} %"]
            for said in self.predictions
            for top in said.top
        ]
        return build_table(["model", "class", "probability"], rows + [["", note, ""] for note in self.warnings])


class Comparison(Record):
    """Two to eight models side by side; the first is the reference."""

    models: tuple[records.ComparedModel, ...]
    layers: tuple[records.ComparedLayer, ...]
    verdict: tuple[str, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """A line for each model."""
        return [
            {
                "model_id": model.model_id,
                "name": model.name,
                "accuracy": model.accuracy["test"],
                "drop": model.accuracy_drop["test"],
                "sparsity": model.sparsity,
                "bytes": next((model.size_bytes[it] for it in STORED_MEASURES if it in model.size_bytes), None),
                "ratio": model.size_ratio,
                "macs": model.macs,
                "latency_ms": model.latency.median_ms if model.latency else None,
                "speedup": model.speedup,
            }
            for model in self.models
        ]

    def frame(self) -> Any:
        """The rows as a pandas DataFrame; as they are, where there is no pandas."""
        try:
            import pandas as pd
        except ModuleNotFoundError:
            return self.rows
        return pd.DataFrame(self.rows).set_index("model_id")

    def _repr_html_(self) -> str:
        rows = [[format_cell(cell, 1, "{:.6g}") for cell in row.values()] for row in self.rows]
        return build_table(list(self.rows[0]), rows) + build_table(["verdict"], [[line] for line in self.verdict])
