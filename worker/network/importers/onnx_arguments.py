"""What a node of an ONNX file is given, read as what its translator expects; anything else is refused."""

from __future__ import annotations

from collections.abc import Mapping

from worker.network.importers.onnx_messages import FLOAT_TYPES, Attribute, OnnxNode, Tensor, TensorType
from worker.network.importers.onnx_values import Activation, Decision, Partial, Sizes, Value
from worker.network.importers.wire import WireReader
from worker.network.operations.base import InvalidNetwork
from worker.network.record import PICTURE

_PADDED = "zeros around a picture (Pad) are read only right before a convolution"
_NORMALISATION = "leave the normalisation of the picture out of the network, and tell its mean and std beside the file"


class Arguments:
    """The inputs and attributes of a node of the file, as its translator asks for them."""

    def __init__(self, node: OnnxNode, values: Mapping[str, Value], reader: WireReader) -> None:
        self.node, self._values, self._reader, self._read = node, values, reader, set[str]()

    def has(self, position: int) -> bool:
        """Whether that input is given."""
        return position < len(self.node.inputs) and self.node.inputs[position] != ""

    def get(self, position: int = 0) -> Value:
        """An input. Raises InvalidNetwork where nothing gives it."""
        if not self.has(position):
            raise InvalidNetwork(f"it lacks input {position}")
        name = self.node.inputs[position]
        if name not in self._values:
            raise InvalidNetwork(f"nothing before it gives {name!r:.80}")
        return self._values[name]

    def get_activation(self, position: int = 0) -> Activation:
        """An input that is computed from the picture, without zeros around it."""
        value = self.get_padded(position)
        if value.padding != (0, 0):
            raise InvalidNetwork(_PADDED)
        return value

    def get_padded(self, position: int = 0) -> Activation:
        """The same, zeros around it allowed."""
        value = self._get_computed(position)
        if value.is_column:
            raise InvalidNetwork("it reads channels with one axis behind them: none or two are read here")
        return value

    def get_column(self) -> Activation:
        """The first input, whichever of its axes of one pixel were dropped or added."""
        value = self._get_computed(0)
        if value.padding != (0, 0):
            raise InvalidNetwork(_PADDED)
        return value

    def _get_computed(self, position: int) -> Activation:
        value = self.get(position)
        if isinstance(value, Decision):
            raise InvalidNetwork(f"it reads what {value.label} gives, which is read at the end of a network alone")
        if isinstance(value, Activation):
            return value
        way_out = f"; {_NORMALISATION}" if self._reads_picture else ""
        if isinstance(value, Partial):
            raise InvalidNetwork(
                f"it reads what {value.label} gives: arithmetic with constants is not read here{way_out}"
            )
        raise InvalidNetwork(
            f"it computes with the constant {self.node.inputs[position]!r:.80}: arithmetic with constants and "
            f"parameters outside layers are not read here{way_out}"
        )

    @property
    def _reads_picture(self) -> bool:
        """Whether one of its inputs is the picture, or arithmetic on it."""
        given = [self._values.get(name) for name in self.node.inputs]
        return any(isinstance(value, Activation | Partial) and value.index == PICTURE for value in given)

    def get_constant(self, position: int) -> Tensor:
        """An input that is written in the file."""
        value = self.get(position)
        if not isinstance(value, Tensor):
            raise InvalidNetwork(f"its input {self.node.inputs[position]!r:.80} is computed, not a constant")
        return value

    def get_weight(self, position: int, rank: int | None = None) -> Tensor:
        """A constant of floats, of that many dimensions."""
        tensor = self.get_constant(position)
        if tensor.data_type not in FLOAT_TYPES:
            raise InvalidNetwork(f"tensor {tensor.name!r:.80}: it is not of floats")
        if tensor.num_values < 1 or (rank is not None and len(tensor.dims) != rank):
            raise InvalidNetwork(f"tensor {tensor.name!r:.80}: {list(tensor.dims)} is not of {rank} dimensions")
        return tensor

    def get_sizes(self, position: int) -> Sizes:
        """An input that is a shape, a list of axes or one of them."""
        value = self.get(position)
        if isinstance(value, Tensor):
            return self.convert_sizes(value)
        if not isinstance(value, Sizes):
            raise InvalidNetwork(f"its input {self.node.inputs[position]!r:.80} is computed from the picture")
        return value

    def convert_sizes(self, tensor: Tensor) -> Sizes:
        """A constant as a shape."""
        if tensor.data_type not in (TensorType.INT64, TensorType.INT32):
            raise InvalidNetwork(f"tensor {tensor.name!r:.80}: it is no list of integers")
        return Sizes(tuple(map(int, tensor.read_values(self._reader))), tensor.dims)

    @property
    def are_integers(self) -> bool:
        """Whether it reads something, and all of that are integers."""
        given = [self.get(place) for place in range(len(self.node.inputs)) if self.has(place)]
        integers = (TensorType.INT64, TensorType.INT32)
        return bool(given) and all(
            isinstance(value, Sizes) or (isinstance(value, Tensor) and value.data_type in integers) for value in given
        )

    def get_integers(self, position: int, name: str, default: tuple[int, ...] | None) -> tuple[int, ...]:
        """Integers that are an attribute in old files and an input in new ones."""
        said = self.list_integers(name, None)
        if said is None and self.has(position):
            said = check_integers(self.get_sizes(position))
        if said is None:
            said = default
        if said is None:
            raise InvalidNetwork(f"it lacks {name}")
        return said

    def find_scalar(self, position: int) -> float | None:
        """The one number that an input is, if it is one."""
        value = self.get(position)
        if not isinstance(value, Tensor) or value.num_values != 1 or value.data_type not in FLOAT_TYPES:
            return None
        if value.data_type == TensorType.BFLOAT16:
            return None
        return value.read_values(self._reader)[0]

    def _find(self, name: str) -> Attribute | None:
        self._read.add(name)
        return self.node.attributes.get(name)

    def get_integer(self, name: str, default: int) -> int:
        """An attribute."""
        value = self._find(name)
        if value is not None and not isinstance(value, int):
            raise InvalidNetwork(f"its attribute {name} is no integer")
        return default if value is None else value

    def get_float(self, name: str, default: float) -> float:
        """An attribute."""
        value = self._find(name)
        if value is not None and not isinstance(value, float):
            raise InvalidNetwork(f"its attribute {name} is no float")
        return default if value is None else value

    def get_text(self, name: str, default: str) -> str:
        """An attribute."""
        value = self._find(name)
        if value is not None and not isinstance(value, bytes):
            raise InvalidNetwork(f"its attribute {name} is no text")
        return default if value is None else value.decode()

    def list_integers(self, name: str, default: tuple[int, ...] | None) -> tuple[int, ...] | None:
        """An attribute."""
        value = self._find(name)
        if value is None:
            return default
        if not isinstance(value, tuple) or not all(isinstance(number, int) for number in value):
            raise InvalidNetwork(f"its attribute {name} is no list of integers")
        return tuple(map(int, value))

    def find_attribute(self, name: str) -> Attribute | None:
        """An attribute of any kind."""
        return self._find(name)

    def expect(self, name: str, meaning: float | str) -> None:
        """Raises InvalidNetwork where an attribute is given and is something else."""
        value = self._find(name)
        said = value.decode() if isinstance(value, bytes) else value
        if value is not None and said != meaning:
            raise InvalidNetwork(f"its attribute {name} is {said!r:.40}: only {meaning!r} is read here")

    def leave(self, decision: Decision) -> Decision:
        """What the node is given, whatever its attributes are: none of them changes which class it names."""
        self._read.update(self.node.attributes)
        return decision

    def check_all_read(self) -> None:
        """Raises InvalidNetwork where it has an attribute that nobody asked for: it might mean something."""
        if unread := sorted(self.node.attributes.keys() - self._read):
            raise InvalidNetwork(f"its attribute {unread[0]!r:.80} is not known here")


def check_integers(sizes: Sizes) -> tuple[int, ...]:
    """The numbers, none of which is the size of the batch."""
    numbers = tuple(number for number in sizes.numbers if number is not None)
    if len(numbers) < len(sizes.numbers):
        raise InvalidNetwork("it takes the size of the batch for a number")
    return numbers
