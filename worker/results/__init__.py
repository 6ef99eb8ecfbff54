"""What each kind of job found out, as a type: jobs make them, the API shows them, clients read them. No torch here.

To add a kind: a module with its result, and a line in `RESULTS`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from worker.model_summary import Recorded
from worker.results.compress import CompressResult
from worker.results.export import ExportResult
from worker.results.import_dataset import ImportDatasetResult
from worker.results.import_model import ImportResult
from worker.results.predict import PredictResult
from worker.results.prune import PruneResult
from worker.results.quantize import QuantizeResult
from worker.results.study import StudyResult
from worker.results.train import TrainResult

RESULTS: dict[str, type[Recorded]] = {
    "train": TrainResult,
    "prune": PruneResult,
    "quantize": QuantizeResult,
    "compress": CompressResult,
    "study": StudyResult,
    "export": ExportResult,
    "import": ImportResult,
    "import_dataset": ImportDatasetResult,
    "predict": PredictResult,
}
"""Kind → the type of its result."""


def read_result(kind: str, stored: Mapping[str, Any]) -> Recorded | None:
    """Reads the result that any version stored: of the type `RESULTS[kind]`.

    None for a kind that this version does not know, and for what is no result of its kind.
    """
    if kind not in RESULTS:
        return None
    try:
        return RESULTS[kind].read(stored)
    except ValidationError:
        return None
