"""The last touch of a DOCX, on its zip: an embedded font, and bytes that depend on the content alone."""

from __future__ import annotations

import re
import uuid
import zipfile
from pathlib import Path

from worker.report.language.fonts import BOLD, REGULAR

FALLBACK = "Tahoma"
"""Has Persian letters on every Windows and Mac; used where embedded fonts are not."""
_OBFUSCATED = 32
_ZIP_EPOCH = (1980, 1, 1, 0, 0, 0)
_FONT_TYPE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/font"
_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"


def finish_package(draft: Path, path: Path, *, embed_font: str | None) -> None:
    """Copies the package with fixed times and order, and embeds the vendored font under that name."""
    with zipfile.ZipFile(draft) as package:
        parts = {name: package.read(name) for name in package.namelist()}
    if embed_font is not None:
        _embed(parts, embed_font)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as package:
        # The content types come first, as readers expect.
        for name in sorted(parts, key=lambda part: (part != "[Content_Types].xml", part)):
            entry = zipfile.ZipInfo(name, _ZIP_EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            package.writestr(entry, parts[name])


def obfuscate(font: bytes, key: uuid.UUID) -> bytes:
    """A font as Office wants it embedded: the first 32 bytes XOR the key, backwards (ECMA-376 part 4, 2.8.1)."""
    mask = key.bytes[::-1]
    head = bytes(byte ^ mask[place % 16] for place, byte in enumerate(font[:_OBFUSCATED]))
    return head + font[_OBFUSCATED:]


def _embed(parts: dict[str, bytes], name: str) -> None:
    slots, relationships = [], []
    for position, (slot, file) in enumerate((("embedRegular", REGULAR), ("embedBold", BOLD)), start=1):
        key = uuid.uuid5(uuid.NAMESPACE_URL, file.name)
        parts[f"word/fonts/font{position}.odttf"] = obfuscate(file.read_bytes(), key)
        slots.append(f'<w:{slot} r:id="rId{position}" w:fontKey="{{{str(key).upper()}}}"/>')
        relationships.append(
            f'<Relationship Id="rId{position}" Type="{_FONT_TYPE}" Target="fonts/font{position}.odttf"/>'
        )
    parts["word/_rels/fontTable.xml.rels"] = (
        f'<?xml version="1.0" encoding="UTF-8"?><Relationships xmlns="{_RELATIONSHIPS}">'
        f"{''.join(relationships)}</Relationships>"
    ).encode()
    font = (
        f'<w:font w:name="{name}"><w:altName w:val="{FALLBACK}"/><w:charset w:val="B2"/><w:family w:val="swiss"/>'
        f'<w:pitch w:val="variable"/>{"".join(slots)}</w:font>'
    )
    table = parts["word/fontTable.xml"].decode()
    if "xmlns:r=" not in table:
        table = table.replace(
            "<w:fonts ",
            '<w:fonts xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" ',
            1,
        )
    parts["word/fontTable.xml"] = table.replace("</w:fonts>", f"{font}</w:fonts>").encode()
    settings = parts["word/settings.xml"].decode()
    # After the zoom, where the schema has its place.
    settings = re.sub(r"(<w:zoom[^>]*/>)", r"\1<w:embedTrueTypeFonts/>", settings, count=1)
    parts["word/settings.xml"] = settings.replace("<w:embedSystemFonts/>", "").encode()
    types = parts["[Content_Types].xml"].decode()
    default = '<Default Extension="odttf" ContentType="application/vnd.openxmlformats-officedocument.obfuscatedFont"/>'
    parts["[Content_Types].xml"] = re.sub(r"(<Types[^>]*>)", rf"\1{default}", types, count=1).encode()
