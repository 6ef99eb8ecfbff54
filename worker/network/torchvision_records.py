"""Records of torchvision's networks, by name. They were traced once and lie here as data: nothing of it is imported.

`worker.importing.torchvision_tracing` writes them; a test traces each again. What needs more than the operations of a
record is not among them (channel shuffle, attention, layer norm), nor what has more weights than an import may have.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

from worker.network.operations.base import InvalidNetwork, Shape
from worker.network.record import Network, parse_network
from worker.network.retarget import check_state, find_last_layer, find_smallest_side, replace_classes, replace_input

PREFIX = "torchvision:"
NAMES: tuple[str, ...] = (
    "densenet121",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_v2_s",
    "googlenet",
    "inception_v3",
    "mnasnet0_5",
    "mnasnet0_75",
    "mnasnet1_0",
    "mnasnet1_3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "regnet_x_400mf",
    "regnet_x_800mf",
    "regnet_x_1_6gf",
    "regnet_x_3_2gf",
    "regnet_y_400mf",
    "regnet_y_800mf",
    "regnet_y_1_6gf",
    "regnet_y_3_2gf",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext50_32x4d",
    "squeezenet1_0",
    "squeezenet1_1",
)
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
"""Heads that help a training of googlenet and inception_v3, and are read by nothing else."""
_COUNTER = ".num_batches_tracked"
_WRAPPERS = frozenset({"module", "model", "_orig_mod", "net", "network", "backbone", "state_dict"})
"""What modules are called that do nothing but hold a network, as `DataParallel` and `torch.compile` make them."""
_FOLDER = Path(__file__).with_name("torchvision")
INDEX = _FOLDER / "index.json"


@dataclass(frozen=True)
class Summary:
    """What a list of networks says of one, at 224×224 and 1,000 classes. smallest_side: of a square picture."""

    num_parameters: int
    macs: int
    smallest_side: int


def summarise(network: Network) -> Summary:
    """What the index says of it."""
    return Summary(network.num_parameters, sum(network.macs.values()), find_smallest_side(network))


@cache
def read_summaries() -> dict[str, Summary]:
    """Name → what is said of it. Written beside the records: to work it out takes seconds."""
    return {name: Summary(**said) for name, said in json.loads(INDEX.read_bytes()).items()}


def write_summaries(summaries: Mapping[str, Summary]) -> str:
    """The index as JSON."""
    return json.dumps({name: asdict(summary) for name, summary in summaries.items()}, indent=1) + "\n"


def record_path(name: str) -> Path:
    """Where the record of a network lies."""
    return _FOLDER / f"{name}.json"


def write_record(network: Network) -> str:
    """A record as JSON, a line for each node."""
    said = network.to_json()
    nodes = ",\n".join(json.dumps(node) for node in said["nodes"])
    return f'{{"input": {json.dumps(said["input"])}, "output": {said["output"]}, "nodes": [\n{nodes}\n]}}\n'


@cache
def _read_record(name: str) -> Network:
    if name not in NAMES:
        raise InvalidNetwork(f"{PREFIX}{name:.60}: it is none of {', '.join(NAMES)}")
    return parse_network(record_path(name).read_bytes())


def describe_torchvision(
    name: str, *, input_shape: tuple[int, int, int] = (3, 224, 224), num_classes: int = 1000
) -> Network:
    """The record of `torchvision.models.get_model(name, num_classes=num_classes)` for such pictures.

    Raises InvalidNetwork where the name is not known, or the pictures are too small for it.
    """
    return replace_classes(replace_input(_read_record(name), input_shape), num_classes)


def match_torchvision(name: str, shapes: Mapping[str, Shape], side: int | tuple[int, int] = 224) -> Network:
    """The record whose state dict has these tensors, by name → shape; classes and channels are as many as they say.

    side: of the pictures, or their height and width. Raises InvalidNetwork that names the first tensor that differs.
    """
    network = _read_record(name)
    kept = {tensor: shapes[place] for tensor, place in map_state(shapes).items()}
    tensors = network.tensors
    first = next(iter(tensors))
    last = f"{network.nodes[find_last_layer(network)].name}.weight"
    for tensor in (first, last):
        if len(kept.get(tensor, ())) != len(tensors[tensor]):
            check_state(network, kept)
    channels, num_classes = kept[first][1], kept[last][0]
    height, width = (side, side) if isinstance(side, int) else side
    network = replace_classes(replace_input(network, (channels, height, width)), num_classes)
    check_state(network, kept)
    return network


def map_state(names: Iterable[str]) -> dict[str, str]:
    """Name of a weight → its name in the file, without counters of batches and auxiliary heads.

    A network within a module that does nothing else, such as one that trains it on many devices, has the name of that
    before each of its own: left out too.
    """
    listed = list(names)
    prefix = _find_wrappers(listed)
    found = {name.removeprefix(prefix): name for name in listed}
    return {
        name: place for name, place in found.items() if not name.endswith(_COUNTER) and not name.startswith(_AUXILIARY)
    }


def _find_wrappers(names: Sequence[str]) -> str:
    """What all names begin with, as long as it is called like a wrapper: empty, or with a dot at its end."""
    prefix = ""
    while names:
        part = names[0].removeprefix(prefix).split(".")[0]
        longer = f"{prefix}{part}."
        if part not in _WRAPPERS or not all(name.startswith(longer) for name in names):
            break
        prefix = longer
    return prefix
