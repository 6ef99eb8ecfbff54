"""What kind of file somebody brings, by its first bytes; files that may hold code are refused, with what to do."""

from __future__ import annotations

from enum import StrEnum

from worker.network.operations.base import InvalidNetwork

HEAD_BYTES = 512
"""As many first bytes tell all that is told here."""
EXPORT_LINE = (
    'torch.onnx.export(model.eval(), torch.zeros(1, 3, 32, 32), "model.onnx", dynamo=False, '
    "do_constant_folding=False, training=torch.onnx.TrainingMode.PRESERVE)"
)
"""Makes an ONNX file of a PyTorch network, its batch norms and names kept; 3, 32, 32: channels, height, width."""


class FileKind(StrEnum):
    """Which importer reads it."""

    SAFETENSORS = "safetensors"
    ONNX = "onnx"


_ARCHIVES = {
    b"PK\x03\x04": "a zip archive, as .pt, .pth, .pt2, .npz and .keras files are",
    b"PK\x05\x06": "a zip archive",
    b"\x89HDF": "an HDF5 file",
    b"\x1f\x8b": "a gzip file",
    b"BZh": "a bzip2 file",
    b"\xfd7zXZ": "an xz file",
    b"7z\xbc\xaf": "a 7-Zip archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"Rar!": "a RAR archive",
    b"\x93NUMPY": "a NumPy file",
    b"GGUF": "a GGUF file",
}
_PICKLES = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))
_TAR_MAGIC = slice(257, 262)
_LITERT_MAGIC = slice(4, 8)
_MAX_SAFETENSORS_HEADER = 100 << 20


def identify_file(head: bytes) -> FileKind:
    """The importer of a file, by its first `HEAD_BYTES`. Raises InvalidNetwork for what none reads, saying why.

    What is no known file counts as ONNX, which has no magic number: its reader finds what is wrong.
    """
    length = int.from_bytes(head[:8], "little")
    if head[8:9] == b"{" and 2 <= length <= _MAX_SAFETENSORS_HEADER:
        return FileKind.SAFETENSORS
    if head.startswith(_PICKLES):
        raise InvalidNetwork(f"it is a pickle, as .pt and .pth files are: it may run code. {_ADVICE}")
    for magic, name in _ARCHIVES.items():
        if head.startswith(magic):
            raise InvalidNetwork(f"it is {name}. {_ADVICE}")
    if head[_TAR_MAGIC] == b"ustar":
        raise InvalidNetwork(f"it is a tar archive, as old .pth.tar files are. {_ADVICE}")
    if head[_LITERT_MAGIC] == b"TFL3":
        raise InvalidNetwork(f"it is a LiteRT file. {_ADVICE}")
    return FileKind.ONNX


_ADVICE = f"Bring an ONNX file instead: {EXPORT_LINE}, or the state dict as safetensors with its architecture"
