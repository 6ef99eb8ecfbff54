"""What a checkpoint says of itself, and within which bounds. Torch-free: the API holds an upload against it too."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Annotated, Any, Protocol

from pydantic import FailFast, PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from storage.errors import InvalidModel
from worker.catalog import Architecture
from worker.names import is_name
from worker.network.architectures import NUM_WIDTHS, describe_network
from worker.network.operations.base import InvalidNetwork
from worker.network.record import Network, parse_network
from worker.normalization import PerChannel
from worker.picture_policy import ResizePolicy

MAX_WIDTHS = 1024
LARGEST_WIDTH = 16_384
MAX_CLASSES = 4096
MAX_NAME_BYTES = 255
MAX_SIDE = 4096
LARGEST_MEAN = 256.0
SMALLEST_STD, LARGEST_STD = 1e-6, 1e6
FEWEST_EXAMPLES = 10
"""Of what a file may say about itself: files come from outside too."""

_ORIGIN = re.compile(r"onnx|torchvision:[a-z0-9_]{1,60}")
AVERAGES = frozenset({"accuracy", "micro avg", "macro avg", "weighted avg"})
"""Rows of a classification report beside the classes'; a class of such a name would be lost in it."""


def _read_record(said: Any) -> Network | None:
    if said is None or isinstance(said, Network):
        return said
    try:
        return parse_network(json.dumps(said))
    except InvalidNetwork as error:
        raise InvalidModel(f"network in the file is not valid: {error}", field="network") from None


Record = Annotated[
    Network | None,
    PlainValidator(_read_record),
    PlainSerializer(lambda network: None if network is None else network.to_json(), return_type=dict[str, Any] | None),
]
"""A network as data, in JSON as `parse_network` reads it."""


@dataclass(frozen=True)
class CheckpointInfo:
    """What rebuilds a network and reads its input; `dataset` and `split_seed` say what it was trained on.

    dataset: None for a network that was measured on none here.
    """

    architecture: str
    # The first wrong item ends the search: a file may hold a hundred thousand of them.
    widths: Annotated[tuple[int, ...], FailFast()]
    input_shape: tuple[int, int, int]
    class_names: Annotated[tuple[str, ...], FailFast()]
    mean: PerChannel
    std: PerChannel
    dataset: str | None
    split_seed: int
    num_train_examples: int | None = None
    """So many of the split's training pictures were used; later jobs of the lineage use no more."""
    network: Record = None
    """What the network is, where no architecture of ours and its widths say so; `widths` then are empty."""
    resize: ResizePolicy | None = None
    """How pictures of another size became its input; None for the built-in data sets, and in older files."""


class NetworkFacts(Protocol):
    """What the files of both formats say."""

    @property
    def architecture(self) -> str:
        """A name of worker/catalog.py, or where the network of a record came from."""

    @property
    def network(self) -> Network | None:
        """The network, where its architecture is none of ours."""

    @property
    def widths(self) -> tuple[int, ...]:
        """Of the hidden layers."""

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the network's outputs."""

    @property
    def mean(self) -> tuple[float, ...]:
        """A pixel p enters as (p / 255 - mean) / std; one number for each channel, or one for all."""

    @property
    def std(self) -> tuple[float, ...]:
        """See `mean`."""

    @property
    def resize(self) -> ResizePolicy | None:
        """How pictures of another size become its input, where the file says it."""


_FACTS = TypeAdapter(CheckpointInfo)
_NAMES = frozenset(field.name for field in fields(CheckpointInfo))


@dataclass(frozen=True)
class Declaration:
    """The facts of a file, and the names of those that this version does not know."""

    info: CheckpointInfo
    unknown: tuple[str, ...]


def parse_facts(text: str) -> Declaration:
    """The facts as a checkpoint's header holds them, within bounds. Raises InvalidModel, which names the field."""
    try:
        said = json.loads(text)
        if not isinstance(said, dict):
            raise InvalidModel("what the file says of itself is not a JSON object", field="tonok")
        info = _FACTS.validate_json(text, strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False, include_context=False, include_input=False)[0]
        field = str(next(iter(fault["loc"]), "tonok"))
        raise InvalidModel(f"{field} in the file is missing or of another type", field=field) from None
    except InvalidModel:
        raise
    except (ValueError, RecursionError):
        raise InvalidModel("what the file says of itself is not JSON", field="tonok") from None
    check_facts(info)
    return Declaration(info, tuple(name for name in said if name not in _NAMES))


def write_facts(info: CheckpointInfo) -> str:
    """What `parse_facts` reads."""
    facts = _FACTS.dump_python(info, mode="json")
    for later in ("network", "resize"):
        if facts[later] is None:  # as it was before there were such
            del facts[later]
    return json.dumps(facts, sort_keys=True)


def check_facts(facts: NetworkFacts) -> None:
    """Raises InvalidModel, which names the field."""
    names, counts = facts.class_names, (1, facts.input_shape[0])
    is_ours = facts.network is None
    rules = {
        "architecture": (
            facts.architecture in list(Architecture) if is_ours else bool(_ORIGIN.fullmatch(facts.architecture)),
            f"one of {', '.join(Architecture)}" if is_ours else "where the network came from, in a word",
        ),
        "widths": (
            len(facts.widths) <= (MAX_WIDTHS if is_ours else 0),
            f"at most {MAX_WIDTHS} of them, and none beside a network's record",
        ),
        "input_shape": (
            all(1 <= side <= MAX_SIDE for side in facts.input_shape),
            f"each side from 1 to {MAX_SIDE}",
        ),
        "class_names": (
            1 <= len(names) <= MAX_CLASSES and all(map(is_class_name, names)),
            f"1 to {MAX_CLASSES} names, each a line of readable text of 1 to {MAX_NAME_BYTES} bytes",
        ),
        "mean": (
            len(facts.mean) in counts and all(abs(mean) <= LARGEST_MEAN for mean in facts.mean),
            f"a number from -{LARGEST_MEAN:g} to {LARGEST_MEAN:g}, or one for each channel",
        ),
        "std": (
            len(facts.std) in counts and all(SMALLEST_STD <= std <= LARGEST_STD for std in facts.std),
            f"a number from {SMALLEST_STD:g} to {LARGEST_STD:g}, or one for each channel",
        ),
        "resize": (
            facts.resize is None or (facts.resize.height, facts.resize.width) == facts.input_shape[1:],
            "of the size that the network reads",
        ),
    }
    if isinstance(facts, CheckpointInfo):
        rules["split_seed"] = (0 <= facts.split_seed < 2**31, "from 0 to 2^31 - 1")
        rules["num_train_examples"] = (
            facts.num_train_examples is None or facts.num_train_examples >= FEWEST_EXAMPLES,
            f"at least {FEWEST_EXAMPLES}",
        )
    for field, (is_kept, rule) in rules.items():
        if not is_kept:
            raise InvalidModel(f"{field} of the network is out of bounds: {rule}", field=field)
    if len(set(names)) < len(names):
        raise InvalidModel("class_names of the network is out of bounds: no name may come twice", field="class_names")
    if facts.network is None:
        _check_widths(facts.architecture, facts.widths)
    elif facts.network.input_shape != facts.input_shape:
        raise InvalidModel("the network reads pictures of another shape", field="input_shape")
    elif facts.network.num_classes != len(names):
        raise InvalidModel(
            f"the network tells {facts.network.num_classes} classes apart, {len(names)} are named", field="class_names"
        )


def _check_widths(architecture: str, widths: Sequence[int]) -> None:
    if not all(1 <= width <= LARGEST_WIDTH for width in widths):
        raise InvalidModel(f"each width must lie between 1 and {LARGEST_WIDTH}", field="widths")
    wanted = NUM_WIDTHS[architecture]
    if wanted is not None and len(widths) != wanted:
        raise InvalidModel(f"{architecture} has {wanted} hidden widths, {len(widths)} were given", field="widths")


def is_class_name(text: str) -> bool:
    """Whether a network's class may be called so."""
    return 1 <= len(text.encode("utf-8", "replace")) <= MAX_NAME_BYTES and is_name(text) and text not in AVERAGES


def describe_model(
    architecture: str,
    widths: Sequence[int] | None = None,
    *,
    input_shape: tuple[int, int, int] = (1, 28, 28),
    num_classes: int = 10,
) -> Network:
    """The record of a built-in network.

    widths: channels or neurons of each hidden layer, in forward order; None for the architecture's own.
    Raises InvalidModel where the name is unknown, the widths do not fit, or the pictures are too small.
    """
    if architecture not in list(Architecture):
        raise InvalidModel(f"unknown architecture {architecture!r:.60}", field="architecture")
    if widths is not None:
        _check_widths(architecture, widths)
    try:
        return describe_network(
            architecture, None if widths is None else tuple(widths), input_shape=input_shape, num_classes=num_classes
        )
    except InvalidNetwork as error:
        raise InvalidModel(
            f"no {architecture} can be built for such pictures: {error}", field="architecture"
        ) from error


def describe_facts(facts: NetworkFacts, widths: Sequence[int] | None = None) -> Network:
    """The record of the network that a file's facts are of. widths: others than the file's. Raises InvalidModel."""
    if facts.network is not None:
        return facts.network
    return describe_model(
        facts.architecture,
        facts.widths if widths is None else widths,
        input_shape=facts.input_shape,
        num_classes=len(facts.class_names),
    )
