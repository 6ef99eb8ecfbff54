"""A report as one HTML file: pictures, fonts and style are within it, formulas are MathML."""

from __future__ import annotations

import base64
import html
import json
import re
from pathlib import Path

from worker.report.content import Labels, Report, Section
from worker.report.language.fonts import BOLD, PERSIAN_FONT, REGULAR
from worker.report.language.wording import Wording, strip_isolates
from worker.report.writers.inline import strip_markup
from worker.report.writers.pandoc import TreeWriter, convert, name_section

STYLE = Path(__file__).with_name("style.css")


def write_html(report: Report, labels: Labels, wording: Wording, path: Path) -> None:
    """Writes the page."""
    writer = TreeWriter(report, labels, wording, "html")
    body = convert(writer.write(), "html5", "--mathml")
    # Pandoc knows left and right only; what is meant is where the line begins and where it ends.
    body = body.replace("text-align: left;", "text-align: start;").replace("text-align: right;", "text-align: end;")
    body = re.sub(
        r"<table.*?</table>", lambda match: f'<div class="table">{match.group()}</div>', body, flags=re.DOTALL
    )
    contents = _write_contents([section for section in report.sections if section.numbered], labels)
    at = body.index('<h1 id="sec-' + next(one.key for one in report.sections if one.numbered))
    navigation = f'<nav aria-label="{html.escape(wording.term("contents"))}">{contents}</nav>\n'
    title = html.escape(report.title)
    facts = "".join(
        f"<dt>{html.escape(label)}</dt><dd>{_write_line(writer, value)}</dd>" for label, value in report.facts
    )
    page = f"""<!DOCTYPE html>
<html lang="{report.language}" dir="{"rtl" if report.persian else "ltr"}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="Tonok">
<title>{title}</title>
<style>
{_embed_fonts() if report.persian else ""}{STYLE.read_text(encoding="utf-8")}</style>
</head>
<body>
<header>
<h1 class="title">{title}</h1>
<p class="subtitle">{html.escape(report.subtitle)}</p>
<dl class="facts">{facts}</dl>
</header>
<main>
{body[:at]}{navigation}{body[at:]}</main>
</body>
</html>
"""
    path.write_text(page, encoding="utf-8")


def _write_contents(sections: list[Section], labels: Labels) -> str:
    items = []
    for section in sections:
        name = html.escape(strip_isolates(strip_markup(name_section(section, labels))))
        inner = _write_contents(list(section.sections), labels) if section.sections else ""
        items.append(f'<li><a href="#sec-{section.key}">{name}</a>{inner}</li>')
    return f"<ol>{''.join(items)}</ol>"


def _embed_fonts() -> str:
    faces = []
    for file, weight in ((REGULAR, 400), (BOLD, 700)):
        data = base64.b64encode(file.read_bytes()).decode()
        faces.append(
            f'@font-face {{ font-family: "{PERSIAN_FONT}"; font-weight: {weight}; '
            f'src: url("data:font/ttf;base64,{data}") format("truetype"); }}\n'
        )
    return "".join(faces)


def _write_line(writer: TreeWriter, text: str) -> str:
    tree = {
        "pandoc-api-version": [1, 23, 1],
        "meta": {},
        "blocks": [{"t": "Plain", "c": writer.inline.read(text)}],
    }
    return convert(json.dumps(tree), "html5").strip()
