"""The report of a study: facts in, documents out."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from worker.report.facts import StudyFacts

__all__ = ["write_report"]


def write_report(facts: StudyFacts, language: str, paths: Mapping[str, Path]) -> None:
    """Writes the report as each format that `paths` names: `pdf`, `docx`, `html`, `json`.

    language: `en` or `fa`. The `json` holds every finding with its numbers, their source and its sentence. The same
    facts give the same files. Raises KeyError for another language or format, or without a `train` step.
    """
    # Here, so that a job's module may name the facts without paying for matplotlib, pandoc and Typst.
    from worker.report.compose import compose, describe
    from worker.report.writers.pdf import write_pdf
    from worker.report.writers.web import write_html
    from worker.report.writers.word import write_docx

    unknown = set(paths) - {"pdf", "docx", "html", "json"}
    if unknown:
        raise KeyError(f"no such format: {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory(prefix="tonok-report-") as name:
        folder = Path(name)
        made = compose(facts, language, folder)
        if "pdf" in paths:
            write_pdf(made.report, made.labels, made.wording, paths["pdf"], folder)
        if "docx" in paths:
            write_docx(made.report, made.labels, made.wording, paths["docx"], folder)
        if "html" in paths:
            write_html(made.report, made.labels, made.wording, paths["html"])
        if "json" in paths:
            data = json.dumps(describe(made), ensure_ascii=False, indent=1)
            paths["json"].write_text(data + "\n", encoding="utf-8")
