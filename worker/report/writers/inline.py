"""The markup of a report's texts → pandoc's inlines.

In Persian every run of Latin letters and every isolated number becomes a span that reads from left to right, so that
no word processor has to guess.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from worker.report.content import Labels
from worker.report.language.values import LEFT_TO_RIGHT, POP

Inlines = list[dict[str, Any]]

_MARKUP = re.compile(
    r"`(?P<code>[^`]+)`"
    r"|\*\*(?P<strong>.+?)\*\*"
    r"|\*(?P<emphasis>[^*]+?)\*"
    r"|\$(?P<math>[^$]+)\$"
    r"|\[\[(?P<reference>[a-z]+:[a-z0-9_-]+)\]\]"
    rf"|{LEFT_TO_RIGHT}(?P<isolate>[^{POP}]*){POP}"
    r"|(?P<break>\n)"
)
_LATIN = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[ ./_+:,×–-]*[A-Za-z0-9]+)*")


class InlineWriter:
    """Reads markup for one format (`docx`, `typst`, `html`) and one direction."""

    def __init__(self, labels: Labels, format_name: str, *, persian: bool) -> None:
        self.labels, self.format_name, self.persian = labels, format_name, persian

    def read(self, text: str) -> Inlines:
        """Pandoc inlines of a text with markup."""
        inlines: Inlines = []
        place = 0
        for match in _MARKUP.finditer(text):
            inlines += self.words(text[place : match.start()])
            inlines += self._read_match(match)
            place = match.end()
        return inlines + self.words(text[place:])

    def _read_match(self, match: re.Match[str]) -> Inlines:
        kind, content = match.lastgroup, match.group(match.lastgroup or 0)
        if kind == "code":
            return [self.isolate([{"t": "Code", "c": [["", [], []], content]}])]
        if kind == "strong":
            return [{"t": "Strong", "c": self.read(content)}]
        if kind == "emphasis":
            return [{"t": "Emph", "c": self.read(content)}]
        if kind == "math":
            return [{"t": "Math", "c": [{"t": "InlineMath"}, content]}]
        if kind == "reference":
            name = self.words(self.labels.name(content))
            return [{"t": "Link", "c": [["", [], []], name, ["#" + content.replace(":", "-"), ""]]}]
        if kind == "isolate":
            return [self.isolate(spread(content))]
        return [{"t": "LineBreak"}]

    def words(self, text: str) -> Inlines:
        """Text without markup; within Persian, Latin words stand in islands."""
        if not self.persian:
            return spread(text)
        inlines: Inlines = []
        place = 0
        for match in _LATIN.finditer(text):
            inlines += [*spread(text[place : match.start()]), self.isolate(spread(match.group()))]
            place = match.end()
        return inlines + spread(text[place:])

    def isolate(self, inlines: Inlines) -> dict[str, Any]:
        """A span that reads from left to right whatever is around it."""
        if not self.persian:
            return inlines[0] if len(inlines) == 1 else make_span(inlines)
        if self.format_name == "docx":
            # Word goes by the run, others by Unicode's rules alone: the marks say it to both.
            mark = {"t": "Str", "c": "\N{LEFT-TO-RIGHT MARK}"}
            inlines = [mark, *inlines, mark]
        name = "typst:text:dir" if self.format_name == "typst" else "dir"
        return make_span(inlines, attributes=[(name, "ltr")])


def make_span(
    inlines: Inlines, *, classes: Sequence[str] = (), attributes: Sequence[tuple[str, str]] = ()
) -> dict[str, Any]:
    """A pandoc Span."""
    return {"t": "Span", "c": [["", list(classes), [list(pair) for pair in attributes]], inlines]}


def spread(text: str) -> Inlines:
    """Words and the spaces between them, as pandoc wants them."""
    inlines: Inlines = []
    for part in re.split(r"( +)", text):
        if part.startswith(" "):
            inlines.append({"t": "Space"})
        elif part:
            inlines.append({"t": "Str", "c": part})
    return inlines


def strip_markup(text: str) -> str:
    """The words of a text, for where there is no markup (alternative texts, widths)."""
    return text.replace("`", "").replace("*", "").replace("$", "").replace("\u2066", "").replace("\u2069", "")
