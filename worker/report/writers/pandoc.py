"""Content → pandoc's own document tree. No text is ever escaped by hand: pandoc writes every format from the tree."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from typing import Any

import pypandoc

from worker.report.content import (
    Block,
    Bullets,
    Figure,
    Formula,
    Labels,
    Listing,
    Paragraph,
    Report,
    Section,
    Table,
    iterate_sections,
)
from worker.report.language.wording import Wording
from worker.report.writers.columns import share_width
from worker.report.writers.inline import Inlines, InlineWriter, make_span, spread, strip_markup

API_VERSION = [1, 23, 1]
SOURCE_STYLE = "Source"
CONTENTS_DEPTH = 2
CONTENTS_BEGIN = (
    '<w:r><w:fldChar w:fldCharType="begin" w:dirty="true"/></w:r>'
    f'<w:r><w:instrText xml:space="preserve">TOC \\o "1-{CONTENTS_DEPTH}" \\h \\z \\u</w:instrText></w:r>'
    '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
)
CONTENTS_END = '<w:r><w:fldChar w:fldCharType="end"/></w:r>'
PAGE_BREAK = '<w:p><w:r><w:br w:type="page"/></w:r></w:p>'
LONGEST_WHOLE_TABLE = 14
"""Rows; a longer table may go over several pages, a shorter one is kept whole."""
NO_ATTRIBUTES: list[Any] = ["", [], []]
Tree = dict[str, Any]


class TreeWriter:
    """Writes the tree of one report for one format (`docx`, `typst`, `html`)."""

    def __init__(self, report: Report, labels: Labels, wording: Wording, format_name: str) -> None:
        self.report, self.labels, self.wording, self.format_name = report, labels, wording, format_name
        self.inline = InlineWriter(labels, format_name, persian=report.persian)

    def write(self, front_matter: Table | None = None) -> str:
        """The tree as JSON, for `pypandoc.convert_text(…, format="json")`.

        front_matter: a table without head and caption, put under the title; without it there is no title either.
        """
        meta: Tree = {"lang": {"t": "MetaString", "c": self.report.language}}
        if self.report.persian:
            meta["dir"] = {"t": "MetaString", "c": "rtl"}
        blocks: list[Tree] = []
        if front_matter is not None:
            meta["title"] = {"t": "MetaInlines", "c": self.inline.read(self.report.title)}
            meta["subtitle"] = {"t": "MetaInlines", "c": self.inline.read(self.report.subtitle)}
            blocks.append(self._write_bare_table(front_matter))
        for section in self.report.sections:
            if self.format_name == "docx" and section is self._first_numbered:
                blocks += self._write_contents()
            blocks += self.write_section(section, 1)
        return json.dumps({"pandoc-api-version": API_VERSION, "meta": meta, "blocks": blocks})

    @property
    def _first_numbered(self) -> Section:
        return next(section for section in self.report.sections if section.numbered)

    def _write_contents(self) -> list[Tree]:
        """A table of contents for Word: a field that it brings up to date, with entries for whatever does not.

        They have no page: only a word processor knows it.
        """
        numbered = [section for section in self.report.sections if section.numbered]
        entries = [(level, one) for level, one in iterate_sections(numbered) if level <= CONTENTS_DEPTH]
        title = self.wording.term("contents")
        blocks = [self._style("TOC Heading", {"t": "Para", "c": self.inline.words(title)})]
        for position, (level, section) in enumerate(entries):
            name = strip_markup(name_section(section, self.labels))
            entry: Inlines = [{"t": "Link", "c": [NO_ATTRIBUTES, self.inline.words(name), [f"#sec-{section.key}", ""]]}]
            if position == 0:
                entry.insert(0, {"t": "RawInline", "c": ["openxml", CONTENTS_BEGIN]})
            if position == len(entries) - 1:
                entry.append({"t": "RawInline", "c": ["openxml", CONTENTS_END]})
            blocks.append(self._style(f"toc {level}", {"t": "Para", "c": entry}))
        return [*blocks, {"t": "RawBlock", "c": ["openxml", PAGE_BREAK]}]

    def write_section(self, section: Section, level: int) -> list[Tree]:
        """A heading and everything below it."""
        classes = [] if section.numbered else ["unnumbered"]
        header = {
            "t": "Header",
            "c": [level, [f"sec-{section.key}", classes, []], self._write_heading(name_section(section, self.labels))],
        }
        blocks = [header]
        for block in section.blocks:
            blocks += self.write_block(block)
        for part in section.sections:
            blocks += self.write_section(part, level + 1)
        return blocks

    def _write_heading(self, name: str) -> Inlines:
        # Typst takes a line whose last word is a left-to-right span for a left-to-right line in its table of contents.
        inline = InlineWriter(
            self.labels, self.format_name, persian=self.inline.persian and self.format_name != "typst"
        )
        return inline.read(name)

    def write_block(self, block: Block) -> list[Tree]:
        """One block, which may take several of pandoc's."""
        if isinstance(block, Paragraph):
            return [self._style("Body Text", {"t": "Para", "c": self.inline.read(block.text)})]
        if isinstance(block, Formula):
            math = {"t": "Math", "c": [{"t": "DisplayMath"}, block.tex]}
            return [self._style("Body Text", {"t": "Para", "c": [math]})]
        if isinstance(block, Listing):
            code = {"t": "CodeBlock", "c": [["", [block.language], []], block.text]}
            is_turned = self.format_name == "docx" and self.report.persian
            return [{"t": "Div", "c": [["", [], [["dir", "ltr"]]], [code]]}] if is_turned else [code]
        if isinstance(block, Bullets):
            return [self._write_list(block)]
        if isinstance(block, Figure):
            return [self._write_figure(block)]
        written = self._write_table(block)
        if self.format_name != "typst" or len(block.rows) <= LONGEST_WHOLE_TABLE:
            return [written]
        begin = "#[\n#show figure.where(kind: table): set block(breakable: true)"
        return [{"t": "RawBlock", "c": ["typst", begin]}, written, {"t": "RawBlock", "c": ["typst", "]"]}]

    def _style(self, name: str, block: Tree) -> Tree:
        """In Word, a paragraph in that style of the reference document; pandoc gives Persian ones none by itself."""
        if self.format_name != "docx":
            return block
        return {"t": "Div", "c": [["", [], [["custom-style", name]]], [{"t": "Para", "c": block["c"]}]]}

    def _write_list(self, block: Bullets) -> Tree:
        items = [[self._style("List Item", {"t": "Plain", "c": self.inline.read(item)})] for item in block.items]
        if not block.ordered:
            return {"t": "BulletList", "c": items}
        return {"t": "OrderedList", "c": [[1, {"t": "Decimal"}, {"t": "Period"}], items]}

    def _write_caption(self, key: str, caption: str, source: str) -> Inlines:
        inlines: Inlines = [{"t": "Strong", "c": self.inline.words(f"{self.labels.name(key)}.")}, {"t": "Space"}]
        inlines += self.inline.read(caption)
        if source:
            label = self.inline.words(f"{self.wording.term('source')}: ")
            if self.format_name == "docx":
                source = source.replace("`", "")  # A style of letters within another would bring its own size.
            inlines += [{"t": "LineBreak"}, self._style_source([*label, *self.inline.read(source)])]
        return inlines

    def _style_source(self, inlines: Inlines) -> Tree:
        if self.format_name == "typst":
            return make_span(inlines, attributes=[("typst:text:size", "0.84em"), ("typst:text:fill", 'rgb("#666666")')])
        if self.format_name == "docx":
            return make_span(inlines, attributes=[("custom-style", SOURCE_STYLE)])
        return make_span(inlines, classes=["source"])

    def _write_figure(self, figure: Figure) -> Tree:
        target = figure.path.name
        if self.format_name == "html":
            target = "data:image/png;base64," + base64.b64encode(figure.path.read_bytes()).decode()
        alt = spread(strip_markup(figure.alt))
        size = [["width", f"{100 * figure.width:.0f}%"], ["alt", strip_markup(figure.alt)]]
        image = {"t": "Image", "c": [["", [], size], alt, [target, ""]]}
        caption = self._write_caption(f"fig:{figure.key}", figure.caption, figure.source)
        return {
            "t": "Figure",
            "c": [
                [f"fig-{figure.key}", [], []],
                [None, [{"t": "Plain", "c": caption}]],
                [{"t": "Plain", "c": [image]}],
            ],
        }

    def _write_table(self, table: Table) -> Tree:
        caption = self._write_caption(f"tab:{table.key}", table.caption, table.source)
        head = self._write_row([column.head for column in table.columns], strong=True, is_kept=True)
        last = len(table.rows) - 1 if len(table.rows) <= LONGEST_WHOLE_TABLE else 0
        body = [
            self._write_row(row, strong=position in table.emphasis, is_kept=position < last)
            for position, row in enumerate(table.rows)
        ]
        classes = ["small"] if table.small else []
        return {
            "t": "Table",
            "c": [
                [f"tab-{table.key}", classes, []],
                [None, [{"t": "Plain", "c": caption}]],
                self._describe_columns(table),
                [NO_ATTRIBUTES, [head]],
                [[NO_ATTRIBUTES, 0, [], body]],
                [NO_ATTRIBUTES, []],
            ],
        }

    def _write_bare_table(self, table: Table) -> Tree:
        body = [self._write_row(row) for row in table.rows]
        return {
            "t": "Table",
            "c": [
                NO_ATTRIBUTES,
                [None, []],
                self._describe_columns(table),
                [NO_ATTRIBUTES, []],
                [[NO_ATTRIBUTES, 0, [], body]],
                [NO_ATTRIBUTES, []],
            ],
        }

    def _describe_columns(self, table: Table) -> list[list[Tree]]:
        # Pandoc knows left and right only, where left is meant as the side where lines begin; `pdf` and `web` see to it
        # in Persian. There numbers begin at the right as all else does, so that their last digits stand in line.
        total = sum(column.weight for column in table.columns)
        widths: list[Tree] = [{"t": "ColWidthDefault"}] * len(table.columns)
        if total:
            widths = [{"t": "ColWidth", "c": column.weight / total} for column in table.columns]
        elif self.format_name == "docx":  # Word would give every column the same width.
            widths = [{"t": "ColWidth", "c": share} for share in share_width(table)]
        return [
            [{"t": "AlignRight" if column.numeric and not self.report.persian else "AlignLeft"}, width]
            for column, width in zip(table.columns, widths, strict=True)
        ]

    def _write_row(self, cells: Sequence[str], *, strong: bool = False, is_kept: bool = False) -> list[Any]:
        written = []
        for cell in cells:
            # A paragraph of nothing would have the size of the body's letters in Word.
            inlines = self.inline.read(cell) or spread("\N{NO-BREAK SPACE}")
            if strong:
                inlines = [{"t": "Strong", "c": inlines}]
            block = self._style("Kept Row" if is_kept else "Compact", {"t": "Plain", "c": inlines})
            written.append([NO_ATTRIBUTES, {"t": "AlignDefault"}, 1, 1, [block]])
        return [NO_ATTRIBUTES, written]


def name_section(section: Section, labels: Labels) -> str:
    """The heading with its number."""
    if not section.numbered:
        return section.title
    number = labels.numbers[f"sec:{section.key}"]
    return f"{labels.words['app']} {number}: {section.title}" if section.appendix else f"{number}  {section.title}"


def convert(tree: str, to: str, *options: str) -> str:
    """A tree as a document of another format, as text."""
    written: str = pypandoc.convert_text(tree, to, format="json", extra_args=["--wrap=none", *options])
    return written
