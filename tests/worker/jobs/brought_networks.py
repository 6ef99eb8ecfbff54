"""Networks that somebody else wrote and trained: plain PyTorch, none of ours, as ONNX files."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from tests.variants import SEED
from worker.datasets import Dataset
from worker.network.importers.file_kind import EXPORT_LINE


class Residual(nn.Module):
    """A block whose input is added to its output, and one that halves the picture."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.conv1, self.bn1 = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.conv2, self.bn2 = nn.Conv2d(8, 8, 3, 1, 1, bias=False), nn.BatchNorm2d(8)
        self.down, self.bn3 = nn.Conv2d(8, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)
        x = F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))
        x = F.relu(self.bn3(self.down(x)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class Gated(nn.Module):
    """Depthwise convolutions, squeeze and excite, hard-swish."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.bn1 = nn.Conv2d(1, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8)
        self.expand, self.bn2 = nn.Conv2d(8, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.depthwise, self.bn3 = nn.Conv2d(16, 16, 3, 2, 1, groups=16, bias=False), nn.BatchNorm2d(16)
        self.squeeze, self.excite = nn.Conv2d(16, 4, 1), nn.Conv2d(4, 16, 1)
        self.project, self.bn4 = nn.Conv2d(16, 16, 1, bias=False), nn.BatchNorm2d(16)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.hardswish(self.bn1(self.stem(x)))
        x = F.hardswish(self.bn3(self.depthwise(F.hardswish(self.bn2(self.expand(x))))))
        gate = F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.hardswish(self.bn4(self.project(x * gate)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


class Joined(nn.Module):
    """Two branches whose channels are concatenated; no batch norm anywhere."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 8, 3, 2, 1)
        self.narrow, self.wide = nn.Conv2d(8, 8, 1), nn.Conv2d(8, 8, 3, 1, 1)
        self.mix = nn.Conv2d(16, 16, 3, 2, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        x = F.relu(self.mix(torch.cat([F.relu(self.narrow(x)), F.relu(self.wide(x))], 1)))
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))  # type: ignore[no-any-return]


NETWORKS: dict[str, type[nn.Module]] = {"residual": Residual, "gated": Gated, "joined": Joined}
EPOCHS = 12


def train(name: str, data: Dataset) -> nn.Module:
    """One of them, trained for some seconds until it knows most digits."""
    torch.manual_seed(SEED)
    model = NETWORKS[name]()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    pictures, labels = data.normalize(data.train.images), data.train.labels
    for _ in range(EPOCHS):
        for rows in torch.split(torch.randperm(len(labels)), 32):
            optimizer.zero_grad()
            torch.autograd.backward(F.cross_entropy(model(pictures[rows]), labels[rows]))
            optimizer.step()
    return model.eval()


def export(model: nn.Module, path: Path, shape: tuple[int, int, int] = (1, 28, 28)) -> None:
    """Writes the file by the line that the README recommends."""
    line = EXPORT_LINE.replace("3, 32, 32", ", ".join(map(str, shape))).replace('"model.onnx"', "path")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter's own deprecation
        eval(line, {"torch": torch, "model": model, "path": path})
