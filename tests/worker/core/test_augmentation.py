"""Mirrored and shifted pictures, and the numbers of the views."""

from __future__ import annotations

import torch

from worker.core.augmentation import augment_batch, count_views, get_plain_view, show_view


def draw_pictures(count: int, height: int, width: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 2, height, width), dtype=torch.uint8, generator=generator)


def test_a_batch_is_mirrored_as_it_says_and_otherwise_left_alone() -> None:
    images = draw_pictures(64, 5, 6)
    out, views = augment_batch(images, torch.Generator().manual_seed(1), flip=True, max_shift=0)
    assert 16 < int(views.sum()) < 48
    for before, after, view in zip(images, out, views, strict=True):
        assert torch.equal(after, torch.flip(before, (2,)) if view else before)


def test_without_flip_and_shift_a_batch_is_what_it_was() -> None:
    images = draw_pictures(8, 4, 4)
    out, views = augment_batch(images, torch.Generator(), flip=False, max_shift=0)
    assert torch.equal(out, images)
    assert not views.any()


def test_a_shift_moves_the_whole_picture_and_fills_with_zero() -> None:
    images = torch.zeros(200, 1, 7, 7, dtype=torch.uint8)
    images[:, :, 3, 3] = 200
    out, _ = augment_batch(images, torch.Generator().manual_seed(0), flip=False, max_shift=2)
    places = {tuple(picture[0].nonzero().flatten().tolist()) for picture in out}
    assert places == {(row, column) for row in range(1, 6) for column in range(1, 6)}
    assert (out.flatten(1).sum(1) == 200).all()


def test_each_picture_of_a_batch_is_shown_in_the_view_that_it_says() -> None:
    images = draw_pictures(300, 6, 5)
    out, views = augment_batch(images, torch.Generator().manual_seed(2), flip=True, max_shift=1)
    assert set(views.tolist()) == set(range(count_views(1)))
    for view in range(count_views(1)):
        assert torch.equal(out[views == view], show_view(images[views == view], view, 1))


def test_the_views_of_a_picture_are_those_that_can_be_written_down() -> None:
    picture = torch.tensor([[[[1, 2], [3, 4]]]], dtype=torch.uint8)
    shown = [show_view(picture, view, 1)[0, 0].tolist() for view in (0, 1, 8, 9, 16)]
    assert shown == [[[0, 0], [0, 1]], [[0, 0], [1, 0]], [[1, 2], [3, 4]], [[2, 1], [4, 3]], [[4, 0], [0, 0]]]


def test_the_plain_view_is_the_picture_itself() -> None:
    images = draw_pictures(3, 6, 5)
    for max_shift in range(4):
        shown = [torch.equal(show_view(images, view, max_shift), images) for view in range(count_views(max_shift))]
        assert shown.index(True) == get_plain_view(max_shift)
        assert sum(shown) == 1
