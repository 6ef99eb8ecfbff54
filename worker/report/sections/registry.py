"""The sections of a report, in its order. A new one is a file with its builder, and a line here."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from worker.report.content import Section
from worker.report.sections import appendices, compression, end, method, pruning
from worker.report.sections import bytes as sizes
from worker.report.sections.builder import Builder


@dataclass(frozen=True)
class Entry:
    """How a section is built: None where the study has nothing for it. within: the section that it is part of."""

    build: Callable[[Builder], Section | None]
    within: str = ""


SECTIONS: dict[str, Entry] = {
    "abstract": Entry(end.build_abstract),
    "data": Entry(method.build_data),
    "method": Entry(method.build_method),
    "results": Entry(pruning.build_results),
    "training_results": Entry(pruning.build_training, within="results"),
    "classes": Entry(pruning.build_classes, within="results"),
    "one_shot": Entry(pruning.build_one_shot, within="results"),
    "step_by_step": Entry(pruning.build_step_by_step, within="results"),
    "comparison": Entry(pruning.build_comparison, within="results"),
    "controls": Entry(pruning.build_controls, within="results"),
    "widest": Entry(sizes.build_widest, within="results"),
    "widths": Entry(sizes.build_widths, within="results"),
    "channels": Entry(pruning.build_channels, within="results"),
    "sizes": Entry(sizes.build_sizes, within="results"),
    "final": Entry(sizes.build_final, within="results"),
    "ablation": Entry(compression.build_ablation, within="results"),
    "file_controls": Entry(compression.build_file_controls, within="results"),
    "techniques": Entry(sizes.build_techniques, within="results"),
    "analysis": Entry(end.build_analysis),
    "conclusion": Entry(end.build_conclusion),
    "appendix_jobs": Entry(appendices.list_jobs),
    "appendix_environment": Entry(appendices.list_environment),
    "appendix_artifacts": Entry(appendices.list_artifacts),
    "appendix_layers": Entry(appendices.list_layers),
    "appendix_glossary": Entry(appendices.list_glossary),
}


def build_sections(desk: Builder, names: Iterable[str] | None = None) -> list[Section]:
    """Builds the sections of these names, each within its own; all without names, in the registry's order.

    Raises KeyError for a name that is not registered, and for one whose outer section is not built before it.
    """
    built: dict[str, Section] = {}
    for name in SECTIONS if names is None else names:
        entry = SECTIONS[name]
        section = entry.build(desk)
        if section is None:
            continue
        if section.key != name:
            raise KeyError(f"{name} is registered, but its section is called {section.key}")
        if entry.within:
            outer = built[entry.within]
            built[entry.within] = replace(outer, sections=[*outer.sections, section])
        else:
            built[name] = section
    return list(built.values())
