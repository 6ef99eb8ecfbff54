"""Imports the file of the command line in a process of its own, and prints what came of it and the memory that it took.

`python -m tests.worker.dataset_files.measured_import FILE TARGET OPTIONS`, the options as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from storage.errors import InvalidDataset
from worker.dataset_files.importing import import_dataset
from worker.dataset_files.options import DatasetOptions
from worker.engine.memory import read_peak_bytes


def main() -> None:
    """One line of JSON."""
    file, target, options = sys.argv[1:]
    field, summary = None, None
    try:
        summary = import_dataset(Path(file), Path(target), DatasetOptions.model_validate_json(options))
    except InvalidDataset as error:
        field = error.field
    told = {
        "field": field,
        "summary": None if summary is None else summary.model_dump(mode="json"),
        "peak_bytes": read_peak_bytes(),
        "has_torch": "torch" in sys.modules,
    }
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
