"""Something new takes one file, and one line in the catalogue; what is in neither is refused."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from worker.class_weightings import CLASS_WEIGHTINGS
from worker.core.losses import GUESSES, LOSSES
from worker.core.optimizers import OPTIMIZERS
from worker.core.pruning.methods import IMPORTANCES, NEEDS_GRADIENTS, SCORES
from worker.core.pruning.schedules import SCHEDULES
from worker.core.pruning.scopes import RANKS_TOGETHER, SCOPES
from worker.dataset_files.formats import READERS, RECOGNIZERS
from worker.datasets import DATASETS
from worker.exports.targets import EXPORTERS
from worker.network.architectures import DEFAULT_WIDTHS, NUM_WIDTHS, RECORDS, WIDTH_READERS
from worker.registry import Registry, name_module

CHECKOUT = Path(__file__).parents[2]
REGISTRIES: Mapping[str, Registry[Any]] = {
    "scores": SCORES,
    "importances": IMPORTANCES,
    "gradients": NEEDS_GRADIENTS,
    "scopes": SCOPES,
    "channel scopes": RANKS_TOGETHER,
    "schedules": SCHEDULES,
    "optimizers": OPTIMIZERS,
    "losses": LOSSES,
    "guesses": GUESSES,
    "class weightings": CLASS_WEIGHTINGS,
    "data sets": DATASETS,
    "targets of exports": EXPORTERS,
    "formats of pictures": RECOGNIZERS,
    "readers of pictures": READERS,
    "networks": RECORDS,
    "widths": DEFAULT_WIDTHS,
    "numbers of widths": NUM_WIDTHS,
    "width readers": WIDTH_READERS,
}


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
def test_every_name_has_its_module_and_every_module_its_name(registry: Registry[Any]) -> None:
    folder = CHECKOUT.joinpath(*registry.package.split("."))
    assert {file.stem for file in folder.glob("*.py")} - {"__init__"} == {name_module(name) for name in registry.names}
    for name in registry.names:
        registry[name]  # which raises where the module lacks it


@pytest.mark.parametrize("registry", REGISTRIES.values(), ids=REGISTRIES)
@pytest.mark.parametrize("name", ["nonsense", "", "__init__", "..masks"])
def test_what_the_catalogue_does_not_have_is_refused(registry: Registry[Any], name: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - its wording is Python's
        registry[name]


@dataclass(frozen=True)
class Addition:
    """What somebody writes who adds something: a file, and a line behind the line that begins so."""

    folder: str
    content: str
    behind: str
    line: str


ADDITIONS = (
    Addition(
        "core/pruning/methods",
        '''"""The square of a weight."""
from torch_pruning.pruner.importance import GroupMagnitudeImportance
from worker.core.graph import list_layers
NEEDS_GRADIENTS = False
def compute_scores(model, inputs):
    return {name: layer.weight.detach() ** 2 for name, layer in list_layers(model).items()}
def build_importance():
    return GroupMagnitudeImportance(p=1)
''',
        '    TAYLOR = "taylor"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "core/pruning/scopes",
        '''"""All from the first layer that has enough."""
import torch
from worker.core.pruning.masks import keep_largest
RANKS_TOGETHER = False
def choose_masks(scores, sparsity):
    first = next(iter(scores))
    masks = {name: torch.ones_like(score, dtype=torch.bool) for name, score in scores.items()}
    return masks | {first: keep_largest(scores[first], 1)}
''',
        '    UNIFORM = "uniform"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "exports/targets",
        '''"""The names of the classes, one a line."""
class EXPORTER:
    suffix = "txt"
    def choose_weight_type(network, wanted):
        return None
    def write(network, weight_type, name, path):
        path.write_text("\\n".join(network.class_names))
''',
        '    ONNX = "onnx"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "core/pruning/schedules",
        '''"""All in the last step."""
def compute_sparsities(start, final, steps):
    return [start] * (steps - 1) + [final]
''',
        '    LINEAR = "linear"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "core/optimizers",
        '''"""Root mean square propagation."""
import torch
def build(groups, learning_rate):
    return torch.optim.RMSprop(groups, lr=learning_rate)
''',
        '    ADAMW = "adamw"',
        '    DUMMY = "dummy", 1',
    ),
    Addition(
        "core/losses",
        '''"""Distance to the right answer."""
import torch.nn.functional as F
def compute(logits, labels, label_smoothing, reduction):
    return F.multi_margin_loss(logits, labels, reduction=reduction)
def compute_guess(num_classes, label_smoothing):
    return 1 - 1 / num_classes
''',
        '    BRIER = "brier"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "class_weightings",
        '''"""The second class weighs three times as much as any other."""
def compute_weights(counts):
    return [0.5, 1.5]
''',
        '    BALANCED = "balanced"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "datasets",
        '''"""Black pictures and white ones."""
import torch
from worker.datasets import RawDataset, Split
def load(root, mirror):
    labels = torch.arange(80) % 2
    split = Split((labels * 255).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 28, 28).contiguous(), labels)
    return RawDataset(split, split, ("black", "white"), (0.5,), (0.5,), 20, True)
''',
        '    DIGITS = "digits"',
        '    DUMMY = "dummy", DatasetFacts((1, 28, 28), ("black", "white"), 160, is_mirrorable=True)',
    ),
    Addition(
        "dataset_files/formats",
        '''"""Empty files that are called after their gray."""
import numpy as np
from worker.dataset_files.source import Item, PictureSource
def recognizes(archive, options):
    return any(member.name.endswith(".gray") for member in archive.members)
def read(archive, options, refusals):
    items = [Item(member.name, member.parts[0], None) for member in archive.members]
    levels = (int(member.parts[-1].removesuffix(".gray")) for member in archive.members)
    return PictureSource(items, (np.full((8, 8), level, np.uint8) for level in levels))
''',
        '    NPZ = "npz"',
        '    DUMMY = "dummy"',
    ),
    Addition(
        "network/architectures",
        '''"""A convolution and a linear layer, with sigmoid between."""
from worker.network.operations.elementwise import Sigmoid
from worker.network.operations.layers import Linear, build_square_convolution
from worker.network.operations.pooling import Mean
from worker.network.record import NetworkBuilder
DEFAULT_WIDTHS = (6,)
NUM_WIDTHS = 1
def describe(widths, input_shape, num_classes):
    builder = NetworkBuilder(input_shape)
    builder.add("body.convolution", build_square_convolution(widths[0], 3, stride=2))
    builder.add("body.sigmoid", Sigmoid())
    builder.add("mean", Mean())
    builder.add("head", Linear(out_features=num_classes))
    return builder.build()
def read_widths(outputs):
    return (outputs["body.convolution"],)
''',
        '    DEPTHWISE_CNN = "depthwise_cnn"',
        '    DUMMY = "dummy"',
    ),
)

SCRIPT = """
import json
from dataclasses import replace
from pathlib import Path
from zipfile import ZipFile
import torch
from service.routes.catalog import get_methods, list_choices
from worker.catalog import DatasetName
from worker.coding import encode_network
from worker.core.checkpoint import load_checkpoint, load_compressed, save_checkpoint
from worker.datasets import load_dataset
from worker.dataset_location import DatasetLocation
from worker.core.measure import measure_baseline
from worker.core.models import build_model, get_widths
from worker.core.pruning import apply_pruning
from worker.core.pruning.channels import count_channels, prune_channels
from worker.core.pruning.schedules import compute_sparsities
from worker.core.training import TrainingSettings, fit
from worker.dataset_files.importing import import_dataset
from worker.core.quantization_aware import extract_network, quantize_network
from worker.core.training import TrainingSettings, compute_logits, fit
from worker.exports.targets import EXPORTERS
from worker.jobs.export import ExportSpec
from worker.jobs.prune import PruneSpec
from worker.jobs.train import TrainSpec
data = load_dataset("dummy", DatasetLocation(Path("unused")), 0)
spec = TrainSpec(dataset="dummy", architecture="dummy", widths=[4], optimizer="dummy", loss="dummy", epochs=2,
    class_weighting="dummy")
baseline = measure_baseline(build_model(spec.architecture, spec.widths, num_classes=2), data)
model = baseline.model
history = fit(model, data, TrainingSettings(
    epochs=spec.epochs, learning_rate=0.001, optimizer=spec.optimizer, loss=spec.loss, precision="float32",
    class_weighting=spec.class_weighting))
narrow = prune_channels(model, 0.5, data.input_shape, method="dummy", scope="dummy")
masks = apply_pruning(model, "dummy", 0.5, scope="dummy")
asked = PruneSpec(model_id="latest", method="dummy", schedule="dummy", sparsity=0.5, steps=2)
with ZipFile("pictures.zip", "w") as file:
    for name in ("dark/1.gray", "dark/2.gray", "light/200.gray", "light/201.gray"):
        file.writestr(name, b"")
pictures = import_dataset(Path("pictures.zip"), Path("decoded"))
save_checkpoint(Path("narrow.safetensors"), narrow, replace(baseline.info, widths=get_widths("dummy", narrow)))
quantized = quantize_network(load_checkpoint(Path("narrow.safetensors"))[0], data, 4)
file = encode_network(extract_network(baseline, quantized))
Path("narrow.tonok").write_bytes(file)
integers, network = load_compressed(Path("narrow.tonok"))
asked_file = ExportSpec(model_id="latest", target="dummy")
EXPORTERS[asked_file.target].write(network, asked_file.weight_type, "network", Path("exported.txt"))
choices = get_methods().choices | {"dataset": list_choices(DatasetName, "datasets")}
print(json.dumps({
    "epochs": len(history.to_json()),
    "pictures": [pictures.format, pictures.class_names, pictures.counts["train"]],
    "classes": data.class_names,
    "exported": Path("exported.txt").read_text().splitlines(),
    "channels": count_channels(narrow),
    "stored": [layer.weight.shape for layer in network.layers],
    "logits": list(compute_logits(integers, data, data.test).shape),
    "kept": int(next(iter(masks.values())).sum()),
    "sparsities": compute_sparsities(asked.schedule, asked.sparsity, asked.steps),
    "shown": {name: item.description for name, items in choices.items() for item in items if item.name == "dummy"},
}))
"""


@pytest.mark.slow
def test_a_file_and_a_line_add_one_of_each(tmp_path: Path) -> None:
    for package in ("service", "worker", "storage"):
        shutil.copytree(CHECKOUT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    names = tmp_path / "worker" / "catalog.py"
    text = names.read_text("utf-8")
    for addition in ADDITIONS:
        (tmp_path / "worker" / addition.folder / "dummy.py").write_text(addition.content)
        lines = text.splitlines()
        (place,) = [number for number, line in enumerate(lines) if line.startswith(addition.behind)]
        text = "\n".join([*lines[: place + 1], addition.line, *lines[place + 1 :]])
    names.write_text(text)
    run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert json.loads(run.stdout) == {
        "epochs": 2,
        "pictures": ["dummy", ["dark", "light"], [1, 1]],
        "classes": ["black", "white"],
        "exported": ["black", "white"],
        "channels": 2,
        "stored": [[2, 1, 3, 3], [2, 2]],
        "logits": [80, 2],
        "kept": 1,
        "sparsities": [0.0, 0.5],
        "shown": {
            "pruning_method": "The square of a weight.",
            "pruning_scope": "All from the first layer that has enough.",
            "pruning_schedule": "All in the last step.",
            "export_target": "The names of the classes, one a line.",
            "optimizer": "Root mean square propagation.",
            "loss": "Distance to the right answer.",
            "class_weighting": "The second class weighs three times as much as any other.",
            "dataset": "Black pictures and white ones.",
            "architecture": "A convolution and a linear layer, with sigmoid between.",
        },
    }
