"""The size of a network from the sizes of its layers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from torch import nn

from service.app import create_app
from storage.settings import Settings
from tests.service.conftest import check_problem
from worker.catalog import Architecture
from worker.core.models import build_model

PATH = "/v1/size-estimates"
CONVOLUTION = {"in_channels": 32, "out_channels": 64, "kernel_size": 3}


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TestClient]:
    """One service for all of these: nothing is stored."""
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), allowed_hosts="testserver")
    with TestClient(create_app(settings)) as client:
        yield client


def describe_layer(module: nn.Conv2d | nn.Linear) -> dict[str, Any]:
    """What somebody copies who has printed the network."""
    if isinstance(module, nn.Linear):
        return {"in_features": module.in_features, "out_features": module.out_features}
    names = ("in_channels", "out_channels", "kernel_size", "groups")
    return {name: getattr(module, name) for name in names}


def test_neurons_times_neurons_times_bits(client: TestClient) -> None:
    body = {"layer_sizes": [784, 128, 10], "bit_widths": [8, 4]}
    answer = client.post(PATH, json=body).json()
    # By hand: 784·128 + 128·10 = 101,632 weights; a byte each at 8 bits; 1 KB is 1024 bytes.
    assert (answer["num_weights"], answer["float32_bytes"]) == (101_632, 406_528)
    assert answer["layer_weights"] == [100_352, 1280]
    assert answer["estimates"] == [
        {"bit_widths": [8, 8], "bytes": 101_632, "kb": 99.25, "ratio": 4.0},
        {"bit_widths": [4, 4], "bytes": 50_816, "kb": 49.625, "ratio": 8.0},
    ]


@pytest.mark.parametrize(
    "network",
    [
        {"layer_sizes": [784, 128, {"neurons": 10, "bit_width": 4}]},
        {"layer_sizes": [{"neurons": 784}, {"neurons": 128, "bit_width": None}, {"neurons": 10, "bit_width": 4}]},
        {
            "layers": [
                {"in_features": 784, "out_features": 128},
                {"in_features": 128, "out_features": 10, "bit_width": 4},
            ]
        },
    ],
)
def test_a_layer_may_have_a_width_of_its_own(network: dict[str, Any], client: TestClient) -> None:
    # 784·128 bytes and half of 128·10.
    (mixed,) = client.post(PATH, json=network | {"bit_widths": [8]}).json()["estimates"]
    assert (mixed["bit_widths"], mixed["bytes"]) == ([8, 4], 100_992)


def test_fashion_cnn_by_hand(client: TestClient) -> None:
    layers = [
        {"in_channels": 1, "out_channels": 32, "kernel_size": 3},
        CONVOLUTION,
        {"in_features": 64 * 7 * 7, "out_features": 128},
        {"in_features": 128, "out_features": 10},
    ]
    answer = client.post(PATH, json={"layers": layers, "bit_widths": [32, 8]}).json()
    assert answer["layer_weights"] == [32 * 9, 64 * 32 * 9, 3136 * 128, 128 * 10]
    assert answer["num_weights"] == 421_408
    assert [estimate["kb"] for estimate in answer["estimates"]] == [1646.125, 411.53125]
    assert answer["warnings"] == []


@pytest.mark.parametrize("architecture", list(Architecture))
def test_every_network_has_as_many_weights_as_torch_counts(architecture: Architecture, client: TestClient) -> None:
    modules = [module for module in build_model(architecture).modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    body = {"layers": [describe_layer(module) for module in modules], "bit_widths": [32]}
    answer = client.post(PATH, json=body).json()
    assert answer["layer_weights"] == [module.weight.numel() for module in modules]


def test_a_layer_that_cannot_read_the_one_before_it_is_told_of(client: TestClient) -> None:
    layers = [
        CONVOLUTION,
        {"in_channels": 64, "out_channels": 64, "kernel_size": [1, 3]},
        {"in_channels": 32, "out_channels": 64, "kernel_size": 1},  # a branch, or a slip
        {"in_features": 64 * 5, "out_features": 12},
        {"in_channels": 3, "out_channels": 8, "kernel_size": 2},  # 2x2 pixels of 3 channels
        {"in_features": 9, "out_features": 10},
        {"in_features": 20, "out_features": 10},
    ]
    answer = client.post(PATH, json={"layers": layers, "bit_widths": [8]}).json()
    assert [warning.split()[0] for warning in answer["warnings"]] == ["/layers/2", "/layers/5", "/layers/6"]


@pytest.mark.parametrize(
    ("network", "pointer"),
    [
        ({"layer_sizes": [784]}, "/layer_sizes"),
        ({"layer_sizes": [784, 0]}, "/layer_sizes/1"),
        ({"layer_sizes": [784, "10"]}, "/layer_sizes/1"),
        ({"layer_sizes": [784, {"neurons": 10, "bit_width": 0}]}, "/layer_sizes/1/bit_width"),
        ({"layer_sizes": [{"neurons": 784, "bit_width": 8}, 10]}, "/layer_sizes/0/bit_width"),
        ({"layer_sizes": [784, 1_000_001]}, "/layer_sizes/1"),
        ({}, "/layer_sizes"),
        ({"layer_sizes": [784, 10], "layers": [CONVOLUTION]}, "/layers"),
        ({"layers": []}, "/layers"),
        ({"layers": [784]}, "/layers/0"),
        ({"layers": [{"in_features": 10, "out_features": 10, "kernel": 3}]}, "/layers/0/kernel"),
        ({"layers": [CONVOLUTION | {"bit_width": 33}]}, "/layers/0/bit_width"),
        ({"layers": [CONVOLUTION | {"in_channels": 2**63}]}, "/layers/0/in_channels"),
        ({"layers": [CONVOLUTION | {"kernel_size": [3, 3, 3]}]}, "/layers/0/kernel_size"),
        ({"layers": [CONVOLUTION | {"kernel_size": [3, 0]}]}, "/layers/0/kernel_size/1"),
        ({"layers": [CONVOLUTION | {"groups": 3}]}, "/layers/0/groups"),
        ({"layers": [CONVOLUTION | {"groups": 64}]}, "/layers/0/groups"),
        ({"layers": [CONVOLUTION | {"groups": 0}]}, "/layers/0/groups"),
        ({"layer_sizes": [784, 10], "bit_widths": [33]}, "/bit_widths/0"),
        ({"layer_sizes": [784, 10], "bit_width": [8]}, "/bit_width"),
    ],
)
def test_an_estimate_names_what_is_wrong(network: dict[str, Any], pointer: str, client: TestClient) -> None:
    check_problem(client.post(PATH, json={"bit_widths": [8]} | network), 422, "validation_error", pointer)


def test_a_field_inside_a_layer_is_not_taken_for_one_of_the_body(client: TestClient) -> None:
    body = {"layers": [CONVOLUTION | {"bit_widths": [8]}], "bit_widths": [8]}
    problem = check_problem(client.post(PATH, json=body), 422, "validation_error", "/layers/0/bit_widths")
    assert problem["detail"].endswith("There is no such field.")


def test_the_largest_network_is_counted_exactly_by_who_counts_in_doubles(client: TestClient) -> None:
    convolution = {"in_channels": 16_384, "out_channels": 16_384, "kernel_size": 127}
    answer = client.post(PATH, json={"layers": [convolution] * 512, "bit_widths": [32]}).json()
    assert answer["float32_bytes"] == 512 * 16_384 * 16_384 * 127 * 127 * 4 < 2**53
