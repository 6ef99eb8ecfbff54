"""Small files that would be large, and zip files that lie. Each is refused within bounded memory."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping

from PIL import Image

from tests.worker.dataset_files.conftest import draw_picture

MEGABYTE = 1_000_000
GOOD = {
    f"{split}/{name}/1.png": draw_picture(level) for split in ("train", "test") for level, name in enumerate("ab", 5)
}
_LOCAL, _DIRECTORY, _END = b"PK\x03\x04", b"PK\x01\x02", b"PK\x05\x06"
_ENCRYPTED = 0x1
_SIZE_PLACES = {
    "BMP": ((b"BM", 18), struct.pack("<ii", 60_000, 60_000)),
    "GIF": ((b"GIF", 6), struct.pack("<HH", 0xFFFF, 0xFFFF)),
    "JPEG": ((b"\xff\xc0", 5), struct.pack(">HH", 0xFFFF, 0xFFFF)),
    "WEBP": ((b"VP8L", 9), struct.pack("<I", 0x3FFF | 0x3FFF << 14)),
}
"""What stands how far before the size, and the largest."""


def build_zip(entries: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return stream.getvalue()


def build_directory(entries: list[tuple[bytes, int, int, int, int]], before: bytes, extra: bytes = b"") -> bytes:
    """A zip file with a directory by hand. entries: (name, offset, packed, unpacked, flags). before: what is in it."""
    directory = b"".join(
        _DIRECTORY
        + struct.pack("<HHHHHHIII", 20, 20, flags, 0, 0, 33, 0, packed, unpacked)
        + struct.pack("<HHHHHII", len(name), len(extra), 0, 0, 0, 0, offset)
        + name
        + extra
        for name, offset, packed, unpacked, flags in entries
    )
    number = min(len(entries), 0xFFFF)
    return before + directory + _END + struct.pack("<HHHHIIH", 0, 0, number, number, len(directory), len(before), 0)


def build_local(name: bytes, content: bytes) -> bytes:
    """An entry that is stored as it is."""
    head = struct.pack("<HHHHHIIIHH", 20, 0, 0, 0, 33, zlib.crc32(content), len(content), len(content), len(name), 0)
    return _LOCAL + head + name + content


def build_large_png() -> bytes:
    """169 megapixels of one bit each, in some 20 KB."""
    side = 13_000
    packer = zlib.compressobj(9)
    row = bytes(1 + side // 8)
    data = b"".join([*(packer.compress(row) for _ in range(side)), packer.flush()])
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)), (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def save(picture: Image.Image, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


def resize_header(content: bytes, kind: str) -> bytes:
    """The same file, which says that it is as large as its format can tell."""
    before, size = _SIZE_PLACES[kind]
    place = content.index(before[0]) + before[1]
    return content[:place] + size + content[place + len(size) :]


def build_large_pictures() -> dict[str, bytes]:
    """Pictures that declare more than is decoded, by name."""
    small = Image.new("RGB", (8, 8), (1, 2, 3))
    headers = {
        f"large.{kind.casefold()}": resize_header(save(small, kind, lossless=True), kind) for kind in _SIZE_PLACES
    }
    return {"large.png": build_large_png(), "large.ppm": b"P6 60000 60000 255\n" + bytes(100), **headers}


def build_many_scans() -> bytes:
    """A JPEG file whose last pass over the picture is repeated two thousand times."""
    content = save(Image.effect_noise((64, 64), 60), "JPEG", progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * 2_000 + content[-2:]


def build_liar() -> bytes:
    """An entry of 200 MB that is said to have as many bytes as another picture."""
    packed = zlib.compress(bytes(200 * MEGABYTE), 9)[2:-4]
    name = b"train/a/2.png"
    head = struct.pack("<HHHHHIIIHH", 20, 0, 8, 0, 33, 0, len(packed), 1000, len(name), 0)
    whole = build_zip(GOOD, zipfile.ZIP_STORED)
    start = whole.index(_DIRECTORY)
    end = whole.index(_END)
    local = _LOCAL + head + name + packed
    entry = (
        _DIRECTORY
        + struct.pack("<HHHHHHIIIHHHHHII", 20, 20, 0, 8, 0, 33, 0, len(packed), 1000, len(name), 0, 0, 0, 0, 0, start)
        + name
    )
    directory = whole[start:end] + entry
    number = len(GOOD) + 1
    return (
        whole[:start] + local + directory + _END
        + struct.pack("<HHHHIIH", 0, 0, number, number, len(directory), start + len(local), 0)
    )  # fmt: skip


def build_encrypted() -> bytes:
    content = bytearray(build_zip(GOOD))
    content[content.index(_LOCAL) + 6] |= _ENCRYPTED
    content[content.index(_DIRECTORY) + 8] |= _ENCRYPTED
    return bytes(content)


def build_overlap() -> bytes:
    """Sixteen entries that share one kernel of zeros."""
    name = b"train/a/00.png"
    local = build_local(name, bytes(100_000))
    names = [f"train/{'ab'[place % 2]}/{place:02}.png".encode() for place in range(16)]
    return build_directory([(name, 0, 100_000, 100_000, 0) for name in names], local)


def build_zip64_lie() -> bytes:
    """An entry whose sizes are in the extra field, where they are a terabyte."""
    extra = struct.pack("<HHQQ", 1, 16, 1 << 40, 1 << 40)
    local = build_local(b"train/a/1.png", draw_picture(1))
    return build_directory([(b"train/a/1.png", 0, 0xFFFFFFFF, 0xFFFFFFFF, 0)], local, extra)


def build_zip64_end_lie() -> bytes:
    """The directory is said to have an exabyte."""
    whole = build_zip(GOOD)
    end = whole.index(_END)
    record = b"PK\x06\x06" + struct.pack("<QHHIIQQQQ", 44, 45, 45, 0, 0, 4, 4, 1 << 60, end)
    locator = b"PK\x06\x07" + struct.pack("<IQI", 0, end, 1)
    last = _END + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
    return whole[:end] + record + locator + last


def build_entries(number: int) -> Callable[[], bytes]:
    """So many entries of nothing: as many as the directory has room for."""
    return lambda: build_directory([(b"%x" % place, 0, 0, 0, 0) for place in range(number)], b"")


def rename(flags: int, name: bytes) -> Callable[[], bytes]:
    """One entry with a name of these bytes, in the directory and before it."""

    def build() -> bytes:
        content = draw_picture(1)
        return build_directory([(name, 0, len(content), len(content), flags)], build_local(name, content))

    return build


def build_duplicates() -> bytes:
    first, second = build_local(b"a/1.png", draw_picture(1)), build_local(b"a/1.png", draw_picture(2))
    size = len(draw_picture(1))
    return build_directory(
        [(b"a/1.png", 0, size, size, 0), (b"a/1.png", len(first), size, size, 0)], first + second
    )  # fmt: skip


def build_npz_of_784_gb() -> bytes:
    arrays = {
        name: f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
        for name, shape in {"x_train.npy": (1_000_000, 1_000, 784), "y_train.npy": (1_000_000,)}.items()
    }
    entries = {name: b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head for name, head in arrays.items()}
    return build_zip(entries)


def build_idx_bomb(declared: tuple[int, int, int]) -> Callable[[], bytes]:
    """A gzip file of 400 MB of zeros, in a zip file that says nothing of it."""

    def build() -> bytes:
        stream = io.BytesIO()
        with gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=9) as file:
            file.write(struct.pack(">HBB3I", 0, 8, 3, *declared))
            for _ in range(400):
                file.write(bytes(MEGABYTE))
        labels = struct.pack(">HBBI", 0, 8, 1, declared[0]) + bytes(declared[0])
        return build_zip(
            {"train-images-idx3-ubyte.gz": stream.getvalue(), "train-labels-idx1-ubyte": labels}, zipfile.ZIP_STORED
        )

    return build


REFUSED: Mapping[str, Callable[[], bytes]] = {
    "204 KB that hold 200 MB": lambda: build_zip({"a/1.png": bytes(200 * MEGABYTE)}),
    "NPZ of 784 GB": build_npz_of_784_gb,
    "gzip with more than declared": build_idx_bomb((10, 28, 28)),
    "gzip with as much as declared": build_idx_bomb((100, 2000, 2000)),
    "a name that leads out": lambda: build_zip(GOOD | {"train/a/../../../../etc/1.png": draw_picture(1)}),
    "an absolute name": lambda: build_zip(GOOD | {"/etc/1.png": draw_picture(1)}),
    "a name that leads out on Windows": lambda: build_zip(GOOD | {"train\\a\\..\\..\\..\\1.png": draw_picture(1)}),
    "overlapping entries": build_overlap,
    "encrypted": build_encrypted,
    "zip64 sizes": build_zip64_lie,
    "zip64 directory": build_zip64_end_lie,
    "a million entries": build_entries(1_000_000),
    "as many entries as the directory may have": build_entries(640_000),
    "a name twice": build_duplicates,
    "a name said to be UTF-8 that is not": rename(0x800, b"a/\xff\xfe.png"),
    "a name in another code": rename(0, "a/фото.png".encode("cp866")),
    "a name with a zero byte": rename(0, b"a/1.png\0.exe"),
    "half a zip file": lambda: build_zip(GOOD)[:-30],
    "no zip file": lambda: b"GIF89a" * 100,
    "nothing": lambda: b"",
}
