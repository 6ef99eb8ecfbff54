"""ONNX's layers, activations and what joins values → operations of the record."""

from __future__ import annotations

import math
from collections.abc import Callable

from worker.network.importers.expressions import Expression
from worker.network.importers.onnx_arguments import Arguments
from worker.network.importers.onnx_graph import GraphWriter, choose_hint
from worker.network.importers.onnx_messages import Tensor
from worker.network.importers.onnx_values import Activation, FoldedWeight, Partial, StoredWeight, Value
from worker.network.importers.onnx_windows import read_padding, read_pair
from worker.network.operations.base import InvalidNetwork, Operation, read_picture
from worker.network.operations.elementwise import (
    Add,
    Concatenate,
    Flatten,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Multiply,
    Relu,
    Relu6,
    Sigmoid,
    Silu,
)
from worker.network.operations.layers import BatchNorm, Convolution, Linear


def translate_convolution(said: Arguments, graph: GraphWriter) -> Value:
    """Conv, the zeros of a Pad before it taken in."""
    value, weight = said.get_padded(), said.get_weight(1, rank=4)
    shape = read_picture(graph.get_shape(value))
    kernel = (weight.dims[2], weight.dims[3])
    if said.list_integers("kernel_shape", kernel) != kernel:
        raise InvalidNetwork(f"tensor {weight.name!r:.80}: its windows are not of the size of kernel_shape")
    stride, dilation = read_pair(said, "strides"), read_pair(said, "dilations")
    padding = read_padding(said, shape[1:], kernel, stride, dilation)
    operation = Convolution(
        out_channels=weight.dims[0],
        kernel=kernel,
        stride=stride,
        padding=(padding[0] + value.padding[0], padding[1] + value.padding[1]),
        dilation=dilation,
        groups=said.get_integer("group", 1),
        bias=said.has(2),
    )
    weights = {"weight": StoredWeight(weight)}
    if said.has(2):
        weights["bias"] = StoredWeight(said.get_weight(2, rank=1))
    return graph.add(operation, value, hint=choose_hint(weight, said.node), **weights)


def translate_gemm(said: Arguments, graph: GraphWriter) -> Value:
    """Gemm of a flat value and a constant: a linear layer."""
    for name, meaning in (("alpha", 1.0), ("beta", 1.0), ("transA", 0)):
        said.expect(name, meaning)
    weight, is_stored_as_here = said.get_weight(1, rank=2), said.get_integer("transB", 0) == 1
    bias = _get_bias(said, 2) if said.has(2) else None
    return _add_linear(said, graph, weight, is_transposed=not is_stored_as_here, bias=bias)


def translate_matmul(said: Arguments, graph: GraphWriter) -> Value:
    """MatMul with a constant on the right: a linear layer, whose bias may follow in an Add."""
    return _add_linear(said, graph, said.get_weight(1, rank=2), is_transposed=True, bias=None)


def _get_bias(said: Arguments, position: int) -> Tensor:
    bias = said.get_weight(position)
    if bias.num_values != (bias.dims[-1] if bias.dims else 1):
        raise InvalidNetwork(f"tensor {bias.name!r:.80}: {list(bias.dims)} is no bias of a linear layer")
    return bias


def _add_linear(
    said: Arguments, graph: GraphWriter, weight: Tensor, *, is_transposed: bool, bias: Tensor | None
) -> Value:
    value = said.get_activation()
    operation = Linear(out_features=weight.dims[1 if is_transposed else 0], bias=bias is not None)
    weights = {"weight": StoredWeight(weight, is_transposed=is_transposed)}
    if bias is not None:
        weights["bias"] = StoredWeight(bias)
    return graph.add(operation, value, hint=choose_hint(weight, said.node), **weights)


def translate_batch_norm(said: Arguments, graph: GraphWriter) -> Value:
    """BatchNormalization with the statistics that training has left."""
    if said.get_integer("training_mode", 0) or any(said.node.outputs[1:]):
        raise InvalidNetwork("it was exported while training: call model.eval() before the export")
    said.expect("spatial", 1)
    eps, kept = said.get_float("epsilon", 1e-5), said.get_float("momentum", 0.9)
    if not (0 < eps <= 1 and 0 <= kept <= 1):
        raise InvalidNetwork("its epsilon or momentum lies outside 0 to 1")
    names = ("weight", "bias", "running_mean", "running_var")
    norm = [StoredWeight(said.get_weight(place, rank=1)) for place in range(1, 5)]
    value = said.get_activation()
    if len(graph.get_shape(value)) == 1:
        return _fold_norm(graph, value, norm, eps)
    # ONNX says how much of the old mean stays, PyTorch how much of the new one comes.
    operation = BatchNorm(eps=float(f"{eps:.7g}"), momentum=round(1 - kept, 7))
    hint = choose_hint(said.get_weight(1), said.node)
    return graph.add(operation, value, hint=hint, **dict(zip(names, norm, strict=True)))


def _fold_norm(graph: GraphWriter, value: Activation, norm: list[StoredWeight], eps: float) -> Value:
    """The linear layer before it, the batch norm folded in: a record has none of what is flat."""
    node, weights = graph.get_node(value), graph.get_weights(value)
    weight, bias = weights.get("weight"), weights.get("bias")
    if (
        node is None
        or not isinstance(node.operation, Linear)
        or not isinstance(weight, StoredWeight)
        or not isinstance(bias, StoredWeight | None)
        or not graph.is_read_once(value)
    ):
        raise InvalidNetwork("of what is flat, a batch norm is read right behind a linear layer alone")
    for tensor in norm:
        if tensor.tensor.dims != graph.get_shape(value):
            raise InvalidNetwork(f"tensor {tensor.tensor.name!r:.80}: it is not one number for each output")
    graph.note("batch norms behind linear layers were folded into them")
    gain, shift, mean, variance = norm
    folded = (gain, shift, mean, variance)
    return graph.replace_operation(
        value,
        node.operation.model_copy(update={"bias": True}),
        weight=FoldedWeight(weight, folded, eps),
        bias=FoldedWeight(bias, folded, eps),
    )


# --- activations


def translate_relu(said: Arguments, graph: GraphWriter) -> Value:
    """Relu."""
    return graph.add(Relu(), said.get_activation())


def translate_sigmoid(said: Arguments, graph: GraphWriter) -> Value:
    """Sigmoid."""
    return graph.add(Sigmoid(), said.get_activation())


def translate_leaky_relu(said: Arguments, graph: GraphWriter) -> Value:
    """LeakyRelu."""
    slope = said.get_float("alpha", 0.01)
    if not 0 <= slope <= 1:
        raise InvalidNetwork(f"its slope {slope} lies outside 0 to 1")
    return graph.add(LeakyRelu(negative_slope=float(f"{slope:.7g}")), said.get_activation())


def translate_hard_sigmoid(said: Arguments, graph: GraphWriter) -> Value:
    """HardSigmoid of PyTorch's slope: ONNX's own default is another."""
    slope, offset = said.get_float("alpha", 0.2), said.get_float("beta", 0.5)
    if abs(slope - 1 / 6) > 1e-6 or offset != 0.5:
        raise InvalidNetwork(f"its slope is {slope:g} and its offset {offset:g}: only 1/6 and 0.5 are read here")
    return graph.add(HardSigmoid(), said.get_activation())


def translate_hard_swish(said: Arguments, graph: GraphWriter) -> Value:
    """HardSwish."""
    return graph.add(HardSwish(), said.get_activation())


def translate_gelu(said: Arguments, graph: GraphWriter) -> Value:
    """Gelu, not its approximation by tanh."""
    said.expect("approximate", "none")
    return graph.add(Gelu(), said.get_activation())


def translate_swish(said: Arguments, graph: GraphWriter) -> Value:
    """Swish."""
    said.expect("alpha", 1.0)
    return graph.add(Silu(), said.get_activation())


def translate_clip(said: Arguments, graph: GraphWriter) -> Value:
    """Clip: ReLU, ReLU6 or a part of a hard activation."""
    low, high = (_get_bound(said, name, place) for place, name in enumerate(("min", "max"), start=1))
    low, high = -math.inf if low is None else low, math.inf if high is None else high
    value = said.get()
    if not isinstance(value, Partial):
        value = said.get_activation()
        whole: dict[tuple[float, float], Operation] = {(0.0, 6.0): Relu6(), (0.0, math.inf): Relu()}
        # The largest float is how old files write that there is no bound.
        bounds = (low, math.inf if high > 3e38 else high)
        if bounds in whole:
            return graph.add(whole[bounds], value)
    return _finish(said, graph, value.index, _express(value).apply("clip", low, high))


def _get_bound(said: Arguments, name: str, position: int) -> float | None:
    if name in said.node.attributes:
        return said.get_float(name, 0.0)
    if not said.has(position):
        return None
    bound = said.find_scalar(position)
    if bound is None:
        raise InvalidNetwork(f"its {name} is no constant number")
    return bound


def translate_erf(said: Arguments, graph: GraphWriter) -> Value:
    """Erf, a part of GELU."""
    value = said.get()
    return _finish(said, graph, _get_index(said, value), _express(value).apply("erf"))


def _express(value: Value) -> Expression:
    return value.expression if isinstance(value, Partial) else Expression()


def _get_index(said: Arguments, value: Value, position: int = 0) -> int:
    return value.index if isinstance(value, Partial) else said.get_activation(position).index


def _finish(said: Arguments, graph: GraphWriter, index: int, expression: Expression) -> Value:
    """The activation that the arithmetic is, once it is one."""
    if expression.is_plain:
        return Activation(index)
    operation = expression.find_operation()
    return Partial(index, expression, said.node.label) if operation is None else graph.add(operation, Activation(index))


# --- arithmetic


def translate_add(said: Arguments, graph: GraphWriter) -> Value:
    """Add or Sum of two: a residual, a bias behind its layer, or a part of a hard activation."""
    _expect_two(said)
    for first, second in ((0, 1), (1, 0)):
        number = said.find_scalar(second)
        if number is not None and not isinstance(said.get(first), Tensor):
            value = said.get(first)
            return _finish(said, graph, _get_index(said, value, first), _express(value).apply("add", number))
        if isinstance(said.get(second), Tensor):
            return _add_bias(said, graph, first, second)
    return graph.add(Add(), said.get_activation(0), said.get_activation(1))


def _add_bias(said: Arguments, graph: GraphWriter, first: int, second: int) -> Value:
    value, bias = said.get_activation(first), said.get_constant(second)
    node, size = graph.get_node(value), graph.get_shape(value)[0]
    if node is not None and graph.is_read_once(value):
        operation = node.operation
        shapes = [(size,), (1, size)] if isinstance(operation, Linear) else [(size, 1, 1), (1, size, 1, 1)]
        if isinstance(operation, Linear | Convolution) and not operation.bias and bias.dims in shapes:
            bias = said.get_weight(second)
            return graph.replace_operation(value, operation.model_copy(update={"bias": True}), bias=StoredWeight(bias))
    return said.get_activation(second)  # raises: a constant


def translate_subtract(said: Arguments, graph: GraphWriter) -> Value:
    """Sub of a number."""
    return _translate_number(said, graph, lambda expression, number: expression.apply("add", -number))


def translate_divide(said: Arguments, graph: GraphWriter) -> Value:
    """Div by a number."""
    return _translate_number(
        said, graph, lambda expression, number: expression.scale_by(1 / number if number else math.inf)
    )


def _translate_number(said: Arguments, graph: GraphWriter, change: Callable[[Expression, float], Expression]) -> Value:
    number = said.find_scalar(1)
    value = said.get(0)
    if number is None:
        said.get_activation(0)
        said.get_activation(1)
        raise InvalidNetwork("it is not on the list of operations")
    return _finish(said, graph, _get_index(said, value), change(_express(value), number))


def translate_multiply(said: Arguments, graph: GraphWriter) -> Value:
    """Mul: of two values, or a part of SiLU, hard-swish or GELU."""
    _expect_two(said)
    for first, second in ((0, 1), (1, 0)):
        number = said.find_scalar(second)
        if number is not None and not isinstance(said.get(first), Tensor):
            value = said.get(first)
            return _finish(said, graph, _get_index(said, value, first), _express(value).scale_by(number))
    one, other = said.get(0), said.get(1)
    if isinstance(one, Partial) or isinstance(other, Partial):
        if _get_index(said, one, 0) != _get_index(said, other, 1):
            raise InvalidNetwork("it multiplies arithmetic on two values: arithmetic with constants is not read here")
        return _finish(said, graph, _get_index(said, one, 0), _express(one).multiply(_express(other)))
    pair = (said.get_activation(0), said.get_activation(1))
    gated: dict[type[Operation], Operation] = {Sigmoid: Silu(), HardSigmoid: HardSwish()}
    for value, gate in (pair, pair[::-1]):
        node = graph.get_node(gate)
        if node is not None and node.inputs == (value.index,) and type(node.operation) in gated:
            return graph.add(gated[type(node.operation)], value)
    return graph.add(Multiply(), *pair)


def _expect_two(said: Arguments) -> None:
    if len(said.node.inputs) != 2:
        raise InvalidNetwork(f"it joins {len(said.node.inputs)} values: two are read here")


def translate_concat(said: Arguments, graph: GraphWriter) -> Value:
    """Concat of channels."""
    values = [said.get_activation(place) for place in range(len(said.node.inputs))]
    rank = 1 + len(graph.get_shape(values[0]))
    if said.get_integer("axis", 0) not in (1, 1 - rank):
        raise InvalidNetwork("it joins along another axis than the channels")
    return graph.add(Concatenate(), *values)


def flatten(graph: GraphWriter, value: Activation) -> Activation:
    """All values in one row; a value that is flat already stays."""
    return value if len(graph.get_shape(value)) == 1 else graph.add(Flatten(), value)
