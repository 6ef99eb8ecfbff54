"""Vazirmatn (Saber Rastikerdar, SIL Open Font License 1.1, see OFL.txt), from the package `vazirmatn` 33.0.3."""

from __future__ import annotations

from pathlib import Path

FONT_FOLDER = Path(__file__).parent
PERSIAN_FONT = "Vazirmatn"
REGULAR = FONT_FOLDER / "Vazirmatn-Regular.ttf"
BOLD = FONT_FOLDER / "Vazirmatn-Bold.ttf"
