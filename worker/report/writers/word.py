"""A report as DOCX. Its looks are those of `reference/<language>.docx`: page, styles, page numbers, the Persian font.

Who wants other looks opens that file in a word processor, changes its styles and stores it.
"""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import pypandoc

from worker.report.content import Column, Labels, Report, Table
from worker.report.language.wording import Wording
from worker.report.writers.pandoc import TreeWriter

REFERENCES = Path(__file__).with_name("reference")
WRITTEN = "2000-01-01T00:00:00Z"
"""The same for every file: equal facts give equal bytes."""
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_TABLE_STYLE = '<w:tblStyle w:val="Table" />'


def write_docx(report: Report, labels: Labels, wording: Wording, path: Path, folder: Path) -> None:
    """Writes the document. folder: where the figures lie, and the file that pandoc makes first."""
    draft = folder / "draft.docx"
    facts = Table("facts", "", [Column("", weight=1), Column("", weight=2.6)], [list(row) for row in report.facts])
    pypandoc.convert_text(
        TreeWriter(report, labels, wording, "docx").write(front_matter=facts),
        "docx",
        format="json",
        outputfile=str(draft),
        extra_args=[f"--reference-doc={REFERENCES / report.language}.docx", f"--resource-path={folder}"],
    )
    with zipfile.ZipFile(draft) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    parts["docProps/core.xml"] = _describe(parts["docProps/core.xml"].decode()).encode()
    if report.persian:
        parts["word/document.xml"] = _turn_tables(parts["word/document.xml"].decode()).encode()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        # The content types come first, as readers expect.
        for name in sorted(parts, key=lambda part: (part != "[Content_Types].xml", part)):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, parts[name])


def _describe(properties: str) -> str:
    """Properties with an author, a fixed time, and a title without marks of direction."""
    dated = re.sub(r"(<dcterms:\w+ [^>]*>)[^<]*", rf"\g<1>{WRITTEN}", properties)
    return dated.replace("<dc:creator></dc:creator>", "<dc:creator>Tonok</dc:creator>").replace("\u200e", "")


def _turn_tables(document: str) -> str:
    """Tables whose first column is the rightmost: pandoc gives a direction to paragraphs and runs alone."""
    return document.replace(_TABLE_STYLE, f"{_TABLE_STYLE}<w:bidiVisual />")
