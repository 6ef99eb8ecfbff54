"""What a study found, as keys of sentences with their numbers: every claim of the report is decided in the analysis."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from worker.report.language.values import Value
from worker.report.language.wording import Wording


@dataclass(frozen=True)
class Finding:
    """One sentence, language-neutral. source: what its numbers are read from, as `step: job, part of the result`."""

    key: str
    values: Mapping[str, Value] = field(default_factory=dict)
    source: str = ""

    def say(self, wording: Wording) -> str:
        """The sentence."""
        return wording.say(self.key, **self.values)

    def to_json(self, wording: Wording) -> dict[str, Any]:
        """For the report's data file: the sentence beside the numbers that it was made from."""
        return {
            "key": self.key,
            "values": {name: value.raw for name, value in self.values.items()},
            "source": self.source,
        } | {"sentence": self.say(wording)}
