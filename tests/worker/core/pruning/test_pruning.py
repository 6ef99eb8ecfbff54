from __future__ import annotations

import pytest
import torch
from torch import nn

from tests.variants import SEED
from worker.catalog import Architecture, PruningMethod, PruningScope
from worker.core.models import build_model, get_widths
from worker.core.models.build import get_record
from worker.core.pruning import apply_masks_, apply_pruning, check_sparsity, get_masks
from worker.core.pruning.channels import count_channels, prune_channels
from worker.core.pruning.gradual import GradualPruner
from worker.core.pruning.methods import compute_scores
from worker.core.training import TrainingSettings, fit
from worker.datasets import Dataset
from worker.network.architectures import describe_network

SHAPE = (1, 28, 28)


def build_tiny() -> nn.Module:
    """4 -> 2 -> 2, with weights that a reader can rank."""
    model = build_model("mlp", (2,), input_shape=(1, 2, 2), num_classes=2)
    with torch.no_grad():
        model.get_parameter("layers.0.weight").copy_(torch.tensor([[1.0, -2.0, 3.0, -4.0], [5.0, -6.0, 7.0, -8.0]]))
        model.get_parameter("layers.1.weight").copy_(torch.tensor([[0.5, -9.0], [10.0, 0.0]]))
    return model


def find_zeros(model: nn.Module) -> set[tuple[str, int]]:
    return {
        (name, int(index))
        for name, mask in ((name, ~kept) for name, kept in get_masks(model).items())
        for index in mask.flatten().nonzero()
    }


def test_sparsity_by_hand() -> None:
    model = build_tiny()
    with torch.no_grad():
        model.get_parameter("layers.0.weight")[0, :3] = 0
        model.get_parameter("layers.0.bias").zero_()
    report = check_sparsity(model)
    assert [(layer.name, layer.num_zeros, layer.num_weights) for layer in report.layers] == [
        ("layers.0", 3, 8),
        ("layers.1", 1, 4),
    ]
    assert [layer.sparsity for layer in report.layers] == [3 / 8, 1 / 4]
    assert report.sparsity == 4 / 12


def test_magnitude_takes_the_smallest_weights_of_all_layers() -> None:
    model = build_tiny()
    apply_pruning(model, "magnitude", 0.5)
    # 0.0, 0.5, 1, -2, 3, -4 are the six smallest of twelve.
    assert model.get_parameter("layers.0.weight").tolist() == [[0, 0, 0, 0], [5, -6, 7, -8]]
    assert model.get_parameter("layers.1.weight").tolist() == [[0, -9], [10, 0]]


def test_taylor_is_weight_times_gradient() -> None:
    model = build_tiny()
    gradients = {
        "layers.0": torch.tensor([[8.0, 1.0, 1.0, 1.0], [0.0, 1.0, 1.0, 1.0]]),
        "layers.1": torch.tensor([[-100.0, 0.1], [0.1, 5.0]]),
    }
    scores = compute_scores(model, PruningMethod.TAYLOR, gradients=gradients)
    assert scores["layers.0"].tolist() == [[8, 2, 3, 4], [0, 6, 7, 8]]
    assert scores["layers.1"].flatten().tolist() == pytest.approx([50, 0.9, 1, 0])


def test_taylor_without_gradients_is_refused() -> None:
    with pytest.raises(ValueError, match="gradients"):
        apply_pruning(build_tiny(), "taylor", 0.5)


def test_batch_norm_scale_is_what_is_left_of_a_weight_after_folding() -> None:
    model = build_model("fashion_cnn", (2, 2, 4))
    norm = model.get_submodule("bn1")
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_var is not None
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([-3.0, 0.5]))
        norm.running_var.copy_(torch.tensor([4.0, 0.25]) - norm.eps)
    scores = compute_scores(model, PruningMethod.BATCH_NORM_SCALE)
    weight = model.get_parameter("conv1.weight").abs()
    # |gain| = 3 / sqrt(4) and 0.5 / sqrt(0.25).
    torch.testing.assert_close(scores["conv1"], weight * torch.tensor([1.5, 1.0]).view(2, 1, 1, 1))
    torch.testing.assert_close(scores["fc1"], model.get_parameter("fc1.weight").abs())


def test_random_scores_follow_their_seed() -> None:
    scores = [compute_scores(build_tiny(), PruningMethod.RANDOM, seed=seed)["layers.0"] for seed in (1, 1, 2)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.equal(scores[0], scores[2])


@pytest.mark.slow
@pytest.mark.parametrize("method", [PruningMethod.MAGNITUDE, PruningMethod.RANDOM])
@pytest.mark.parametrize("scope", list(PruningScope))
def test_what_is_pruned_stays_pruned_when_more_is_pruned(method: PruningMethod, scope: PruningScope) -> None:
    torch.manual_seed(SEED)
    model = build_model("lenet5")
    before: set[tuple[str, int]] = set()
    for sparsity in (0.2, 0.5, 0.9):
        apply_pruning(model, method, sparsity, scope=scope, seed=int(100 * sparsity))
        zeros = find_zeros(model)
        assert before < zeros
        # `uniform` rounds in each of the five layers.
        assert len(zeros) == pytest.approx(sparsity * 61_470, abs=5)
        before = zeros


def test_masks_survive_training(digits: Dataset) -> None:
    torch.manual_seed(SEED)
    model = build_model("mlp", (16,))
    masks = apply_pruning(model, "magnitude", 0.7)
    before = find_zeros(model)
    fit(
        model,
        digits.limit_train(128),
        TrainingSettings(epochs=1, learning_rate=0.05, batch_size=32),
        after_step=lambda trained: apply_masks_(trained, masks),
    )
    assert find_zeros(model) == before


def test_gradual_pruning_follows_the_cubic_ramp_by_hand() -> None:
    model = build_model("mlp", (50,))
    pruner = GradualPruner(model, 0.8, ramp_steps=4, scope=PruningScope.GLOBAL, interval=1)
    reached = []
    for _ in range(6):
        pruner(model)
        reached.append(check_sparsity(model).sparsity)
    # 0.8 * (1 - (1 - t)^3) at t = 1/4, 2/4, 3/4, 1; then it holds.
    assert reached == pytest.approx([0.4625, 0.7, 0.7875, 0.8, 0.8, 0.8], abs=1e-4)


@pytest.mark.parametrize("method", [PruningMethod.MAGNITUDE, PruningMethod.BATCH_NORM_SCALE, PruningMethod.RANDOM])
@pytest.mark.parametrize("architecture", list(Architecture))
def test_channel_pruning_narrows_every_architecture(architecture: Architecture, method: PruningMethod) -> None:
    torch.manual_seed(SEED)
    model = build_model(architecture)
    widths = get_widths(architecture, model)
    narrow = prune_channels(model, 0.5, SHAPE, method=method)
    narrow_widths = get_widths(architecture, narrow)
    assert narrow_widths == tuple(width // 2 for width in widths)
    assert get_widths(architecture, model) == widths
    rebuilt = build_model(architecture, narrow_widths)
    rebuilt.load_state_dict(narrow.state_dict())
    x = torch.rand(3, *SHAPE)
    with torch.no_grad():
        logits = rebuilt.eval()(x)
        # The same weights may lie otherwise in memory, and be summed in another order.
        torch.testing.assert_close(logits, narrow.eval()(x))
    assert logits.shape == (3, 10)
    assert get_record(narrow) == describe_network(architecture, narrow_widths)
    assert sum(get_record(narrow).macs.values()) < 0.6 * sum(get_record(model).macs.values())


def test_channels_with_the_smallest_weights_go() -> None:
    model = build_model("mlp", (4,))
    with torch.no_grad():
        for name in ("layers.0.weight", "layers.1.weight"):
            weight = model.get_parameter(name)
            weight.fill_(1.0)
            (weight if name == "layers.0.weight" else weight.T)[[0, 2]] = 0.1
        model.get_parameter("layers.0.bias").copy_(torch.arange(4.0))
    narrow = prune_channels(model, 0.5, SHAPE)
    assert narrow.get_parameter("layers.0.bias").tolist() == [1.0, 3.0]


def test_channels_ranked_together_leave_each_layer_a_tenth() -> None:
    model = build_model("mlp", (40, 20))
    with torch.no_grad():
        model.get_parameter("layers.0.weight").mul_(1e-3)
    narrow = prune_channels(model, 0.6, SHAPE, scope=PruningScope.GLOBAL)
    first, second = get_widths("mlp", narrow)
    assert first >= 4
    assert second >= 2
    assert count_channels(narrow) == pytest.approx(24, abs=1)


def test_one_weight_is_left_whatever_the_sparsity() -> None:
    model = build_model("lenet5")
    apply_pruning(model, "magnitude", 0.9999999)
    report = check_sparsity(model)
    assert sum(layer.num_weights - layer.num_zeros for layer in report.layers) == 1


@pytest.mark.parametrize("architecture", ["fashion_cnn", "lenet5", "resnet_small"])
def test_extreme_channel_sparsity_leaves_one_channel_instead_of_the_whole_layer(architecture: str) -> None:
    narrow = prune_channels(build_model(architecture), 0.999, (1, 28, 28))
    assert set(get_widths(architecture, narrow)) == {1}
