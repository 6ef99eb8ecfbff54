"""Pixels of every channel enter by that channel's mean and deviation."""

from __future__ import annotations

import json

import pytest
import torch

from storage.errors import InvalidModel
from tests.service.model_files import FACTS
from worker.checkpoint_facts import parse_facts, write_facts
from worker.core.quantization import describe_pixels
from worker.core.quantization.linear import compute_integer_range
from worker.normalization import merge_channels, take_whole_pixels
from worker.pixels import normalize_pixels

COLOUR = {"input_shape": [3, 28, 28], "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}


def test_each_channel_has_a_mean_and_a_deviation_of_its_own() -> None:
    images = torch.randint(0, 256, (5, 3, 4, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mean, std = (0.4, 0.5, 0.6), (0.2, 0.25, 0.5)
    x = normalize_pixels(images, mean, std)
    for channel in range(3):
        alone = (images[:, channel].float() / 255 - mean[channel]) / std[channel]
        assert torch.equal(x[:, channel], alone)
    assert images.dtype is torch.uint8
    assert x.dtype is torch.float32


def test_pictures_that_are_floats_already_stay_what_they_were() -> None:
    images = torch.full((1, 1, 2, 2), 51.0)
    assert normalize_pixels(images, (0.2,), (0.5,)).tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]
    assert images.flatten().tolist() == [51.0] * 4


def test_one_number_is_that_of_every_channel() -> None:
    images = torch.arange(24, dtype=torch.uint8).reshape(1, 3, 2, 4)
    assert torch.equal(normalize_pixels(images, (0.3,), (0.5,)), normalize_pixels(images, (0.3,) * 3, (0.5,) * 3))
    assert merge_channels((0.3, 0.3, 0.3)) == (0.3,)
    assert merge_channels((0.3, 0.4)) == (0.3, 0.4)


def test_a_file_says_one_number_or_one_for_each_channel() -> None:
    info = parse_facts(json.dumps(FACTS | COLOUR)).info
    assert (info.mean, info.std) == ((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert parse_facts(json.dumps(FACTS)).info.mean == (FACTS["mean"],)
    for said in (FACTS, FACTS | COLOUR):
        assert json.loads(write_facts(parse_facts(json.dumps(said)).info)) == said


@pytest.mark.parametrize(
    ("field", "said"),
    [("mean", [0.4, 0.5]), ("mean", []), ("std", [0.2, 0.0, 0.3]), ("std", [0.2, "0.2", 0.3]), ("mean", True)],
)
def test_another_number_of_channels_is_refused_by_its_field(field: str, said: object) -> None:
    with pytest.raises(InvalidModel) as caught:
        parse_facts(json.dumps(FACTS | COLOUR | {field: said}))
    assert caught.value.field == field


@pytest.mark.parametrize("mean", [(73 / 255,), (125 / 255, 123 / 255, 114 / 255), (0.0, 1.0, 128 / 255)])
def test_pixels_are_whole_numbers_to_a_quantized_layer(mean: tuple[float, ...]) -> None:
    told = describe_pixels(mean, (0.25,))
    pixels = torch.arange(256).reshape(1, 1, 16, 16).repeat(1, len(mean), 1, 1)
    x = normalize_pixels(pixels, mean, (0.25,))
    integers = (x / told["input_scale"]).round() + told["input_zero_point"]
    lowest = -(2 ** (told["input_bit_width"] - 1)) if told["input_signed"] else 0
    assert lowest <= integers.min()
    assert integers.max() < lowest + 2 ** told["input_bit_width"]
    offsets = [round(255 * one) if len(mean) > 1 else 0 for one in mean]
    for channel, offset in enumerate(offsets):
        assert torch.equal(integers[:, channel], pixels[:, channel].float() - offset)


def test_deviations_that_differ_are_not_quantized_with_one_scale() -> None:
    with pytest.raises(InvalidModel) as caught:
        describe_pixels((0.4, 0.5, 0.6), (0.2, 0.25, 0.3))
    assert caught.value.field == "std"


@pytest.mark.parametrize("mean", [0.5, 0.1, 0.3, 0.485, 0.28627, 0.0, 128 / 255])
def test_a_quantized_layer_computes_on_the_pixels_that_it_was_trained_on(mean: float) -> None:
    (moved,) = take_whole_pixels((mean,))
    assert abs(moved - mean) < 0.502 / 255
    assert take_whole_pixels((moved,)) == (moved,)
    for means in ((moved,), (moved, 51 / 255, 102 / 255)):
        described = describe_pixels(means, (0.5,))
        pixels = torch.arange(256).reshape(1, 1, 1, 256).expand(1, len(means), 1, 256)
        entered = normalize_pixels(pixels, means, (0.5,))[0, 0, 0] / described["input_scale"]
        integers = torch.round(entered) + described["input_zero_point"]
        assert (entered + described["input_zero_point"] - integers).abs().max() < 0.011
        low, high = compute_integer_range(described["input_bit_width"], described["input_signed"])
        assert integers.diff().tolist() == [1.0] * 255
        assert low <= int(integers[0]) <= int(integers[-1]) <= high
