"""A network as an ONNX model of opset 21, from its record and what stands in its layers."""

from __future__ import annotations

from typing import Any

import onnx

from worker.catalog import WeightType
from worker.checkpoint_facts import describe_facts
from worker.exports.float_network import FloatNetwork, to_floats
from worker.exports.onnx.graph import GraphWriter, name_value
from worker.exports.onnx.operations import WRITERS, Parameters, Place
from worker.exports.onnx.parameters import FloatParameters, IntegerParameters
from worker.integer_network import IntegerNetwork
from worker.network.layers import find_batch_norms
from worker.network.record import PICTURE, Network

OPSET = 21
"""The first whose QuantizeLinear and DequantizeLinear know int4."""
IR_VERSION = 10
"""Of the format that opset 21 came with."""
INPUT, OUTPUT = "pictures", "logits"


def write_model(network: IntegerNetwork | FloatNetwork, weight_type: WeightType) -> Any:
    """The model. Its input is pixels of 0 to 255, uint8 (batch, C, H, W); its output the logits, (batch, classes)."""
    if isinstance(network, IntegerNetwork):
        record = describe_facts(network)
        parameters: Parameters = IntegerParameters(network, weight_type)
        folded = frozenset(find_batch_norms(record).values())
    else:
        record, parameters, folded = network.network, FloatParameters(network), frozenset()
    graph = GraphWriter()
    values = {PICTURE: _normalize(graph, network.mean, network.std)}
    for number, node in enumerate(record.nodes):
        read = [values[index] for index in node.inputs]
        # Such a batch norm is part of the layer before it.
        values[number] = read[0]
        if node.name not in folded:
            place = Place(
                name=node.name,
                operation=node.operation,
                inputs=record.list_inputs(node),
                x=read,
                shape=record.shapes[number],
                graph=graph,
                parameters=parameters,
            )
            WRITERS[type(node.operation)](place)
            values[number] = name_value(node.name)
    graph.add("Identity", [values[record.output]], OUTPUT)
    return _build(graph, record, network.class_names)


def _normalize(graph: GraphWriter, mean: tuple[float, ...], std: tuple[float, ...]) -> str:
    """(p / 255 - mean) / std, step by step as it is computed here."""
    x = graph.add("Cast", [INPUT], "pixels/float", to=onnx.TensorProto.FLOAT)
    steps = (("Div", "share", [255.0]), ("Sub", "centred", mean), ("Div", "normalized", std))
    for operation, name, values in steps:
        constant = graph.add_constant(f"pixels/by_{name}", to_floats(values).reshape(-1, 1, 1))
        x = graph.add(operation, [x, constant], f"pixels/{name}")
    return x


def _build(graph: GraphWriter, record: Network, class_names: tuple[str, ...]) -> Any:
    helper = onnx.helper
    shape = record.shapes[record.output]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "network",
            [helper.make_tensor_value_info(INPUT, onnx.TensorProto.UINT8, ["batch", *record.input_shape])],
            [helper.make_tensor_value_info(OUTPUT, onnx.TensorProto.FLOAT, ["batch", *shape])],
            graph.constants,
        ),
        producer_name="tonok",
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET)],
    )
    helper.set_model_props(model, {f"class_{number}": name for number, name in enumerate(class_names)})
    onnx.checker.check_model(model, full_check=True)
    return model
