"""A report as PDF: pandoc writes Typst's language, Typst sets it with its own fonts and the one vendored here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import typst

from worker.report.content import Figure, Labels, Report, Section, iterate_blocks
from worker.report.language.fonts import FONT_FOLDER, PERSIAN_FONT
from worker.report.language.wording import Wording
from worker.report.writers.pandoc import TreeWriter, convert

TEMPLATE = Path(__file__).with_name("template.typ")
LATIN_FONTS = ("Libertinus Serif", PERSIAN_FONT)
PERSIAN_FONTS = (PERSIAN_FONT,)


def write_pdf(report: Report, labels: Labels, wording: Wording, path: Path, folder: Path) -> None:
    """Writes the PDF. folder: where the figures lie; the Typst source is put beside them."""
    for block in iterate_blocks(report):
        if isinstance(block, Figure) and block.path.parent != folder:
            raise ValueError(f"figure {block.key} lies outside {folder}")
    source = folder / "report.typ"
    source.write_text(write_typst(report, labels, wording), encoding="utf-8")
    typst.compile(
        str(source), output=str(path), root=str(folder), font_paths=[str(FONT_FOLDER)], ignore_system_fonts=True
    )


def write_typst(report: Report, labels: Labels, wording: Wording) -> str:
    """The whole document in Typst's language."""
    writer = TreeWriter(report, labels, wording, "typst")
    front = [section for section in report.sections if not section.numbered]
    rest = [section for section in report.sections if section.numbered]
    fonts = PERSIAN_FONTS if report.persian else LATIN_FONTS
    facts = ", ".join(
        f"([{_write_line(writer, label)}], [{_write_line(writer, value)}])" for label, value in report.facts
    )
    settings = {
        "title": json.dumps(report.title, ensure_ascii=False),
        "subtitle": json.dumps(report.subtitle, ensure_ascii=False),
        "facts": f"({facts},)",
        "lang": json.dumps(report.language),
        "direction": "rtl" if report.persian else "ltr",
        "start_side": "right" if report.persian else "left",
        "fonts": "(" + ", ".join(json.dumps(font) for font in fonts) + ",)",
        "digits": json.dumps("۱" if report.persian else "1", ensure_ascii=False),
    }
    given = ", ".join(f"{name}: {value}" for name, value in settings.items())
    contents = json.dumps(wording.term("contents"), ensure_ascii=False)
    return "\n".join(
        [
            TEMPLATE.read_text(encoding="utf-8"),
            f"#show: make_document.with({given})",
            _write_sections(report, front, labels, wording),
            f"#make_contents({contents})",
            _write_sections(report, rest, labels, wording),
        ]
    )


def _write_sections(report: Report, sections: list[Section], labels: Labels, wording: Wording) -> str:
    part = Report(report.language, report.title, report.subtitle, report.facts, sections)
    written = convert(TreeWriter(part, labels, wording, "typst").write(), "typst")
    # Tables begin at the margin, as their captions do. Pandoc knows left and right only: in Persian they change places.
    # (Typst's own `start` goes by the direction of the cell, which for a cell of code is left to right.)
    written = written.replace("align(center)[#table(", f"align({'right' if report.persian else 'left'})[#table(")
    if not report.persian:
        return written
    sides = {"left": "right", "right": "left"}
    return re.sub(
        r"align: \(([a-z,]+)\)",
        lambda match: f"align: ({','.join(sides.get(side, side) for side in match.group(1).split(','))})",
        written,
    )


def _write_line(writer: TreeWriter, text: str) -> str:
    tree = {
        "pandoc-api-version": [1, 23, 1],
        "meta": {},
        "blocks": [{"t": "Plain", "c": writer.inline.read(text)}],
    }
    return convert(json.dumps(tree), "typst").strip()
