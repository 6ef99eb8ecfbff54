"""Which changes of its training pictures suit a data set."""

from __future__ import annotations

import pytest

from storage.errors import InvalidSpec
from worker.augmentation import Augmentation, choose_augmentation
from worker.catalog import DatasetName
from worker.jobs import parse_stored_spec
from worker.jobs.train import TrainSpec


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fashion_mnist", Augmentation(True, 0)),
        ("digits", Augmentation(False, 0)),
        ("usps", Augmentation(False, 0)),
        ("cifar10", Augmentation(True, 4)),
        ("gtsrb", Augmentation(False, 4)),
        ("imagenette", Augmentation(True, 16)),
    ],
)
def test_the_built_in_data_sets_are_changed_as_suits_them(name: DatasetName, expected: Augmentation) -> None:
    facts = DatasetName(name).facts
    assert choose_augmentation(facts.input_shape, is_mirrorable=facts.is_mirrorable) == expected


@pytest.mark.parametrize(
    ("input_shape", "max_shift"), [((3, 32, 32), 4), ((3, 224, 96), 12), ((3, 7, 7), 0), ((1, 32, 32), 0)]
)
def test_photographs_are_cropped_by_an_eighth_of_their_shorter_side(
    input_shape: tuple[int, int, int], max_shift: int
) -> None:
    assert choose_augmentation(input_shape, is_mirrorable=True) == Augmentation(True, max_shift)


def test_what_is_asked_for_goes_first_but_nothing_is_mirrored_that_may_not_be() -> None:
    assert choose_augmentation((3, 32, 32), is_mirrorable=True, flip=False, max_shift=0) == Augmentation(False, 0)
    assert choose_augmentation((1, 8, 8), is_mirrorable=True, max_shift=2) == Augmentation(True, 2)
    assert choose_augmentation((1, 8, 8), is_mirrorable=False, flip=True) == Augmentation(False, 0)


def test_to_mirror_the_digits_that_a_model_was_trained_on_is_refused() -> None:
    specs = {flip: TrainSpec(initial_model_id="mdl_1", flip=flip) for flip in (None, False, True)}
    for spec in specs.values():
        spec.check_facts(lambda _: {"dataset": "fashion_mnist"})
    for flip in (None, False):
        specs[flip].check_facts(lambda _: {"dataset": "digits"})
    with pytest.raises(InvalidSpec) as raised:
        specs[True].check_facts(lambda _: {"dataset": "digits"})
    assert raised.value.field == "/flip"


def test_a_stored_spec_that_asked_to_mirror_digits_when_that_was_the_default_is_read_as_it_is() -> None:
    old = TrainSpec(dataset="digits", architecture="lenet5").model_dump(mode="json") | {"flip": True, "max_shift": 0}
    del old["class_weighting"]
    stored = parse_stored_spec(old)
    assert stored.changes == ()
    assert isinstance(stored.spec, TrainSpec)
    assert (stored.spec.flip, stored.spec.max_shift, stored.spec.class_weighting) == (True, 0, "none")
