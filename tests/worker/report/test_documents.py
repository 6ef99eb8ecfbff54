"""The documents themselves: read back as a reader's program would."""

from __future__ import annotations

import ctypes
import json
import re
import uuid
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docx
import pypdfium2
import pypdfium2.raw as pdfium
import pytest
from docx.document import Document
from docx.oxml.ns import qn
from docx.shared import Cm
from docx.text.paragraph import Paragraph

from tests.worker.report.small_study import FILE_CONTROLS, build_facts, build_results
from worker.report import write_report
from worker.report.compose import compose, describe
from worker.report.content import Figure, Report, Table, iterate_blocks, iterate_sections
from worker.report.language.fonts import REGULAR
from worker.report.writers.pdf import write_pdf
from worker.report.writers.web import write_html
from worker.report.writers.word import REFERENCES, write_docx

STEP = re.compile(r"[^.\[\]]+")
FORMATS = ("pdf", "docx", "html", "json")
Paths = Mapping[str, Path]


@dataclass(frozen=True)
class Written:
    """A whole study's report in one language, made once for all tests: drawing its figures takes seconds."""

    report: Report
    data: dict[str, Any]
    paths: Paths

    def __getitem__(self, suffix: str) -> Path:
        return self.paths[suffix]


def write_all(folder: Path, language: str) -> Written:
    results = build_results()
    results["compress"]["controls"] = FILE_CONTROLS
    made = compose(build_facts(results), language, folder)
    paths = {suffix: folder / f"report.{suffix}" for suffix in ("pdf", "docx", "html")}
    write_pdf(made.report, made.labels, made.wording, paths["pdf"], folder)
    write_docx(made.report, made.labels, made.wording, paths["docx"], folder)
    write_html(made.report, made.labels, made.wording, paths["html"])
    return Written(made.report, describe(made), paths)


@pytest.fixture(scope="module")
def english(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(tmp_path_factory.mktemp("en"), "en")


@pytest.fixture(scope="module")
def persian(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return write_all(tmp_path_factory.mktemp("fa"), "fa")


def read_pdf(path: Path) -> str:
    document = pypdfium2.PdfDocument(path)
    return " ".join(page.get_textpage().get_text_bounded() for page in document)


def list_fonts(path: Path) -> Iterator[tuple[str, bool]]:
    """(family, embedded) of every piece of text."""
    for page in pypdfium2.PdfDocument(path):
        for text in page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_TEXT]):
            font = pdfium.FPDFTextObj_GetFont(text.raw)
            name = ctypes.create_string_buffer(128)
            pdfium.FPDFFont_GetBaseFontName(font, name, len(name))
            yield name.value.decode(), bool(pdfium.FPDFFont_GetIsEmbedded(font))


def iterate_paragraphs(document: Document) -> Iterator[Paragraph]:
    """Every paragraph, those of tables included."""
    for element in document.element.body.iter(qn("w:p")):
        yield Paragraph(element, document._body)


@pytest.mark.slow
def test_the_pdf_says_the_key_numbers(english: Written) -> None:
    text = read_pdf(english["pdf"])
    for number in ("90.00 %", "89.40 %", "95.00 %", "0.98 KB", "40.0", "job_00train"):
        assert number in text


@pytest.mark.slow
def test_the_persian_pdf_says_them_in_persian_digits(persian: Written) -> None:
    text = read_pdf(persian["pdf"])
    for number in ("۹۰٫۰۰", "۸۹٫۴۰", "۰٫۹۸", "train"):
        assert number in text


def test_every_font_of_the_pdf_is_embedded(english: Written, persian: Written) -> None:
    for paths, family in ((english, "Libertinus"), (persian, "Vazirmatn")):
        fonts = set(list_fonts(paths["pdf"]))
        assert all(embedded for _, embedded in fonts)
        assert any(family in name for name, _ in fonts)


def test_the_persian_docx_reads_from_right_to_left(persian: Written) -> None:
    document = docx.Document(str(persian["docx"]))
    assert document.tables
    for table in document.tables:
        assert table._tbl.tblPr.find(qn("w:bidiVisual")) is not None
    assert document.sections[0]._sectPr.find(qn("w:bidi")) is not None
    code = [p for p in document.paragraphs if p.style is not None and p.style.name == "Source Code"]
    assert code
    assert all(p._p.get_or_add_pPr().find(qn("w:bidi")) is None for p in code)
    prose = [p for p in document.paragraphs if p.text and p.style is not None and p.style.name != "Source Code"]
    # Pandoc gives the title and its line below no direction: their styles have it.
    by_style = {style.name for style in document.styles if style.element.xpath("./w:pPr/w:bidi")}
    assert by_style == {"Title", "Subtitle"}
    assert all(p._p.xpath("./w:pPr/w:bidi") or (p.style is not None and p.style.name in by_style) for p in prose)


def test_the_english_docx_reads_from_left_to_right(english: Written) -> None:
    body = docx.Document(str(english["docx"])).element.body
    assert not list(body.iter(qn("w:bidiVisual"), qn("w:bidi"), qn("w:rtl")))


def test_docx_headings_captions_heads_and_alternative_texts(english: Written) -> None:
    document = docx.Document(str(english["docx"]))
    names = [p.style.name for p in document.paragraphs if p.style is not None]
    assert "Heading 1" in names
    assert "Table Caption" in names
    assert "Image Caption" in names
    repeated = [table for table in document.tables if table._tbl.xpath("./w:tr[1]/w:trPr/w:tblHeader")]
    assert len(repeated) == len(document.tables) - 1, "all but the facts under the title repeat their head"
    pictures = list(document.element.body.iter(qn("wp:docPr")))
    assert pictures
    assert all(len(one.get("descr")) > 20 for one in pictures)
    paths = [picture.get("descr") for picture in document.element.body.iter(qn("pic:cNvPr"))]
    assert not any("/" in path for path in paths), "no path of this machine"
    assert "PAGE" in document.sections[0].footer._element.xml


def test_the_persian_docx_carries_its_font(persian: Written) -> None:
    with zipfile.ZipFile(persian["docx"]) as package:
        table = package.read("word/fontTable.xml").decode()
        key = re.search(r'embedRegular r:id="rId1" w:fontKey="\{([0-9A-F-]+)\}"', table)
        assert key is not None
        font = package.read("word/fonts/font1.odttf")
    # As Office embeds fonts: the first 32 bytes XOR the key, backwards (ECMA-376 part 4, 2.8.1).
    mask = uuid.UUID(key.group(1)).bytes[::-1]
    assert bytes(byte ^ mask[place % 16] for place, byte in enumerate(font[:32])) + font[32:] == REGULAR.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("language", ["english", "persian"])
def test_the_looks_of_the_docx_are_those_of_the_reference_document(
    language: str, request: pytest.FixtureRequest
) -> None:
    written = request.getfixturevalue(language)
    document = docx.Document(str(written["docx"]))
    reference = docx.Document(str(REFERENCES / f"{written.report.language}.docx"))
    known = {style.name for style in reference.styles}
    # A paragraph whose style the reference does not know would look as Word likes.
    assert {p.style.name for p in iterate_paragraphs(document) if p.style is not None} <= known
    unstyled = [p for p in iterate_paragraphs(document) if p.text and (p._p.pPr is None or p._p.pPr.pStyle is None)]
    assert unstyled == []
    one, other = document.sections[0], reference.sections[0]
    assert (one.page_width, one.left_margin) == (other.page_width, other.left_margin)
    assert one.page_width == pytest.approx(Cm(21), rel=1e-3)
    widths = [int(extent.get("cx")) for extent in document.element.body.iter(qn("wp:extent"))]
    assert 0.98 * Cm(21 - 2 * 2.2) < max(widths) <= Cm(21 - 2 * 2.2)


@pytest.mark.parametrize("language", ["english", "persian"])
def test_the_contents_of_the_docx_are_a_field_with_an_entry_for_each_heading(
    language: str, request: pytest.FixtureRequest
) -> None:
    body = docx.Document(str(request.getfixturevalue(language)["docx"])).element.body
    marks = [mark.get(qn("w:fldCharType")) for mark in body.iter(qn("w:fldChar"))]
    assert marks == ["begin", "separate", "end"]
    (code,) = body.iter(qn("w:instrText"))
    assert code.text == r'TOC \o "1-2" \h \z \u'
    entries = [
        link.get(qn("w:anchor")) for link in body.xpath('.//w:p[w:pPr/w:pStyle[contains(@w:val, "TOC")]]/w:hyperlink')
    ]
    headings = [section for _, section in iterate_sections(request.getfixturevalue(language).report.sections)]
    assert entries == [f"sec-{section.key}" for section in headings if section.numbered]
    assert set(entries) <= {mark.get(qn("w:name")) for mark in body.iter(qn("w:bookmarkStart"))}


def test_a_docx_says_no_mark_of_direction_in_its_properties(persian: Written) -> None:
    properties = docx.Document(str(persian["docx"])).core_properties
    assert properties.title == persian.report.title
    assert (properties.author, properties.language) == ("Tonok", "fa")


def test_the_page_needs_nothing_else(persian: Written) -> None:
    page = persian["html"].read_text(encoding="utf-8")
    assert '<html lang="fa" dir="rtl">' in page
    sources = re.findall(r'(?:src|href)="([^"]{0,40})', page) + re.findall(r'url\("([^"]{0,40})', page)
    assert sources
    assert all(source.startswith(("#", "data:")) for source in sources)
    targets = set(re.findall(r'id="([^"]+)"', page))
    assert {source[1:] for source in sources if source.startswith("#")} <= targets | {""}


def test_the_data_file_holds_each_finding_with_numbers_source_and_sentence(english: Written, persian: Written) -> None:
    one, other = english.data, persian.data
    keys = [finding["key"] for finding in one["findings"]]
    assert keys == [finding["key"] for finding in other["findings"]]
    baseline = next(finding for finding in one["findings"] if finding["key"] == "conclude.baseline")
    assert baseline["values"]["accuracy"] == 0.9
    assert "job_00train" in baseline["source"]
    assert "90.00 %" in baseline["sentence"]
    assert one["steps"]["train"]["artifacts"][0]["sha256"] == f"{0:064x}"


def test_both_languages_have_the_same_parts(english: Written, persian: Written) -> None:
    parts = []
    for report in (english.report, persian.report):
        keys = [section.key for _, section in iterate_sections(report.sections)]
        kinds = [(type(block).__name__, getattr(block, "key", "")) for block in iterate_blocks(report)]
        parts.append((keys, kinds))
    assert parts[0] == parts[1]


def test_every_table_and_figure_of_results_names_a_source(english: Written) -> None:
    results = next(section for section in english.report.sections if section.key == "results")
    for _, section in iterate_sections([results]):
        for block in section.blocks:
            if isinstance(block, Table | Figure):
                assert "job_" in block.source or "result" in block.source, block.key
            if isinstance(block, Table):
                assert all(len(row) == len(block.columns) for row in block.rows)


@pytest.mark.slow
@pytest.mark.parametrize("names", [("train", "one_shot"), ("train", "quantize", "compress")])
def test_a_study_of_fewer_steps_has_a_shorter_report(tmp_path: Path, names: tuple[str, ...]) -> None:
    results = build_results()
    made = compose(build_facts({name: results[name] for name in names}), "fa", tmp_path)
    keys = {section.key for _, section in iterate_sections(made.report.sections)}
    assert ("one_shot" in keys) == ("one_shot" in names)
    assert ("widths" in keys) == ("quantize" in names)
    assert ("final" in keys) == ("compress" in names)
    assert {"comparison", "channels", "controls"}.isdisjoint(keys)
    assert "controls.absent" in {finding.key for finding in made.findings}


@pytest.mark.slow
def test_the_same_facts_give_the_same_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        facts = build_facts({"train": build_results()["train"]})
        write_report(facts, "en", {suffix: folder / f"report.{suffix}" for suffix in FORMATS})
    assert json.loads((first / "report.json").read_text(encoding="utf-8"))["study"] == "job_study"
    for suffix in FORMATS:
        assert (first / f"report.{suffix}").read_bytes() == (second / f"report.{suffix}").read_bytes(), suffix


def test_an_unknown_language_or_format_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    facts = build_facts(build_results())
    with pytest.raises(KeyError, match="de"):
        write_report(facts, "de", {"pdf": tmp_path / "report.pdf"})
    with pytest.raises(KeyError, match="odt"):
        write_report(facts, "en", {"odt": tmp_path / "report.odt"})
    assert not list(tmp_path.iterdir())


def resolve(data: Mapping[str, Any], source: str) -> Any:
    """What a source names in the report's data. Raises KeyError or IndexError where there is nothing."""
    job, _, path = (part.strip().strip("`") for part in source.partition("·"))
    if job == data["study"]:
        return data
    place: Any = {step["job_id"]: step for step in data["steps"].values()}[job]
    for part in STEP.findall(path):
        place = place[int(part) if part.isdigit() else part]
    return place


@pytest.mark.parametrize("language", ["english", "persian"])
def test_every_source_is_a_path_in_the_data_of_the_report(language: str, request: pytest.FixtureRequest) -> None:
    written = request.getfixturevalue(language)
    shown = [block.source for block in iterate_blocks(written.report) if isinstance(block, Table | Figure)]
    said = [finding["source"] for finding in written.data["findings"]]
    sources = [source for whole in [*shown, *said] if whole for source in whole.split(";")]
    assert len(sources) > 80
    for source in sources:
        assert resolve(written.data, source) is not None, source
    with pytest.raises(KeyError):
        resolve(written.data, sources[0].partition("·")[0] + " · `result.absent`")


def test_each_bit_width_has_its_zeros_by_layer(english: Written) -> None:
    tables = {block.key: block for block in iterate_blocks(english.report) if isinstance(block, Table)}
    assert {"layers-quantize-8", "layers-quantize-4", "layers-quantize-2"} <= set(tables)
    assert tables["layers-quantize-4"].caption == "Zeros by layer: 4 bit."
    # 5 % of 8,000 and of 300.
    assert [row[:3] for row in tables["layers-quantize-4"].rows] == [
        ["`fc1`", "8,000", "400"],
        ["`fc2`", "300", "15"],
        ["total", "8,300", "415"],
    ]


def test_the_title_names_the_kind_of_network(english: Written, persian: Written) -> None:
    assert english.report.title == "Compressing a multilayer perceptron for FashionMNIST"
    assert "پرسپترون چندلایه" in persian.report.title
