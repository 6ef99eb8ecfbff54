"""What a user's file may hold. Whatever goes beyond is refused before it is read into memory."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetLimits:
    """The limits of one import; those of a single picture are in worker/picture_conversion.py."""

    max_pictures: int = 200_000
    min_classes: int = 2
    max_classes: int = 1_000
    max_entry_bytes: int = 32 << 20
    """Of one picture's file."""
    max_decoded_bytes: int = 2 << 30
    """Of all pictures, as uint8."""
    max_expansion: int = 200
    """Bytes unpacked of a file for each byte packed."""
    max_directory_bytes: int = 32 << 20
    """Of a zip file's directory. Python keeps some 13 bytes for each."""
    max_table_bytes: int = 32 << 20
    """Of a table of labels, or an array of them."""
    max_class_name: int = 100


LIMITS = DatasetLimits()
