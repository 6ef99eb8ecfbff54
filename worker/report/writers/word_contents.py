"""The table of contents of a DOCX: a field that Word brings up to date, with entries for whatever does not."""

from __future__ import annotations

from typing import Any

from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Pt

from worker.report.content import Labels, Report, iterate_sections
from worker.report.writers.inline import strip_markup
from worker.report.writers.pandoc import name_section

DEPTH = 2


def insert_contents(document: Document, report: Report, labels: Labels, title: str) -> None:
    """Puts title and field before the first numbered section, on a page of their own."""
    first = next(section for section in report.sections if section.numbered)
    place = next(
        mark
        for mark in document.element.body.iter(qn("w:bookmarkStart"))
        if mark.get(qn("w:name")) == f"sec-{first.key}"
    )
    for level in range(1, DEPTH + 1):
        _add_style(document, level)
    heading = _make_paragraph(report, "TOCHeading")
    heading.find(qn("w:pPr")).insert(1, OxmlElement("w:pageBreakBefore"))
    heading.append(_make_run(report, title))
    paragraphs = [heading]
    numbered = [section for section in report.sections if section.numbered]
    entries = [(level, section) for level, section in iterate_sections(numbered) if level <= DEPTH]
    for position, (level, section) in enumerate(entries):
        paragraph = _make_paragraph(report, f"TOC{level}")
        if position == 0:
            for part in _begin_field(f'TOC \\o "1-{DEPTH}" \\h \\z \\u'):
                paragraph.append(part)
        paragraph.append(_make_entry(report, f"sec-{section.key}", strip_markup(name_section(section, labels))))
        if position == len(entries) - 1:
            paragraph.append(_make_field_mark("end"))
        paragraphs.append(paragraph)
    for paragraph in paragraphs:
        place.addprevious(paragraph)
    _break_page_before(place)


def _add_style(document: Document, level: int) -> None:
    name = f"toc {level}"
    if name in document.styles:
        return
    style: Any = document.styles.add_style(name, WD_STYLE_TYPE.PARAGRAPH, builtin=True)
    style.base_style = document.styles["Normal"]
    style.paragraph_format.space_after = Pt(2)
    style.paragraph_format.space_before = Pt(5 if level == 1 else 0)
    style.font.bold = style.font.cs_bold = level == 1
    style.font.size = Pt(10)
    if level > 1:
        # `start` of a right-to-left paragraph is its right.
        style.paragraph_format.left_indent = Cm(0.6 * (level - 1))
    tabs = OxmlElement("w:tabs")
    tab = OxmlElement("w:tab")
    for key, value in (("val", "right"), ("leader", "dot"), ("pos", "9400")):
        tab.set(qn(f"w:{key}"), value)
    tabs.append(tab)
    style.element.get_or_add_pPr().insert(0, tabs)
    style.element.set(qn("w:styleId"), f"TOC{level}")


def _make_paragraph(report: Report, style: str) -> Any:
    paragraph = OxmlElement("w:p")
    properties = OxmlElement("w:pPr")
    name = OxmlElement("w:pStyle")
    name.set(qn("w:val"), style)
    properties.append(name)
    if report.persian:
        properties.append(OxmlElement("w:bidi"))
    paragraph.append(properties)
    return paragraph


def _make_run(report: Report, text: str) -> Any:
    run = OxmlElement("w:r")
    if report.persian:
        properties = OxmlElement("w:rPr")
        properties.append(OxmlElement("w:rtl"))
        run.append(properties)
    words = OxmlElement("w:t")
    words.set(qn("xml:space"), "preserve")
    words.text = text
    run.append(words)
    return run


def _make_field_mark(kind: str, *, dirty: bool = False) -> Any:
    run, mark = OxmlElement("w:r"), OxmlElement("w:fldChar")
    mark.set(qn("w:fldCharType"), kind)
    if dirty:
        mark.set(qn("w:dirty"), "true")
    run.append(mark)
    return run


def _begin_field(instruction: str) -> list[Any]:
    run, code = OxmlElement("w:r"), OxmlElement("w:instrText")
    code.set(qn("xml:space"), "preserve")
    code.text = instruction
    run.append(code)
    return [_make_field_mark("begin", dirty=True), run, _make_field_mark("separate")]


def _make_entry(report: Report, bookmark: str, title: str) -> Any:
    link = OxmlElement("w:hyperlink")
    link.set(qn("w:anchor"), bookmark)
    link.set(qn("w:history"), "1")
    # Without a page: only Word knows it, and puts it there when it brings the field up to date.
    link.append(_make_run(report, title))
    return link


def _break_page_before(place: Any) -> None:
    heading = place
    while heading.tag != qn("w:p"):
        heading = heading.getnext()
    properties = heading.find(qn("w:pPr"))
    properties.find(qn("w:pStyle")).addnext(OxmlElement("w:pageBreakBefore"))
