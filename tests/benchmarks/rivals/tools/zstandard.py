"""Bytes of files after zstd at its highest level: a JSON list of paths comes in, a JSON list of numbers goes out."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import zstandard


def main() -> None:
    compressor = zstandard.ZstdCompressor(level=zstandard.MAX_COMPRESSION_LEVEL)
    paths = [Path(name) for name in json.load(sys.stdin)]
    print(json.dumps([len(compressor.compress(path.read_bytes())) for path in paths]))


if __name__ == "__main__":
    main()
