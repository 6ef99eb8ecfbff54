"""What the head of a model's file tells before anybody reads its weights. Torch-free: the API refuses by it at once.

A file comes from anywhere: nothing is read that its size and a few limits do not bound.
"""

from __future__ import annotations

import io
import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

from storage.errors import InvalidModel
from worker.checkpoint_facts import Declaration, describe_facts, parse_facts
from worker.network.record import MAX_NODES

TONOK_MAGIC = b"TK\x01"
"""Of a compressed file of version 1. The last byte is the version of the format."""
TONOK_MAGIC_2 = b"TK\x02"
"""Of one that holds what version 1 has no place for."""
TONOK_HEAD_BYTES = len(TONOK_MAGIC) + 4
MAX_TONOK_BYTES = 1 << 28

MAX_HEADER_BYTES = 1 << 20
MAX_DIMENSIONS = 8
MAX_TENSORS = 4096
_MOST_BRACKETS = 3 * MAX_TENSORS + 8 * MAX_NODES + 64
"""Three to a tensor, and as many to a node of a network's record as a pooling has. Counted before the header is
parsed: a mebibyte of empty lists holds everybody else up."""
ITEM_BYTES = {"F16": 2, "BF16": 2, "F32": 4}
"""Types of weights that a checkpoint may have; all become float32."""
_STATE_ITEM_BYTES = ITEM_BYTES | {"F64": 8}
COUNTER = "num_batches_tracked"
"""What batch norms count while they train: of no use to inference."""
_COUNTER_BYTES = 8
_CHUNK_BYTES = 1 << 20
_MOST_FAULTS = 3
"""So many tensors that do not fit are named."""
_PICKLES = (b"PK\x03\x04", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")


@dataclass(frozen=True)
class TensorOutline:
    """A tensor that a file holds. dtype: as safetensors calls it."""

    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class SafetensorsHead:
    """The head of a safetensors file. facts: what Tonok writes of a network, None in a file of others; lines: name of
    each tensor → what is said of it, nothing of which was checked.
    """

    facts: str | None
    lines: Mapping[str, Any]
    num_data_bytes: int


@dataclass(frozen=True)
class CheckpointHeader:
    """The head of a safetensors checkpoint. tensors: without the counters of batch norms."""

    declaration: Declaration
    tensors: Mapping[str, TensorOutline]

    @property
    def dtypes(self) -> tuple[str, ...]:
        """The types among its weights, in order of name."""
        return tuple(sorted({tensor.dtype for tensor in self.tensors.values()}))


def is_tonok(stream: BinaryIO) -> bool:
    """Whether the file says that it is a compressed one, of whatever version."""
    stream.seek(0)
    return stream.read(2) == TONOK_MAGIC[:2]


def check_tonok_frame(data: bytes, num_bytes: int) -> None:
    """The first bytes of a compressed file of `num_bytes`. Raises InvalidModel."""
    if num_bytes < TONOK_HEAD_BYTES or data[:2] != TONOK_MAGIC[:2]:
        raise InvalidModel("This is not a Tonok file.")
    if data[:3] not in (TONOK_MAGIC, TONOK_MAGIC_2):
        raise InvalidModel(
            f"The file is of format version {data[2]}; this reader knows {TONOK_MAGIC[2]} and {TONOK_MAGIC_2[2]}."
        )
    if num_bytes > MAX_TONOK_BYTES:
        raise InvalidModel("The file is larger than the format allows.")


def check_tonok_file(stream: BinaryIO) -> None:
    """Head and checksum of a compressed file, read piece by piece. Raises InvalidModel.

    All else in it is coded: only a worker can read it.
    """
    num_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    head = stream.read(TONOK_HEAD_BYTES)
    check_tonok_frame(head, num_bytes)
    checksum = 0
    while chunk := stream.read(_CHUNK_BYTES):
        checksum = zlib.crc32(chunk, checksum)
    if checksum != int.from_bytes(head[3:], "big"):
        raise InvalidModel("The file is damaged: its checksum does not match.")


def read_checkpoint_header(stream: BinaryIO) -> CheckpointHeader:
    """What a safetensors checkpoint says of itself and of its tensors, held against its size and its network's layers.

    Raises InvalidModel.
    """
    header = parse_checkpoint(read_safetensors_head(stream))
    check_tensors(header)
    return header


def read_safetensors_head(stream: BinaryIO) -> SafetensorsHead:
    """The head of a safetensors file, its JSON parsed and no more. Raises InvalidModel."""
    num_bytes = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    size = stream.read(8)
    header_bytes = int.from_bytes(size, "little")
    if len(size) < 8 or header_bytes > min(MAX_HEADER_BYTES, num_bytes - 8):
        if size.startswith(_PICKLES):  # asked here alone: the length of a header may begin with the same bytes
            raise InvalidModel("the file is a pickle, as torch.save writes it, and those are never opened here")
        raise InvalidModel("the file is neither a Tonok file nor a safetensors checkpoint")
    text = stream.read(header_bytes)
    if text.count(b"[") + text.count(b"{") > _MOST_BRACKETS:
        raise InvalidModel(f"the file's header describes more than {MAX_TENSORS} tensors", field="tensors")
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidModel("the file is neither a Tonok file nor a safetensors checkpoint") from None
    if not isinstance(said, dict):
        raise InvalidModel("the file is neither a Tonok file nor a safetensors checkpoint")
    metadata = said.pop("__metadata__", None)
    facts = metadata.get("tonok") if isinstance(metadata, dict) else None
    return SafetensorsHead(facts if isinstance(facts, str) else None, said, num_bytes - 8 - header_bytes)


def parse_checkpoint(head: SafetensorsHead) -> CheckpointHeader:
    """What the head of a checkpoint of Tonok's says. Raises InvalidModel, also where the file is none."""
    if head.facts is None:
        raise InvalidModel(
            "the file is a safetensors file without the metadata that Tonok writes (`tonok`): a plain state dict does "
            "not say which network it is of, nor how it reads a picture"
        )
    declaration = parse_facts(head.facts)
    tensors = _read_outlines(head.lines, head.num_data_bytes, ITEM_BYTES)
    rows = len(declaration.info.class_names)
    if not any(tensor.shape[:1] == (rows,) for tensor in tensors.values()):
        raise InvalidModel(f"class_names in the file are {rows}, and no layer has as many outputs", field="class_names")
    return CheckpointHeader(declaration, tensors)


def read_state_outlines(head: SafetensorsHead) -> dict[str, TensorOutline]:
    """The tensors of a plain state dict, counters left out; weights of 64 bits are taken, too. Raises InvalidModel."""
    return _read_outlines(head.lines, head.num_data_bytes, _STATE_ITEM_BYTES)


def _read_outlines(
    header: Mapping[str, Any], num_data_bytes: int, types: Mapping[str, int]
) -> dict[str, TensorOutline]:
    """The tensors but for counters. Raises InvalidModel where one lies outside the file, or two overlap."""
    outlines, spans = {}, []
    for name, said in header.items():
        outline, (first, last) = _read_outline(said)
        is_counter = name.endswith(COUNTER) and not outline.shape
        if outline.dtype not in types and not (is_counter and outline.dtype == "I64"):
            raise InvalidModel(
                f"tensor {name!a:.60} is of another type than weights may be: {', '.join(types)}",
                field="tensors",
            )
        item_bytes = types.get(outline.dtype, _COUNTER_BYTES)
        if last - first != item_bytes * math.prod(outline.shape):
            raise InvalidModel("the bytes of a tensor in the file do not fit its shape", field="tensors")
        spans.append((first, last))
        if not is_counter:
            outlines[name] = outline
    end = 0
    for first, last in sorted(spans):
        if first != end:
            raise InvalidModel("the tensors of the file overlap, or leave a gap", field="tensors")
        end = last
    if end != num_data_bytes:
        raise InvalidModel("the file is cut short, or longer than its tensors", field="tensors")
    return outlines


def _read_outline(said: Any) -> tuple[TensorOutline, tuple[int, int]]:
    """A tensor's line of the header, and where its bytes lie."""
    said = said if isinstance(said, dict) else {}
    dtype, shape, span = said.get("dtype"), said.get("shape"), said.get("data_offsets")
    if (
        isinstance(dtype, str)
        and isinstance(shape, list)
        and len(shape) <= MAX_DIMENSIONS
        and isinstance(span, list)
        and len(span) == 2
        and all(type(number) is int and 0 <= number < 2**48 for number in (*shape, *span))
    ):
        return TensorOutline(dtype, tuple(shape)), (span[0], span[1])
    raise InvalidModel("the file's header describes a tensor in a way that safetensors does not", field="tensors")


def check_tensors(header: CheckpointHeader) -> None:
    """Holds the names and shapes of a file's tensors against the network that it says it is of. Raises InvalidModel.

    Counters of batches may be there or not; any of the known types of weights will do.
    """
    info = header.declaration.info
    expected = describe_facts(info).tensors
    found = {name: tensor.shape for name, tensor in header.tensors.items()}
    faults = [
        *(f"{name} is missing" for name in expected if name not in found),
        *(
            f"{name} is {list(found[name])} and not {list(shape)}"
            for name, shape in expected.items()
            if found.get(name, shape) != shape
        ),
        *(f"{name!a:.60} belongs to no layer" for name in found if name not in expected),
    ]
    if faults:
        more = f"; and {len(faults) - _MOST_FAULTS} more" if len(faults) > _MOST_FAULTS else ""
        raise InvalidModel(
            f"the checkpoint's tensors are not those of {info.architecture} with its "
            f"{'widths' if info.network is None else 'record'}: "
            f"{'; '.join(faults[:_MOST_FAULTS])}{more}",
            field="tensors",
        )
