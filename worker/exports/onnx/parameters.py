"""What stands in the layers of an ONNX graph: floats, or integers with what makes floats of them (QDQ)."""

from __future__ import annotations

import numpy as np

from storage.errors import InvalidModel
from worker.catalog import WeightType
from worker.exports.float_network import FloatNetwork, Floats, to_floats
from worker.exports.onnx.graph import GraphWriter, name_value
from worker.integer_network import IntegerLayer, IntegerNetwork

INT4_BITS = 4
MAX_INPUT_BITS = 16


class FloatParameters:
    """Of a float network."""

    def __init__(self, network: FloatNetwork) -> None:
        self._weights, self._network = network.weights, network.network

    def read_input(self, graph: GraphWriter, name: str, x: str) -> str:  # noqa: ARG002 - nothing is to be added
        return x

    def write_weight(self, graph: GraphWriter, name: str) -> str:
        return graph.add_constant(name_value(name, "weight"), self._weights[f"{name}.weight"])

    def get_bias(self, name: str) -> Floats | None:
        return self._weights.get(f"{name}.bias")

    def get_affine(self, name: str) -> tuple[Floats, Floats]:
        gain, shift = (self._weights[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias"))
        if f"{name}.running_var" in self._weights:
            (operation,) = (node.operation for node in self._network.nodes if node.name == name)
            mean, variance = (self._weights[f"{name}.running_{part}"].astype(np.float64) for part in ("mean", "var"))
            gain = gain / np.sqrt(variance + operation.eps)  # type: ignore[attr-defined]  # of a batch norm
            shift = shift - gain * mean
        return to_floats(gain), to_floats(shift)


class IntegerParameters:
    """Of a quantized network. weight_type: of its weights in the file."""

    def __init__(self, network: IntegerNetwork, weight_type: WeightType) -> None:
        self._layers = {layer.name: layer for layer in network.layers}
        self._affines = {affine.name: affine for affine in network.affines}
        self._weight_type = weight_type

    def read_input(self, graph: GraphWriter, name: str, x: str) -> str:
        """Quantizes and back. Fewer bits than the integers have are clipped before they are rounded, as floats."""
        layer = self._layers[name]
        integer, zero_point, (lowest, highest) = _choose_integer(layer)
        scale = graph.add_constant(name_value(name, "input_scale"), to_floats(layer.input_scale))
        zero = graph.add_constant(name_value(name, "input_zero_point"), np.array(zero_point, integer))
        if layer.input_bit_width < np.iinfo(integer).bits:
            bounds = [
                graph.add_constant(
                    name_value(name, f"input_{part}"), to_floats(np.float32(bound) * np.float32(layer.input_scale))
                )
                for part, bound in (("lowest", lowest), ("highest", highest))
            ]
            x = graph.add("Clip", [x, *bounds], name_value(name, "clipped"))
        quantized = graph.add("QuantizeLinear", [x, scale, zero], name_value(name, "quantized"))
        return graph.add("DequantizeLinear", [quantized, scale, zero], name_value(name, "input"))

    def write_weight(self, graph: GraphWriter, name: str) -> str:
        layer = self._layers[name]
        weight, scale = fold_signs(layer)
        if self._weight_type is WeightType.FLOAT32:
            along = (-1,) + (1,) * (weight.ndim - 1)
            return graph.add_constant(name_value(name, "weight"), to_floats(weight) * scale.reshape(along))
        # A layer's 4 bits that a negative gain has turned over may reach 8.
        fits = self._weight_type is WeightType.INT4 and weight.max(initial=0) < 8
        stored = name_value(name, "integers")
        integers = graph.add_int4(stored, weight) if fits else graph.add_constant(stored, weight)
        scales = graph.add_constant(name_value(name, "scale"), scale)
        return graph.add("DequantizeLinear", [integers, scales], name_value(name, "weight"), axis=0)

    def get_bias(self, name: str) -> Floats | None:
        return self._layers[name].bias

    def get_affine(self, name: str) -> tuple[Floats, Floats]:
        return self._affines[name].gain, self._affines[name].shift


def choose_weight_type(network: IntegerNetwork | FloatNetwork, weight_type: WeightType | None) -> WeightType:
    """The type that was asked for, or the smallest that holds the weights. Raises InvalidModel where it cannot."""
    if isinstance(network, FloatNetwork):
        if weight_type in (None, WeightType.FLOAT32):
            return WeightType.FLOAT32
        raise InvalidModel(
            f"the model is of floats: quantize it before its weights are {weight_type}", field="weight_type"
        )
    most = max((layer.bit_width for layer in network.layers), default=1)
    if weight_type is None:
        return WeightType.INT4 if most <= INT4_BITS else WeightType.INT8
    if weight_type is WeightType.INT4 and most > INT4_BITS:
        raise InvalidModel(f"weights of {most} bits do not fit into int4", field="weight_type")
    return weight_type


def fold_signs(layer: IntegerLayer) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.int8]], Floats]:
    """The weights with a positive scale for each output: runtimes expect it so. The one value that has no opposite in
    int8, -128, becomes 127 where it is turned over.
    """
    scale = np.broadcast_to(layer.scale, len(layer.weight))
    signs = np.where(scale < 0, -1, 1).reshape((-1,) + (1,) * (layer.weight.ndim - 1))
    weight = np.minimum(layer.weight.astype(np.int16) * signs, 127).astype(np.int8)
    # A scale of zero: all that it multiplies is to be zero, and is so with any scale.
    is_dead = scale == 0
    weight[is_dead] = 0
    return weight, to_floats(np.where(is_dead, 1, np.abs(scale)))


def _choose_integer(
    layer: IntegerLayer,
) -> tuple[type[np.int8 | np.uint8 | np.int16 | np.uint16], int, tuple[int, int]]:
    """The type of a layer's input, its zero point, and the lowest and highest integer without it."""
    lowest, highest = layer.input_range
    if not lowest <= 0 <= highest:
        raise InvalidModel(f"layer {layer.name} has a zero point that none of its inputs is: ONNX cannot hold it")
    if layer.input_bit_width > MAX_INPUT_BITS:
        raise InvalidModel(f"layer {layer.name} reads numbers of more than {MAX_INPUT_BITS} bits: ONNX cannot hold it")
    is_wide = layer.input_bit_width > 8
    if layer.input_signed and layer.input_zero_point == 0:
        return np.int16 if is_wide else np.int8, 0, (lowest, highest)
    return np.uint16 if is_wide else np.uint8, -lowest, (lowest, highest)
