"""A report as DOCX: pandoc writes the document, python-docx and a little XML give it its looks and its direction."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docx
import pypandoc
from docx.document import Document
from docx.enum.style import WD_STYLE_TYPE
from docx.enum.text import WD_ALIGN_PARAGRAPH
from docx.oxml import OxmlElement
from docx.oxml.ns import qn
from docx.shared import Cm, Emu, Pt, RGBColor
from docx.table import Table as WordTable
from docx.text.paragraph import Paragraph as WordParagraph

from worker.report.content import Column, Labels, Report, Table
from worker.report.language.fonts import PERSIAN_FONT
from worker.report.language.wording import Wording
from worker.report.writers.pandoc import LONGEST_WHOLE_TABLE, SOURCE_STYLE, TreeWriter
from worker.report.writers.word_contents import insert_contents
from worker.report.writers.word_package import finish_package

LATIN_FONT, MONOSPACE = "Calibri", "Consolas"
ACCENT, QUIET, RULE = RGBColor(0x1F, 0x4E, 0x79), RGBColor(0x66, 0x66, 0x66), "1F4E79"
PANDOC_TEXT_WIDTH = Emu(5334000)
"""What pandoc takes 100 % of a picture's width to be."""
WRITTEN = datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC)
"""The same for every file: equal facts give equal bytes."""
SIZES = {
    "Title": 21,
    "Subtitle": 11.5,
    "TOC Heading": 17,
    "Heading 1": 17,
    "Heading 2": 13.5,
    "Heading 3": 11.5,
    "Body Text": 10.5,
}


def write_docx(report: Report, labels: Labels, wording: Wording, path: Path, folder: Path) -> None:
    """Writes the document. folder: for the file that pandoc makes first."""
    writer = TreeWriter(report, labels, wording, "docx")
    draft = folder / "draft.docx"
    pypandoc.convert_text(writer.write(front_matter=_list_facts(report)), "docx", format="json", outputfile=str(draft))
    document = docx.Document(str(draft))
    text_width = _lay_out_page(document, report)
    _style(document, report)
    _scale_pictures(document, text_width)
    for table in document.tables:
        _style_table(table, report)
    _style_paragraphs(document, report)
    _number_pages(document, report)
    insert_contents(document, report, labels, wording.term("contents"))
    properties = document.core_properties
    properties.title, properties.author, properties.language = report.title, "Tonok", report.language
    properties.created = properties.modified = WRITTEN
    properties.last_modified_by = "Tonok"
    document.save(str(draft))
    finish_package(draft, path, embed_font=PERSIAN_FONT if report.persian else None)


def _list_facts(report: Report) -> Table:
    return Table("facts", "", [Column("", weight=1), Column("", weight=2.6)], [list(row) for row in report.facts])


def _lay_out_page(document: Document, report: Report) -> Emu:
    section = document.sections[0]
    section.page_width, section.page_height = Cm(21), Cm(29.7)
    section.left_margin = section.right_margin = Cm(2.2)
    section.top_margin, section.bottom_margin = Cm(2.3), Cm(2.2)
    if report.persian:
        # In the order that the schema wants: before the grid of lines, after everything else that is here.
        _append_unless(section._sectPr, "w:bidi")  # noqa: SLF001 - python-docx has no name for it
    return Emu(section.page_width - section.left_margin - section.right_margin)


def _style(document: Document, report: Report) -> None:
    styles = document.styles
    if SOURCE_STYLE not in styles:
        styles.add_style(SOURCE_STYLE, WD_STYLE_TYPE.CHARACTER)
    source: Any = styles[SOURCE_STYLE]
    source.font.size, source.font.color.rgb, source.font.italic = Pt(8), QUIET, False
    _set_complex_size(source.element.get_or_add_rPr(), 8)
    font = PERSIAN_FONT if report.persian else LATIN_FONT
    for style in styles:
        if style.type is WD_STYLE_TYPE.LIST or not hasattr(style, "font"):
            continue
        monospace = style.name in ("Verbatim Char", "Source Code") or style.name.endswith("Tok")
        _set_fonts(style.element, MONOSPACE if monospace else font, font)
    for name, size in SIZES.items():
        style = styles[name]
        style.font.size = Pt(size)
        _set_complex_size(style.element.get_or_add_rPr(), size)
        if name.startswith(("Heading", "Title", "TOC")):
            style.font.color.rgb, style.font.bold = ACCENT, True
            style.font.italic = False
            _append_unless(style.element.get_or_add_rPr(), "w:bCs")
    for name in ("Title", "Subtitle"):
        styles[name].paragraph_format.alignment = None
        styles[name].paragraph_format.space_after = Pt(6)
    subtitle = styles["Subtitle"]
    subtitle.font.bold, subtitle.font.color.rgb = False, QUIET
    for spacing in subtitle.element.findall(f"{qn('w:rPr')}/{qn('w:spacing')}"):
        spacing.getparent().remove(spacing)  # Letters that are spaced out tear Persian words apart.
    for name, size in (("Image Caption", 9), ("Table Caption", 9), ("Compact", 9), ("Verbatim Char", 9)):
        styles[name].font.size = Pt(size)
        styles[name].font.italic = False
        _set_complex_size(styles[name].element.get_or_add_rPr(), size)
    styles["Table Caption"].paragraph_format.keep_with_next = True
    styles["Table Caption"].paragraph_format.space_before = Pt(10)
    styles["Image Caption"].paragraph_format.space_after = Pt(12)
    styles["Captioned Figure"].paragraph_format.keep_with_next = True
    styles["Captioned Figure"].paragraph_format.space_before = Pt(12)
    styles["Captioned Figure"].paragraph_format.alignment = WD_ALIGN_PARAGRAPH.CENTER


def _set_fonts(element: Any, latin: str, complex_script: str) -> None:
    properties = element.get_or_add_rPr()
    fonts = properties.find(qn("w:rFonts"))
    if fonts is None:
        fonts = OxmlElement("w:rFonts")
        properties.insert(0, fonts)
    for name in list(fonts.attrib):
        del fonts.attrib[name]
    for slot, value in (("ascii", latin), ("hAnsi", latin), ("eastAsia", latin), ("cs", complex_script)):
        fonts.set(qn(f"w:{slot}"), value)


def _set_complex_size(properties: Any, size: float) -> None:
    element = properties.find(qn("w:szCs"))
    if element is None:
        element = OxmlElement("w:szCs")
        size_element = properties.find(qn("w:sz"))
        if size_element is None:
            properties.append(element)
        else:
            size_element.addnext(element)
    element.set(qn("w:val"), str(round(2 * size)))


def _append_unless(parent: Any, tag: str) -> Any:
    element = parent.find(qn(tag))
    if element is None:
        element = OxmlElement(tag)
        parent.append(element)
    return element


def _scale_pictures(document: Document, text_width: Emu) -> None:
    factor = text_width / PANDOC_TEXT_WIDTH
    body = document.element.body
    for extent in (*body.iter(qn("wp:extent")), *body.iter(qn("a:ext"))):
        if extent.get("cx"):
            extent.set("cx", str(round(int(extent.get("cx")) * factor)))
            extent.set("cy", str(round(int(extent.get("cy")) * factor)))
    for picture in body.iter(qn("pic:cNvPr")):
        picture.set("descr", "")  # Pandoc puts the path on this machine here; the alternative text stands outside.


def _style_table(table: WordTable, report: Report) -> None:
    properties = table._tbl.tblPr  # noqa: SLF001 - python-docx has no names for what follows
    if report.persian:
        style = properties.find(qn("w:tblStyle"))
        visual = OxmlElement("w:bidiVisual")
        if style is None:
            properties.insert(0, visual)
        else:
            style.addnext(visual)
    width = _append_unless(properties, "w:tblW")
    width.set(qn("w:type"), "pct")
    width.set(qn("w:w"), "5000")
    middle = OxmlElement("w:jc")
    middle.set(qn("w:val"), "center")
    width.addnext(middle)
    is_facts = not table.rows[0]._tr.xpath("./w:trPr/w:tblHeader")  # noqa: SLF001
    borders = OxmlElement("w:tblBorders")
    lines = (("top", 8, RULE), ("bottom", 8, RULE), ("insideH", 4, "D5DADF"))
    for side, thickness, colour in lines:
        line = OxmlElement(f"w:{side}")
        for name, value in (("val", "single"), ("sz", str(thickness)), ("space", "0"), ("color", colour)):
            line.set(qn(f"w:{name}"), value)
        borders.append(line)
    look = properties.find(qn("w:tblLayout"))
    anchor = look if look is not None else properties.find(qn("w:tblLook"))
    anchor.addprevious(borders)
    is_whole = len(table.rows) <= LONGEST_WHOLE_TABLE
    for position, row in enumerate(table.rows):
        if is_whole and position < len(table.rows) - 1:
            for paragraph in row._tr.iter(qn("w:p")):  # noqa: SLF001
                WordParagraph(paragraph, table).paragraph_format.keep_with_next = True
        row_properties = row._tr.get_or_add_trPr()  # noqa: SLF001
        row_properties.insert(0, OxmlElement("w:cantSplit"))
        if position == 0 and not is_facts:
            for cell in row.cells:
                shading = OxmlElement("w:shd")
                for name, value in (("val", "clear"), ("color", "auto"), ("fill", "EAF1F8")):
                    shading.set(qn(f"w:{name}"), value)
                cell._tc.get_or_add_tcPr().append(shading)  # noqa: SLF001


def _style_paragraphs(document: Document, report: Report) -> None:
    for paragraph in _iterate_paragraphs(document):
        name = paragraph.style.name if paragraph.style is not None else ""
        properties = paragraph._p.get_or_add_pPr()  # noqa: SLF001
        if properties.numPr is not None:  # Pandoc leaves the items of lists without a style.
            paragraph.style = document.styles["Body Text"]
            paragraph.paragraph_format.space_before = paragraph.paragraph_format.space_after = Pt(2)
        if name == "Source Code":
            bidi = properties.find(qn("w:bidi"))
            if bidi is not None:
                properties.remove(bidi)
            for run in paragraph._p.iter(qn("w:rtl")):  # noqa: SLF001
                run.getparent().remove(run)
            shading = OxmlElement("w:shd")
            for attribute, value in (("val", "clear"), ("color", "auto"), ("fill", "F6F6F6")):
                shading.set(qn(f"w:{attribute}"), value)
            properties.find(qn("w:pStyle")).addnext(shading)
        elif report.persian and properties.find(qn("w:bidi")) is None and name != "Source Code":
            style = properties.find(qn("w:pStyle"))
            bidi = OxmlElement("w:bidi")
            if style is None:
                properties.insert(0, bidi)
            else:
                style.addnext(bidi)


def _iterate_paragraphs(document: Document) -> Iterator[WordParagraph]:
    for element in document.element.body.iter(qn("w:p")):
        yield WordParagraph(element, document._body)  # noqa: SLF001


def _number_pages(document: Document, report: Report) -> None:
    paragraph = document.sections[0].footer.paragraphs[0]
    paragraph.alignment = WD_ALIGN_PARAGRAPH.CENTER
    for kind, text in (("begin", None), (None, "PAGE"), ("separate", None), ("text", "1"), ("end", None)):
        run = paragraph.add_run()
        if kind == "text":
            run.text = text or ""
        elif kind is None:
            instruction = OxmlElement("w:instrText")
            instruction.set(qn("xml:space"), "preserve")
            instruction.text = text
            run._r.append(instruction)  # noqa: SLF001
        else:
            character = OxmlElement("w:fldChar")
            character.set(qn("w:fldCharType"), kind)
            run._r.append(character)  # noqa: SLF001
        if report.persian:
            run._r.get_or_add_rPr().append(OxmlElement("w:rtl"))  # noqa: SLF001
