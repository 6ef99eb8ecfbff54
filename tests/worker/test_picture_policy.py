"""How a picture is made to fit is said by a model's file: within bounds, and in no file that has nothing to say."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from storage.errors import InvalidModel
from tests.service.model_files import FACTS
from worker.catalog import Background, ResizeMode
from worker.checkpoint_facts import check_facts, parse_facts, write_facts
from worker.integer_network import IntegerNetwork
from worker.picture_policy import ResizePolicy

SAID = {"height": 28, "width": 28, "mode": "pad", "background": "black"}
POLICY = ResizePolicy(height=28, width=28, mode=ResizeMode.PAD, background=Background.BLACK)


def test_a_checkpoint_says_it_and_one_without_it_is_written_as_it_was() -> None:
    info = parse_facts(json.dumps(FACTS | {"resize": SAID})).info
    assert info.resize == POLICY
    assert json.loads(write_facts(info)) == FACTS | {"resize": SAID}
    older = parse_facts(json.dumps(FACTS)).info
    assert older.resize is None
    assert json.loads(write_facts(older)) == FACTS


@pytest.mark.parametrize(
    "said",
    [
        SAID | {"height": 14}, SAID | {"height": 225, "width": 225}, SAID | {"height": 28.5}, SAID | {"mode": "guess"},
        SAID | {"background": 0}, SAID | {"filter": "box"}, {"height": 28}, [28, 28], "pad", 28,
    ],
)  # fmt: skip
def test_anything_else_is_refused_by_its_field(said: object) -> None:
    with pytest.raises(InvalidModel) as caught:
        parse_facts(json.dumps(FACTS | {"resize": said}))
    assert caught.value.field == "resize"


def test_a_compressed_file_must_say_the_size_that_its_network_reads() -> None:
    network = IntegerNetwork("mlp", (4,), (1, 28, 28), ("a", "b"), (0.3,), (0.3,), layers=(), resize=POLICY)
    check_facts(network)
    with pytest.raises(InvalidModel) as caught:
        check_facts(replace(network, input_shape=(1, 28, 32)))
    assert caught.value.field == "resize"
