"""Layers and bit widths in, KB out: no model is needed."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Any, NoReturn, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from service.schemas.base import Answer
from worker.size_formula import count_chain_weights, count_convolution_weights

# Together these keep every number of an answer below 2^53, where JSON's readers stop counting exactly.
MOST_CHANNELS = 16_384
MOST_LAYERS = 512
Neurons = Annotated[int, Field(ge=1, le=1_000_000)]
Channels = Annotated[int, Field(ge=1, le=MOST_CHANNELS)]
KernelLength = Annotated[int, Field(ge=1, le=127)]
BitWidth = Annotated[int, Field(ge=1, le=32)]

OwnBitWidth = Annotated[
    BitWidth | None, Field(description="Width of this layer's weights in every estimate; without it the estimate's.")
]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SizedLayer(_Part):
    """Neurons, and a width of its own for the weights that lead into them."""

    neurons: Neurons
    bit_width: OwnBitWidth = None


class LinearLayer(_Part):
    """Each of `out_features` neurons reads all of `in_features` values."""

    in_features: Neurons = Field(description="Behind a convolution: channels × height × width of what it is handed.")
    out_features: Neurons
    bit_width: OwnBitWidth = None

    @property
    def num_weights(self) -> int:
        return self.in_features * self.out_features

    def follows(self, layer: LinearLayer | ConvolutionLayer) -> bool:
        """Whether it can read what `layer` gives: as it is, or a picture as one row."""
        if isinstance(layer, LinearLayer):
            return self.in_features == layer.out_features
        return self.in_features % layer.out_channels == 0


class ConvolutionLayer(_Part):
    """`out_channels` filters, each as large as the kernel and as deep as the channels that it reads."""

    in_channels: Channels
    out_channels: Channels
    kernel_size: Annotated[
        Annotated[KernelLength, Tag("[number]")] | Annotated[tuple[KernelLength, KernelLength], Tag("[list]")],
        Discriminator(lambda size: "[list]" if isinstance(size, list | tuple) else "[number]"),
    ] = Field(description="One number for a square, or `[height, width]`.")
    groups: Channels = Field(
        1,
        description="Groups of channels that are kept apart; as many as `in_channels` in a depthwise convolution. "
        "Must divide `in_channels` and `out_channels`.",
    )
    bit_width: OwnBitWidth = None

    @field_validator("groups")
    @classmethod
    def _check_groups(cls, groups: int, info: ValidationInfo) -> int:
        for name in ("in_channels", "out_channels"):
            if info.data.get(name, groups) % groups:
                raise ValueError(f"must divide {name}: each group has as many channels as the next")
        return groups

    @property
    def num_weights(self) -> int:
        size = self.kernel_size
        lengths = (size, size) if isinstance(size, int) else size
        return count_convolution_weights(self.in_channels, self.out_channels, lengths, self.groups)

    def follows(self, layer: LinearLayer | ConvolutionLayer) -> bool:
        """Whether it can read what `layer` gives: as it is, or a row as a picture."""
        if isinstance(layer, ConvolutionLayer):
            return self.in_channels == layer.out_channels
        return layer.out_features % self.in_channels == 0


ChainLayer = Annotated[
    Annotated[Neurons, Tag("[number]")] | Annotated[SizedLayer, Tag("[object]")],
    Discriminator(lambda layer: "[object]" if isinstance(layer, dict | SizedLayer) else "[number]"),
]


def _name_kind(layer: Any) -> str:
    named = set(layer) if isinstance(layer, dict) else set()
    return "[linear]" if named.isdisjoint(("in_channels", "out_channels", "kernel_size")) else "[convolution]"


Layer = Annotated[
    Annotated[LinearLayer, Tag("[linear]")] | Annotated[ConvolutionLayer, Tag("[convolution]")],
    Discriminator(_name_kind),
]


class SizeEstimateRequest(BaseModel):
    """Bit widths, and either the neurons of a fully connected network or the layers of any other."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"layer_sizes": [784, 256, 10], "bit_widths": [8, 6, 4, 2]},
                {
                    "layers": [
                        {"in_channels": 1, "out_channels": 32, "kernel_size": 3},
                        {"in_channels": 32, "out_channels": 64, "kernel_size": 3},
                        {"in_features": 3136, "out_features": 128},
                        {"in_features": 128, "out_features": 10, "bit_width": 8},
                    ],
                    "bit_widths": [8, 6, 4, 2],
                },
            ],
            # Beside the bit widths, one of the other two. Said by counting: readers of the document show `oneOf` as if
            # it were two kinds of body, and generators cannot read `false` as the schema of a field.
            "minProperties": 2,
            "maxProperties": 2,
        },
    )

    layer_sizes: list[ChainLayer] = Field(
        default_factory=list,
        min_length=2,
        max_length=64,
        description="Neurons of each layer of a fully connected network, the input first; a layer whose width is "
        'fixed as `{"neurons": 10, "bit_width": 8}`. No weights lead into the input: it has no `bit_width`.',
        json_schema_extra={
            "not": {
                "prefixItems": [
                    {"type": "object", "properties": {"bit_width": {"type": "integer"}}, "required": ["bit_width"]}
                ]
            }
        },
    )
    layers: list[Layer] = Field(
        default_factory=list,
        min_length=1,
        max_length=MOST_LAYERS,
        description="Instead of `layer_sizes`: every layer that has weights, with the names that PyTorch gives its "
        "sizes. They may branch: a layer need not read what the one before it gives, but a warning says so.",
    )
    bit_widths: list[BitWidth] = Field(
        min_length=1, max_length=64, description="One estimate for each: the width of all weights that are not fixed."
    )

    @model_validator(mode="after")
    def _check_form(self) -> Self:
        if self.layer_sizes and self.layers:
            _refuse("Give `layer_sizes` or `layers`, not both.", "layers")
        if not self.layer_sizes and not self.layers:
            _refuse("Give `layer_sizes` or `layers`.", "layer_sizes")
        if self.layer_sizes and isinstance(first := self.layer_sizes[0], SizedLayer) and first.bit_width is not None:
            _refuse("No weights lead into the input: leave this out.", "layer_sizes", 0, "bit_width")
        return self

    def count_weights(self) -> list[int]:
        """Of each layer that has weights: all but the input."""
        if self.layers:
            return [layer.num_weights for layer in self.layers]
        return count_chain_weights([size if isinstance(size, int) else size.neurons for size in self.layer_sizes])

    def choose_widths(self, bit_width: int) -> list[int]:
        """Of the same layers: a layer's own width, or this one."""
        layers = self.layers or self.layer_sizes[1:]
        return [bit_width if isinstance(layer, int) else layer.bit_width or bit_width for layer in layers]

    def list_warnings(self) -> list[str]:
        """Layers that cannot read what the one before them gives: right where a network branches, else a slip."""
        return [
            f"/layers/{place} cannot read what /layers/{place - 1} gives: right only where the network branches."
            for place, (before, layer) in enumerate(pairwise(self.layers), start=1)
            if not layer.follows(before)
        ]


def _refuse(sentence: str, *place: int | str) -> NoReturn:
    """Raises ValidationError at a place that a validator of the whole body found."""
    fault = InitErrorDetails(
        type=PydanticCustomError("value_error", "{sentence}", {"sentence": sentence}), loc=place, input=None
    )
    raise ValidationError.from_exception_data("", [fault])


class SizeEstimate(Answer):
    """Weights only: the sum of weights × bits over all layers, divided by 8."""

    bit_widths: list[int] = Field(description="Of each layer that has weights.")
    bytes: int
    kb: float
    ratio: float = Field(description="float32 bytes ÷ these bytes.")


class SizeEstimates(Answer):
    """Estimates by the formula."""

    num_weights: int
    layer_weights: list[int] = Field(description="Of each layer that has weights.")
    float32_bytes: int
    estimates: list[SizeEstimate]
    warnings: list[str] = Field(description="What may be a slip, and may be meant.")
