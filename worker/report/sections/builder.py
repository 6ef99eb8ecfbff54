"""The desk on which sections are written: evidence, language, canvas, and a list of all that was claimed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from worker.report.analysis.evidence import Evidence
from worker.report.analysis.findings import Finding
from worker.report.analysis.results import Model
from worker.report.content import Block, Bullets, Column, Figure, Paragraph, Section, Table
from worker.report.facts import (
    CHANNELS,
    COMPRESS,
    ONE_SHOT,
    STEP_BY_STEP,
    TRAIN,
)
from worker.report.figures.canvas import Canvas
from worker.report.language.values import Value, text
from worker.report.language.wording import Wording

Cells = list[list[Value | str]]
"""Rows of a table before they are printed."""


class Builder:
    """Writes blocks in one language. Sections are functions of it."""

    def __init__(self, evidence: Evidence, wording: Wording, folder: Path) -> None:
        self.evidence, self.wording, self.folder = evidence, wording, folder
        self.canvas = Canvas(wording)
        self.findings: list[Finding] = []

    def term(self, key: str) -> str:
        """A word or heading."""
        return self.wording.term(key)

    def say(self, key: str, **values: Value) -> str:
        """A sentence."""
        return self.wording.say(key, **values)

    def show(self, value: Value) -> str:
        """A cell."""
        return self.wording.show(value)

    def paragraph(self, key: str, **values: Value) -> Paragraph:
        """A paragraph of one template."""
        return Paragraph(self.say(key, **values))

    def claim(self, *findings: Finding) -> list[str]:
        """Sentences of findings, remembered for the data file."""
        self.findings += [finding for finding in findings if finding not in self.findings]
        return [finding.say(self.wording) for finding in findings]

    def argue(
        self, findings: Sequence[Finding], *, figure: str | None = None, table: str | None = None
    ) -> list[Paragraph]:
        """Findings as one paragraph, which refers to the figure and table that show them; none without findings."""
        if not findings:
            return []
        said = self.claim(*findings)
        if figure is not None and table is not None:
            said.append(self.say("see.figure_and_table", figure=text(figure), table=text(table)))
        elif figure is not None:
            said.append(self.say("see.figure", figure=text(figure)))
        return [Paragraph(" ".join(said))]

    def list_findings(self, findings: Sequence[Finding]) -> list[Bullets]:
        """Findings as a list."""
        return [Bullets(self.claim(*findings))] if findings else []

    def section(self, key: str, blocks: Sequence[Block], *parts: Section) -> Section:
        """A section whose heading is the term `section.<key>`."""
        return Section(key, self.term(f"section.{key}"), list(blocks), list(parts))

    def appendix(self, key: str, blocks: Sequence[Block]) -> Section:
        """An appendix whose heading is the term `section.appendix_<key>`."""
        name = f"appendix_{key}"
        return Section(name, self.term(f"section.{name}"), blocks, appendix=True)

    def table(
        self,
        key: str,
        columns: Sequence[Column],
        rows: Sequence[Sequence[Value | str]],
        *,
        source: str = "",
        emphasis: Sequence[int] = (),
        **caption: Value,
    ) -> Table:
        """A table whose caption is the sentence `table.<key>`."""
        cells = [[cell if isinstance(cell, str) else self.show(cell) for cell in row] for row in rows]
        return Table(key, self.say(f"table.{key}", **caption), columns, cells, source, frozenset(emphasis))

    def columns(self, *keys: str) -> list[Column]:
        """Columns by the terms `head.<key>`; a key that begins with `#` is a column of numbers."""
        return [Column(self.term(f"head.{key.lstrip('#')}"), numeric=key.startswith("#")) for key in keys]

    def figure(
        self, key: str, draw: Callable[[Path], None], *, source: str = "", width: float = 1.0, **caption: Value
    ) -> Figure:
        """Draws `<key>.png`. Its caption is the sentence `picture.<key>`, its alternative text `alt.<key>`."""
        path = self.folder / f"{key.replace('_', '-')}.png"
        draw(path)
        said = self.say(f"picture.{key}", **caption)
        return Figure(key, said, path, f"{self.term(f'alt.{key}')} {said}", source, width)

    def models(self) -> list[tuple[str, Model]]:
        """Every model with its name in this language, in the order of the report."""
        evidence = self.evidence
        listed: list[tuple[str, Model | None]] = [
            (self.term(f"model.{TRAIN}"), evidence.baseline),
            (self.term(f"model.{ONE_SHOT}"), evidence.one_shot),
            (self.term(f"model.{STEP_BY_STEP}"), evidence.step_by_step),
            *((self.name_width(bits), model) for bits, model in evidence.widths.items()),
            (self.term(f"model.{CHANNELS}"), evidence.channels),
            (self.term(f"model.{COMPRESS}"), evidence.final),
        ]
        return [(name, model) for name, model in listed if model is not None]

    def control_models(self) -> list[tuple[str, Model]]:
        """The controls that were run, named."""
        return [(self.term(f"model.{kind.step}"), model) for kind, model in self.evidence.controls.items()]

    def name_dataset(self) -> str:
        """In this language, or as its owner calls it."""
        key = f"dataset.{self.evidence.dataset}"
        return self.term(key) if key in self.wording else self.evidence.dataset_title or self.evidence.dataset

    def name_width(self, bits: int) -> str:
        """`4 bit`."""
        return self.say("name.bits", bits=Value("count", bits))
