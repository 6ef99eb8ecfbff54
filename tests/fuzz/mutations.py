"""Compressed files that nobody's writer made: small valid ones, changed in every way that the format invites."""

from __future__ import annotations

import contextlib
import random
import re
import zlib
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from storage.errors import InvalidModel
from worker.catalog import ResizeMode
from worker.coding.container import _code_network, encode_network
from worker.coding.facts import needs_version_2
from worker.coding.fields import Fields
from worker.coding.kernel import open_writer
from worker.coding.limits import ARCHITECTURES, MAX_WEIGHTS
from worker.coding.ranges import BitCoder, RangeWriter
from worker.coding.scan import choose_scans, compute_natural_scan
from worker.coding.weights import Scan
from worker.integer_network import IntegerAffine, IntegerLayer, IntegerNetwork
from worker.model_heads import TONOK_HEAD_BYTES, TONOK_MAGIC
from worker.network.layers import count_outputs, find_affines
from worker.network.operations.elementwise import Concatenate, Flatten
from worker.network.operations.layers import BatchNorm, ChannelAffine, Convolution, Linear, build_square_convolution
from worker.network.record import Network, NetworkBuilder
from worker.picture_policy import ResizePolicy

ODD_VALUES = (0, 1, 127, 128, 254, 255)
ODD_WORDS = (
    "0",
    "1",
    "-1",
    "2",
    "4",
    "1048577",
    "281474976710657",
    "1e999",
    "true",
    "null",
    "[]",
    "{}",
    '"',
    "NaN",
    "",
)
FREE_WEIGHTS = 1 << 9
"""What a writer that lies may declare: the readers' own limit would make a run of minutes a run of days."""

Mutate = Callable[[random.Random, bytes], bytes]


def seal(body: bytes, version: int = 1) -> bytes:
    """A file of this body, with the checksum that belongs to it."""
    return TONOK_MAGIC[:2] + bytes([version]) + zlib.crc32(body).to_bytes(4, "big") + body


def build_layer(rng: random.Random, shape: tuple[int, ...], bit_width: int) -> IntegerLayer:
    """A layer of few weights, with floats of every kind: few bits, all bits, tiny, huge, zero."""
    highest = (1 << bit_width - 1) - 1
    weights = [rng.choice((0, 0, 1, -1, highest, -highest - 1)) for _ in range(int(np.prod(shape)))]
    clipped = np.clip(weights, -highest - 1, highest).astype(np.int8)
    # In one layer of three: the bits of all these take most of a small file's decisions, and most of a reader's time.
    floats = [0.0, 0.5, -0.125, 1 / 3, 2.0**-140, 3e38] if rng.random() < 0.3 else [0.0, 0.5, 1.0]
    return IntegerLayer(
        name=rng.choice(("", "", "a")),
        weight=clipped.reshape(shape),
        scale=np.array(rng.choices(floats, k=rng.choice((1, shape[0]))), np.float32),
        bias=np.array(rng.choices(floats, k=shape[0]), np.float32),
        bit_width=bit_width,
        input_scale=rng.choice((1.0, 1.0, 0.0625, 1 / 3, 1e-300)),
        input_zero_point=rng.choice((0, 1, -128)),
        input_bit_width=rng.choice((bit_width, 8)),
        input_signed=rng.random() < 0.5,
    )


def build_network(rng: random.Random, architecture: str, bit_width: int, num_layers: int) -> IntegerNetwork:
    """A network of tiny layers, a convolution first as often as not."""
    shapes: list[tuple[int, ...]] = [rng.choice([(1, 2), (2, 2), (1, 1, 2, 2), (2, 1, 1, 2)])]
    while len(shapes) < num_layers:
        shapes.append((rng.choice((1, 2)), shapes[-1][0] * rng.choice((1, 2))))
    return IntegerNetwork(
        architecture=architecture,
        widths=tuple(shape[0] for shape in shapes[:-1]),
        input_shape=(1, 2, rng.choice((2, 3))),
        class_names=rng.choice((("a",), ("a", "b"), (), ())),
        mean=(rng.choice((0.0, 0.5)),),
        std=(rng.choice((1.0, 0.25)),),
        layers=tuple(build_layer(rng, shape, bit_width) for shape in shapes),
    )


def build_networks(seed: int) -> list[IntegerNetwork]:
    """One of each architecture, and of one that is spelt, at each bit width; two of three of one layer."""
    rng = random.Random(seed)
    return [
        build_network(rng, architecture, bit_width, 1 + (place + bit_width) % 3 // 2)
        for place, architecture in enumerate((*ARCHITECTURES, "x"))
        for bit_width in range(1, 9)
    ] + [build_second(rng, bit_width, place) for place in range(8) for bit_width in (1, 4, 8)]


def build_record(rng: random.Random) -> Network:
    """A network of a few nodes that has something of all that a reader looks for in a record."""
    builder = NetworkBuilder((rng.choice((1, 3)), 2, 2))
    if rng.random() < 0.5:
        builder.add("scale", ChannelAffine())
    stem = builder.add("stem", Convolution(out_channels=2, kernel=(1, rng.choice((1, 2)))))
    last = builder.add("norm", BatchNorm(), stem)
    if rng.random() < 0.5:
        last = builder.add("cat", Concatenate(), stem, last)
        builder.add("late", BatchNorm())
    if rng.random() < 0.5:
        builder.add("deep", build_square_convolution(4, 1, groups=2))
    builder.add("flat", Flatten())
    builder.add("head", Linear(out_features=2))
    return builder.build()


def build_second(rng: random.Random, bit_width: int, place: int) -> IntegerNetwork:
    """A network that only version 2 holds: by its record, or by a number for each channel, or by how it is resized."""
    resize = ResizePolicy(height=rng.choice((1, 28)), width=28, mode=ResizeMode.PAD) if rng.random() < 0.5 else None
    if place % 4 == 0:
        network = build_network(rng, rng.choice((*ARCHITECTURES, "x")), bit_width, 2)
        network = replace(network, input_shape=(3, 2, 2), mean=(0.5, 0.25, 0.0), std=(1.0,))
        return replace(network, resize=resize)
    record = build_record(rng)
    shapes = {name: record.tensors[f"{name}.weight"] for name in count_outputs(record)}
    layers = [replace(build_layer(rng, shape, bit_width), name=name) for name, shape in shapes.items()]
    by_channel = (0.5,) * record.input_shape[0] if rng.random() < 0.5 else (0.5,)
    floats = [0.0, -0.0, 1.0, -1 / 3, 2.0**-140, 2.0**-126, 3e38]
    affines = [
        IntegerAffine(name, *(np.array(rng.choices(floats, k=channels), np.float32) for _ in range(2)))
        for name, channels in find_affines(record).items()
    ]
    return IntegerNetwork(
        architecture=rng.choice(("onnx", "torchvision:resnet18")),
        widths=(),
        input_shape=record.input_shape,
        class_names=rng.choice((("a", "b"), ())),
        mean=by_channel,
        std=by_channel,
        layers=tuple(layers),
        network=record,
        affines=tuple(affines),
        resize=resize,
    )


def flip_bits(rng: random.Random, body: bytes) -> bytes:
    """One bit most often, up to four."""
    changed = bytearray(body or b"\0")
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def change_bytes(rng: random.Random, body: bytes) -> bytes:
    """Bytes replaced, put in or taken out."""
    changed = bytearray(body or b"\0")
    place = rng.randrange(len(changed))
    values = bytes(
        rng.choice(ODD_VALUES) if rng.random() < 0.5 else rng.randrange(256) for _ in range(rng.randint(1, 4))
    )
    length = rng.choice((0, len(values), rng.randint(1, 4)))
    changed[place : place + length] = values
    return bytes(changed)


def truncate(rng: random.Random, body: bytes) -> bytes:
    """The beginning of a body, or one with zeros or noise behind it."""
    if rng.random() < 0.7:
        return body[: rng.randrange(len(body) + 1)]
    return body + rng.randbytes(rng.randint(1, 8)) * rng.choice((1, 1, 40))


def move_point(rng: random.Random, body: bytes) -> bytes:
    """Arithmetic on the number that a range decoder reads: what lies behind a decision moves a little or far."""
    place = rng.randrange(len(body) + 1)
    size = rng.choice((1, 2, 4, 8))
    window = int.from_bytes(body[place : place + size].ljust(size, b"\0"), "big")
    step = rng.choice((1, 2, 1 << rng.randrange(8 * size), rng.randrange(1, 1 << 8 * size)))
    moved = (window + rng.choice((-1, 1)) * step) % (1 << 8 * size)
    return body[:place] + moved.to_bytes(size, "big") + body[place + size :]


class LyingWriter(RangeWriter):
    """Writes some decisions otherwise than told and lets the writer go on with that: a file of false fields.

    The rest of the file is consistent with the lie, so that it reaches what noise hardly ever does.
    """

    def __init__(self, rng: random.Random, lies_at: Sequence[int], burst: int) -> None:
        super().__init__()
        self._rng, self._lies_at, self._burst = rng, set(lies_at), burst
        self._place, self._until = 0, 0

    def transcode(self, probability: int, bit: int) -> int:
        if self._place in self._lies_at:
            self._until = self._place + self._burst
            bit ^= 1
        elif self._place < self._until:
            bit = self._rng.getrandbits(1)
        self._place += 1
        return super().transcode(probability, bit)


def write_lies(rng: random.Random, network: IntegerNetwork, num_decisions: int) -> bytes:
    """The body of a file whose writer lied once to three times, at a decision or for a stretch of them."""
    lies = [rng.randrange(num_decisions) for _ in range(rng.choice((1, 1, 2, 3)))]
    writer = LyingWriter(rng, lies, rng.choice((1, 1, 4, 30)))
    # Where a lie does not fit what the writer has at hand: what is written so far is a file too.
    with contextlib.suppress(InvalidModel, ValueError, OverflowError):
        _code_network(Fields(writer), network, _choose_any_scans(rng, network), FREE_WEIGHTS, tell_version(network))
    return writer.finish()


class OtherRecord(Fields):
    """Writes another record of the network than its own: what is behind it is as if nothing had happened."""

    def __init__(self, writer: BitCoder, change: Callable[[str], str]) -> None:
        super().__init__(writer)
        self._change = change

    def octets(self, kind: str, value: bytes, limit: int) -> bytes:
        text = self._change(zlib.decompress(value, -zlib.MAX_WBITS).decode())
        deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        return super().octets(kind, deflater.compress(text.encode()) + deflater.flush(), limit)


def change_text(rng: random.Random, text: str) -> str:
    """One or two of the numbers, words and brackets of a JSON text replaced by others, or left out."""
    parts = re.split(r"([\d.]+|\w+|[\[\]{}:,])", text)
    for _ in range(rng.choice((1, 1, 2))):
        place = rng.randrange(len(parts))
        parts[place] = rng.choice((*ODD_WORDS, rng.choice(parts), rng.choice(parts)))
    return "".join(parts)


def write_other_record(rng: random.Random, network: IntegerNetwork) -> bytes:
    """The body of a file whose record was changed before it was deflated."""
    writer = open_writer()
    # The writer reads the record that it has written, and ends where that is none.
    with contextlib.suppress(InvalidModel, ValueError, OverflowError):
        fields = OtherRecord(writer, lambda text: change_text(rng, text))
        _code_network(fields, network, _choose_any_scans(rng, network), FREE_WEIGHTS, version=2)
    return writer.finish()


def _choose_any_scans(rng: random.Random, network: IntegerNetwork) -> tuple[Scan, ...]:
    """What the writer would choose, or any of the ways to walk a layer."""
    scans, previous = [], None
    for layer in network.layers:
        natural = compute_natural_scan(layer.weight, previous)
        previous = layer.weight
        flags = {name: rng.random() < 0.3 for name in ("by_column", "masked", "in_blocks")}
        scans.append(replace(natural, **flags))
    return tuple(scans)


def write_in_any_way(rng: random.Random, network: IntegerNetwork) -> bytes:
    """A valid file whose layers are walked in ways that the writer might not choose."""
    writer, version = open_writer(), tell_version(network)
    _code_network(Fields(writer), network, _choose_any_scans(rng, network), MAX_WEIGHTS, version)
    return seal(writer.finish(), version)


def count_decisions(network: IntegerNetwork) -> int:
    """How many single decisions the network's file holds."""
    writer = LyingWriter(random.Random(0), (), 0)
    _code_network(Fields(writer), network, choose_scans(network), FREE_WEIGHTS, tell_version(network))
    return writer._place


def tell_version(network: IntegerNetwork) -> int:
    """Of the network's file."""
    return 2 if needs_version_2(network) else 1


class Mutator:
    """Makes files, each from its number alone: any one can be made again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._networks = [(network, count_decisions(network)) for network in build_networks(seed)]
        self._of_records = [network for network, _ in self._networks if network.network is not None]
        files = [encode_network(network) for network, _ in self._networks]
        self._bodies = [(file[TONOK_HEAD_BYTES:], file[2]) for file in files]
        self._mutations: tuple[Mutate, ...] = (flip_bits, change_bytes, truncate, move_point)

    def make(self, number: int) -> tuple[str, bytes]:
        """What was done, and the file."""
        rng = random.Random(self._seed << 40 | number)
        kind = rng.randrange(8)
        if kind < 4:
            mutate = self._mutations[kind]
            body, version = rng.choice(self._bodies)
            return mutate.__name__, seal(mutate(rng, body), version)
        if kind == 4:
            (one, version), (other, _) = rng.choices(self._bodies, k=2)
            return "splice", seal(one[: rng.randrange(len(one) + 1)] + other[rng.randrange(len(other) + 1) :], version)
        if kind == 5:
            return "change_head", self._change_head(rng)
        if kind == 6:
            network = rng.choice(self._of_records)
            return "change_record", seal(write_other_record(rng, network), version=2)
        network, num_decisions = rng.choice(self._networks)
        return "write_lies", seal(write_lies(rng, network, num_decisions), tell_version(network))

    def _change_head(self, rng: random.Random) -> bytes:
        """Of the seven bytes and the first fields behind them, the checksum right more often than not."""
        chosen, version = rng.choice(self._bodies)
        body = bytearray(chosen)
        for _ in range(rng.randint(1, 3)):
            body[rng.randrange(min(8, len(body)))] = rng.choice((*ODD_VALUES, rng.randrange(256)))
        data = bytearray(seal(bytes(body), version))
        if rng.random() < 0.1:
            data[rng.randrange(TONOK_HEAD_BYTES)] = rng.randrange(256)
        return bytes(data)
