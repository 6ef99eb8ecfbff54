"""Rounding that knows what an integer costs in a compressed file.

After training each weight may leave its integer for the next one towards zero or for zero itself. It takes the one with
the least

    fisher / 2 * (scale * (integer - trained integer))^2 + rd_lambda * bits

where the first term estimates how much the loss grows and the second what the entropy coder will need: rate-distortion
optimised quantization as in DeepCABAC (Wiedemann et al. 2020, arXiv:1907.11900), with the curvature that Optimal Brain
Damage takes (LeCun et al. 1989). Then the scale and bias of each channel are fitted anew. It takes passes over some
pictures and sums over whole tensors, no training: seconds instead of minutes.
"""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from worker.core.device import device_of
from worker.core.graph import get_batch_norm
from worker.core.quantization import list_quantized_layers
from worker.core.quantization.layers import QuantizedConv2d, QuantizedLayer
from worker.core.quantization.linear import SMALLEST_SCALE, linear_quantize
from worker.datasets import Dataset, Split
from worker.memory_estimate import FISHER_BATCH

REFRESHES = 3
"""The integers chosen change what the next ones cost: so often are costs estimated and integers chosen anew."""
PRIOR_DECISIONS = 4.0
"""A row's or column's share of non-zeros starts from the layer's, which counts as so many decisions."""


@dataclass(frozen=True)
class BitCosts:
    """What the integers of one layer cost, in bits. zero, nonzero: float32, the weight's shape: of the decision whether
    it is zero. magnitude: float32 (largest + 1,): of sign and magnitude together, by |integer|; [0] is 0.
    """

    zero: torch.Tensor
    nonzero: torch.Tensor
    magnitude: torch.Tensor

    def of(self, integers: torch.Tensor) -> torch.Tensor:
        """Bits of each integer where it stands. integers: int32, the weight's shape. Returns float32, same shape."""
        return torch.where(integers == 0, self.zero, self.nonzero) + self.magnitude[integers.abs().long()]


def estimate_bits(integers: torch.Tensor, bit_width: int) -> BitCosts:
    """What an adaptive coder will need for a layer. integers: int32 (out, …) of `bit_width` bits.

    A weight is as likely non-zero as the others of its row (output) and its column (input and position) say together;
    its own value is left out, as a coder that learns on its way has not seen it yet.
    """
    nonzero = (integers != 0).float().flatten(1)  # (rows, columns)
    rows, columns = nonzero.shape
    share = (float(nonzero.sum()) + 0.5) / (nonzero.numel() + 1)

    def compute_logit(count: torch.Tensor, total: int) -> torch.Tensor:
        """Log odds of a non-zero among the `total - 1` others."""
        return torch.logit((count - nonzero + PRIOR_DECISIONS * share) / (total - 1 + PRIOR_DECISIONS))

    logit = compute_logit(nonzero.sum(1, keepdim=True), columns) + compute_logit(nonzero.sum(0, keepdim=True), rows)
    logit = (logit - math.log(share / (1 - share))).view(integers.shape)
    largest = 1 << bit_width - 1
    counts = torch.bincount(integers.abs().flatten().long(), minlength=largest + 1)[1:].float() + 0.5
    magnitude = 1 - torch.log2(counts / counts.sum())  # One bit more for the sign.
    return BitCosts(
        zero=F.softplus(logit) / math.log(2),
        nonzero=F.softplus(-logit) / math.log(2),
        magnitude=torch.cat([magnitude.new_zeros(1), magnitude]),
    )


def compute_fisher_diagonal(model: nn.Module, data: Dataset, split: Split, seed: int = 0) -> dict[str, torch.Tensor]:
    """Layer name → the loss's second derivative by each quantized weight, float32 of the weight's shape, >= 0.

    The diagonal of the Fisher information: the mean over the pictures of `split` of the squared gradient of the
    cross-entropy, each picture by itself, with a label drawn from the model's own prediction.
    """
    device = device_of(model)
    model = copy.deepcopy(model).eval()
    layers = list_quantized_layers(model)
    sums = {name: torch.zeros_like(layer.weight) for name, layer in layers.items()}
    for name, layer in layers.items():
        # On the integers themselves no weight lies outside the range, where straight-through gradients stop.
        _set_integers_(layer, _round_nearest(layer))
        layer.register_forward_hook(_Squares(sums[name]))
    generator = torch.Generator().manual_seed(seed)
    for images in torch.split(split.images, FISHER_BATCH):
        logits = model(data.normalize(images.to(device)))
        chances = logits.detach().softmax(1).cpu()
        labels = torch.multinomial(chances, 1, generator=generator)[:, 0].to(device)
        torch.autograd.backward(F.cross_entropy(logits, labels, reduction="sum"))
    return {name: total / len(split) for name, total in sums.items()}


class _Squares:
    """A forward hook that adds up each picture's squared gradient by the layer's weight into `total`."""

    def __init__(self, total: torch.Tensor) -> None:
        self.total = total

    def __call__(self, layer: QuantizedLayer, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        x = layer.quantize_input(inputs[0]).detach()
        output.register_hook(lambda gradient: self.add(layer, x, gradient))  # type: ignore[no-untyped-call]

    def add(self, layer: QuantizedLayer, x: torch.Tensor, gradient: torch.Tensor) -> None:
        """x: what the layer read; gradient: of the loss by its output."""
        if not isinstance(layer, QuantizedConv2d):
            self.total += gradient.square().T @ x.square()
            return
        groups = layer.groups
        patches = F.unfold(
            x,
            layer.kernel_size,
            dilation=layer.dilation,
            padding=layer.padding,  # type: ignore[arg-type]
            stride=layer.stride,
        )  # (B, in * kernel, places)
        patches = patches.view(len(x), groups, -1, patches.shape[2])
        gradient = gradient.reshape(len(x), groups, -1, patches.shape[3])
        by_picture = torch.einsum("bgop,bgkp->bgok", gradient, patches)
        self.total += by_picture.square().sum(0).view(self.total.shape)


def round_for_rate(model: nn.Module, fisher_diagonal: Mapping[str, torch.Tensor], rd_lambda: float) -> nn.Module:
    """A copy of a network made by `quantize_model` whose weights lie on the integers that are worth their bits.

    fisher_diagonal: of `compute_fisher_diagonal`. rd_lambda: how much loss (nats per picture) a bit is worth; with
    0 no integer changes. Zeros stay zero.
    """
    rounded = copy.deepcopy(model)
    for name, layer in list_quantized_layers(rounded).items():
        _set_integers_(layer, choose_integers(layer, fisher_diagonal[name], rd_lambda))
    return rounded


def choose_integers(layer: QuantizedLayer, fisher: torch.Tensor, rd_lambda: float) -> torch.Tensor:
    """int32 of the weight's shape: the integers with the least estimated loss and bits."""
    scale = layer.weight_scale.detach().abs().clamp_min(SMALLEST_SCALE)
    nearest = _round_nearest(layer)
    candidates = torch.stack([nearest, nearest - nearest.sign(), torch.zeros_like(nearest)])
    loss = fisher / 2 * (scale * (nearest - candidates)).square()
    chosen = nearest
    for _ in range(REFRESHES):
        costs = estimate_bits(chosen, layer.bit_width)
        bits = torch.stack([costs.of(candidate) for candidate in candidates])
        best = (loss + rd_lambda * bits).argmin(0, keepdim=True)
        chosen = candidates.gather(0, best)[0]
    return chosen


@torch.no_grad()
def refit_channels_(model: nn.Module, reference: nn.Module, x: torch.Tensor) -> None:
    """Fits each channel's scale and bias so that a rounded model's layers put out what they did before, in place.

    reference: the model before rounding. x: normalised pictures (B, C, H, W). Each channel's output becomes
    gain * output + shift with the least squared distance from the reference's; layers follow one another, so that a
    later one mends what is left of the earlier ones' errors. No integer changes.
    """
    wanted: dict[str, torch.Tensor] = {}
    handles = [
        layer.register_forward_hook(functools.partial(_keep_output, wanted, name))
        for name, layer in list_quantized_layers(reference).items()
    ]
    reference.eval()(x)
    handles += [
        layer.register_forward_hook(functools.partial(_refit_layer_, wanted[name], model))
        for name, layer in list_quantized_layers(model).items()
    ]
    model.eval()(x)
    for handle in handles:
        handle.remove()


def _keep_output(
    kept: dict[str, torch.Tensor], name: str, _layer: nn.Module, _inputs: tuple[torch.Tensor, ...], output: torch.Tensor
) -> None:
    kept[name] = output


def _refit_layer_(
    wanted: torch.Tensor,
    model: nn.Module,
    layer: QuantizedLayer,
    _inputs: tuple[torch.Tensor, ...],
    output: torch.Tensor,
) -> torch.Tensor:
    """Returns the output as the changed layer gives it."""
    before, target = (value.transpose(0, 1).flatten(1).double() for value in (output, wanted))  # (channels, values)
    before_mean, target_mean = before.mean(1, keepdim=True), target.mean(1, keepdim=True)
    centred = before - before_mean
    variance = centred.square().mean(1, keepdim=True)
    gain = (centred * (target - target_mean)).mean(1, keepdim=True) / variance
    # A channel that hardly moves, or moves against the reference, keeps its scale.
    gain = torch.where((variance > SMALLEST_SCALE) & (gain > 0), gain, torch.ones_like(gain))
    shift = target_mean - gain * before_mean
    gain, shift = (value.flatten().to(output.dtype) for value in (gain, shift))
    by_row = gain.view(-1, *[1] * (layer.weight.ndim - 1))
    layer.weight.mul_(by_row)
    layer.weight_scale.data = layer.weight_scale * by_row
    if layer.bias is not None:
        layer.bias.mul_(gain).add_(shift)
    elif layer.batch_norm_name is not None:
        norm = get_batch_norm(model, layer.batch_norm_name)
        norm.get_buffer("running_mean").sub_(shift)
    else:
        layer.bias = nn.Parameter(shift)
    along = (1, -1) + (1,) * (output.ndim - 2)
    return output * gain.view(along) + shift.view(along)


def _round_nearest(layer: QuantizedLayer) -> torch.Tensor:
    scale = layer.weight_scale.detach().abs().clamp_min(SMALLEST_SCALE)
    return linear_quantize(layer.weight.detach(), scale, 0, layer.bit_width)


def _set_integers_(layer: QuantizedLayer, integers: torch.Tensor) -> None:
    scale = layer.weight_scale.detach().abs().clamp_min(SMALLEST_SCALE)
    layer.weight.data = (scale * integers).to(layer.weight.dtype)
