"""A checkpoint may hold the record of its network where no architecture of ours describes it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from storage.errors import InvalidModel
from tests.service.model_files import FACTS
from worker.checkpoint_facts import describe_facts, parse_facts, write_facts
from worker.network.operations.elementwise import Relu
from worker.network.operations.layers import Linear, build_square_convolution
from worker.network.operations.pooling import Mean
from worker.network.record import NetworkBuilder


def build() -> NetworkBuilder:
    builder = NetworkBuilder((1, 28, 28))
    builder.add("stem", build_square_convolution(4, 3))
    builder.add("act", Relu())
    builder.add("mean", Mean())
    builder.add("head", Linear(out_features=10))
    return builder


NETWORK = build().build()
FOREIGN: dict[str, Any] = FACTS | {"architecture": "onnx", "widths": [], "network": NETWORK.to_json()}


def test_the_record_of_a_file_is_its_network() -> None:
    info = parse_facts(json.dumps(FOREIGN)).info
    assert info.network == NETWORK
    assert describe_facts(info) == NETWORK
    assert json.loads(write_facts(info)) == FOREIGN


def test_what_is_ours_is_written_as_it_was_before() -> None:
    assert "network" not in json.loads(write_facts(parse_facts(json.dumps(FACTS)).info))


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"network": {"input": [1, 28, 28], "nodes": [], "output": 0}}, "network"),
        ({"network": 7}, "network"),
        ({"network": None}, "architecture"),
        ({"architecture": "mlp"}, "architecture"),
        ({"architecture": "torchvision:../resnet18"}, "architecture"),
        ({"widths": [4]}, "widths"),
        ({"input_shape": [1, 28, 32]}, "input_shape"),
        ({"class_names": list("012345678")}, "class_names"),
    ],
)
def test_a_record_that_contradicts_its_file_is_refused_by_the_field(said: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidModel) as caught:
        parse_facts(json.dumps(FOREIGN | said))
    assert caught.value.field == field
