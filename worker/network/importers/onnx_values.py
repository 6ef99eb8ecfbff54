"""What a tensor of an ONNX file can be while its record is written, and where the weights of the record come from."""

from __future__ import annotations

from dataclasses import dataclass

from worker.network.importers.expressions import Expression
from worker.network.importers.onnx_messages import Tensor

BATCH = None
"""The size that only the pictures decide."""
Axis = int | None


@dataclass(frozen=True)
class Activation:
    """What a node of the record gives. padding: zeros around it that the next convolution takes in. is_column: whether
    the file has one axis of one pixel behind the channels of it, where the record has none or two.
    """

    index: int
    padding: tuple[int, int] = (0, 0)
    is_column: bool = False


@dataclass(frozen=True)
class Partial:
    """Arithmetic on what a node gives, which no activation is yet. label: of the operation that gives it."""

    index: int
    expression: Expression
    label: str


@dataclass(frozen=True)
class Decision:
    """What is made of a network's logits at its end and leaves their order: softmax, or the class itself."""

    index: int
    label: str


@dataclass(frozen=True)
class Sizes:
    """Integers, row by row, of which a shape or a padding is computed. dims: empty where it is one number alone."""

    numbers: tuple[Axis, ...]
    dims: tuple[int, ...]


Value = Activation | Partial | Decision | Sizes | Tensor


@dataclass(frozen=True)
class StoredWeight:
    """A tensor of the file. is_transposed: the record has its two dimensions the other way round."""

    tensor: Tensor
    is_transposed: bool = False

    @property
    def lies_transposed(self) -> bool:
        """Whether its values lie in the file the other way round than the record has them."""
        return self.is_transposed != self.tensor.is_turned


@dataclass(frozen=True)
class ChannelShift:
    """Weights of a 1x1 convolution that copies channel i to i + `first`, and gives zeros elsewhere."""

    first: int


@dataclass(frozen=True)
class FoldedWeight:
    """A tensor of a linear layer with the batch norm behind it folded in. stored: None for a bias that was none.

    norm: gain, shift, mean and variance of each output.
    """

    stored: StoredWeight | None
    norm: tuple[StoredWeight, StoredWeight, StoredWeight, StoredWeight]
    eps: float


Weight = StoredWeight | ChannelShift | FoldedWeight
