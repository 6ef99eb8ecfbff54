"""What a report consists of, before it is a document: sections, paragraphs, tables, figures, formulas, lists, code.

Texts are strings with a little markup, read by `inline`: `code`, **strong**, *emphasis*, $formula$, and
[[tab:ledger]] for a reference. Tables, figures and sections are numbered here, so that every format says the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Paragraph:
    """Running text."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list; `ordered` numbers it."""

    items: Sequence[str]
    ordered: bool = False


@dataclass(frozen=True)
class Formula:
    """A formula on a line of its own, in TeX."""

    tex: str


@dataclass(frozen=True)
class Listing:
    """Program text, left to right in every language."""

    text: str
    language: str = "python"


@dataclass(frozen=True)
class Column:
    """A column's head. numeric: aligned to the end of the line; weight: share of the width, 0 as wide as needed."""

    head: str
    numeric: bool = False
    weight: float = 0.0


@dataclass(frozen=True)
class Table:
    """Cells are texts. source: the artifacts and jobs that its numbers come from. emphasis: rows printed bold."""

    key: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    source: str = ""
    emphasis: frozenset[int] = frozenset()
    small: bool = False


@dataclass(frozen=True)
class Figure:
    """A picture in a file. alt: what is to be seen, for those who do not see it. width: share of the text's width."""

    key: str
    caption: str
    path: Path
    alt: str
    source: str = ""
    width: float = 1.0


LETTERS = tuple("ABCDEFGHIJ")
PERSIAN_LETTERS = ("الف", "ب", "پ", "ت", "ث", "ج", "چ", "ح", "خ", "د")
PERSIAN_SEPARATOR = "\N{RIGHT-TO-LEFT MARK}-\N{RIGHT-TO-LEFT MARK}"

Block = Paragraph | Bullets | Formula | Listing | Table | Figure


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. Appendices are lettered, everything else is numbered."""

    key: str
    title: str
    blocks: Sequence[Block] = ()
    sections: Sequence[Section] = ()
    appendix: bool = False
    numbered: bool = True


@dataclass(frozen=True)
class Report:
    """A whole document. facts: label and text, printed below the title."""

    language: str
    title: str
    subtitle: str
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]

    @property
    def persian(self) -> bool:
        """Whether it reads from right to left."""
        return self.language == "fa"


@dataclass(frozen=True)
class Labels:
    """Key → the number that a caption, heading or reference prints, in the report's own digits and words."""

    numbers: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)

    def name(self, key: str) -> str:
        """`Table 3` for `tab:ledger`. Raises KeyError for a key that the report does not have."""
        kind = "app" if key.startswith("sec:appendix_") else key.partition(":")[0]
        return f"{self.words[kind]} {self.numbers[key]}"


def iterate_sections(sections: Sequence[Section], level: int = 1) -> Iterator[tuple[int, Section]]:
    """Every section with its level, in reading order."""
    for section in sections:
        yield level, section
        yield from iterate_sections(section.sections, level + 1)


def iterate_blocks(report: Report) -> Iterator[Block]:
    """Every block in reading order."""
    for _, section in iterate_sections(report.sections):
        yield from section.blocks


def number_parts(report: Report, words: Mapping[str, str], digits: Mapping[int, str] | None = None) -> Labels:
    """Numbers sections (1, 1.1; appendices A, B), tables and figures.

    words: how a reference of each kind begins (`tab`, `fig`, `sec`). digits: for str.translate.
    """
    numbers: dict[str, str] = {}
    letters = PERSIAN_LETTERS if report.persian else LETTERS

    def number_sections(sections: Sequence[Section], prefix: str) -> None:
        counted = lettered = 0
        for section in sections:
            if not section.numbered:
                number_sections(section.sections, prefix)
                continue
            if section.appendix:
                own = letters[lettered]
                lettered += 1
            else:
                counted += 1
                own = f"{counted}"
            numbers[f"sec:{section.key}"] = own = f"{prefix}{own}"
            # The chapter stands where reading begins: in Persian at the right, which the marks of direction see to.
            number_sections(section.sections, f"{own}{PERSIAN_SEPARATOR if report.persian else '.'}")

    number_sections(report.sections, "")
    tables = figures = 0
    for block in iterate_blocks(report):
        if isinstance(block, Table):
            tables += 1
            numbers[f"tab:{block.key}"] = f"{tables}"
        elif isinstance(block, Figure):
            figures += 1
            numbers[f"fig:{block.key}"] = f"{figures}"
    if digits:
        numbers = {key: number.translate(digits) for key, number in numbers.items()}
    return Labels(numbers, words)
