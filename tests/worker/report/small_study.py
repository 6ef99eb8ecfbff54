"""A study of made-up numbers, small enough to be checked by hand: 1,000 test pictures of three classes, two layers.

Results have the shape that the jobs give them; `tests/acceptance` holds the real ones.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np

from worker.intervals import compute_wilson_interval
from worker.model_description import build_ledger
from worker.report.facts import STEPS, ArtifactFact, DatasetFact, StepFact, StudyFacts
from worker.report.language.wording import get_wording

CLASSES = ("Shirt", "Coat", "Bag")
LAYERS = {"fc1": 8000, "fc2": 300}
REFERENCE_BYTES = 40_000
MATRIX = [[280, 40, 10], [30, 300, 5], [5, 10, 320]]
"""900 of 1,000 right; Shirt and Coat are confused 70 times among 100 mistakes."""


def evaluate(num_correct: int, num_examples: int) -> dict[str, Any]:
    return {
        "num_correct": num_correct,
        "num_examples": num_examples,
        "accuracy": num_correct / num_examples,
        "loss": 0.25,
        "interval": list(compute_wilson_interval(num_correct, num_examples)),
    }


def report_classes() -> dict[str, Any]:
    scores = {"Shirt": (0.889, 0.848), "Coat": (0.857, 0.896), "Bag": (0.955, 0.955)}
    rows: dict[str, Any] = {
        name: {"precision": p, "recall": r, "f1-score": 2 * p * r / (p + r), "support": 333.0}
        for name, (p, r) in scores.items()
    }
    average = {"precision": 0.9, "recall": 0.9, "f1-score": 0.9, "support": 1000.0}
    return rows | {"accuracy": 0.9, "macro avg": average, "weighted avg": average}


def describe(
    model: str, *, test: int = 900, validation: int = 455, sparsity: float = 0.0, file_bytes: int = REFERENCE_BYTES
) -> dict[str, Any]:
    """What every kind's result has: `test` of 1,000 and `validation` of 500 are right."""
    layers: list[dict[str, Any]] = [
        {"name": name, "zeros": round(sparsity * total), "total": total, "sparsity": round(sparsity * total) / total}
        for name, total in LAYERS.items()
    ]
    sizes = {"float32": REFERENCE_BYTES, "formula": 33_200, "packed": 12_000, "entropy": 11_000, "file": file_bytes}
    return {
        "model_id": f"mdl_{model}",
        "evaluation": {"validation": evaluate(validation, 500), "test": evaluate(test, 1000)},
        "sparsity": {
            "total": sum(layer["zeros"] for layer in layers) / sum(layer["total"] for layer in layers),
            "layers": layers,
        },
        "size": build_ledger(sizes, REFERENCE_BYTES),
        "macs": 8300,
        "latency": {"median_ms": 4.0, "p95_ms": 5.0, "batch_size": 64, "threads": 2, "device": "cpu"},
        "classification_report": report_classes(),
        "confusion_matrix": copy.deepcopy(MATRIX),
    }


def _epoch(epoch: int, train: float, validation: float) -> dict[str, float]:
    return {
        "epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": train, "validation_loss": 1.1 / epoch,
        "validation_accuracy": validation, "learning_rate": 0.1, "seconds": 1.0,
    }  # fmt: skip


def _probe(sparsity: float, drop: float, epochs: int = 0) -> dict[str, Any]:
    return {
        "sparsity": sparsity, "accuracy": 0.91 - drop / 100, "drop": drop, "within": drop <= 1.0,
        "retrained_epochs": epochs,
    }  # fmt: skip


def _prune(model: str, sparsity: float, probes: list[dict[str, Any]], **values: Any) -> dict[str, Any]:
    chosen = next(probe for probe in probes if probe["sparsity"] == sparsity)
    return describe(model, sparsity=sparsity, **values) | {
        "chosen": chosen,
        "curve": probes,
        "distillation": chosen["retrained_epochs"] > 0,
        "baseline_macs": 8300,
        "baseline_latency": {"median_ms": 8.0, "p95_ms": 9.0, "batch_size": 64, "threads": 2, "device": "cpu"},
    }


def _width(bits: int, test: int, validation: int, file_bytes: int) -> dict[str, Any]:
    row = describe(f"{bits}bit", test=test, validation=validation, file_bytes=file_bytes, sparsity=0.05)
    history = [_epoch(1, 0.9, validation / 500 - 0.01), _epoch(2, 0.92, validation / 500)]
    zeros = row["sparsity"]
    row |= {"sparsity": zeros["total"], "layer_sparsity": zeros["layers"]}
    return row | {"bit_width": bits, "history": history}


def _apply(technique: str, **parameters: Any) -> dict[str, Any]:
    return {"technique": technique, **parameters}


def _walk(*points: tuple[list[dict[str, Any]], str, int, float]) -> list[dict[str, Any]]:
    """Rows of an ablation. points: what was applied, what the bytes are, how many, and the drop."""
    return [
        {
            "technique": "; ".join(one["technique"] for one in applied), "applied": applied, "measure": measure,
            "bytes_before": before[2], "bytes_after": num_bytes, "accuracy_before": 0.91 - before[3] / 100,
            "accuracy_after": 0.91 - drop / 100, "drop_before": before[3], "drop_after": drop,
        }
        for before, (applied, measure, num_bytes, drop) in zip([points[0], *points], points, strict=False)
    ]  # fmt: skip


def _control(kind: str, name: str, test: int, num_bytes: int, sparsity: float) -> dict[str, Any]:
    return {
        "kind": kind, "name": name, "num_bytes": num_bytes, "sparsity": sparsity, "widths": [16], "epochs": 12,
        "validation_accuracy": 0.9, "test_accuracy": test / 1000, "validation_drop": 1.0,
        "test_drop": (900 - test) / 10, "problems": [],
    }  # fmt: skip


ABLATION = _walk(
    ([_apply("nothing")], "float32", 40_000, 0.0),
    ([_apply("calibrated_quantization", bit_width=8), _apply("batch_norm_folding")], "packed", 10_200, 0.0),
    ([_apply("entropy_coding")], "file", 9000, 0.0),
    ([_apply("trained_teacher", epochs=10), _apply("shifted_pictures", max_shift=1)], "file", 9100, -0.4),
    (
        [_apply("channel_pruning", widths_before=[32], widths_after=[16]), _apply("distillation")],
        "file", 4600, 0.2,
    ),
    (
        [
            _apply("learned_step_sizes", bit_width=4, activation_bit_width=8),
            _apply("weight_pruning", sparsity=0.8),
        ],
        "file", 1500, 0.3,
    ),
    ([_apply("weight_pruning", sparsity=0.9), _apply("plain_pictures", epochs=6)], "file", 1200, 0.7),
    ([_apply("rate_distortion_rounding", rd_lambda=2.5e-5)], "file", 1080, 0.8),
    ([_apply("refitting")], "file", 1080, 0.6),
    ([_apply("mantissa_rounding", mantissa_bits=5)], "file", 1000, 0.6),
)  # fmt: skip
"""What `compress` records beside its file; studies of earlier versions have neither this nor controls of the file."""
FILE_CONTROLS = [
    _control("unpruned", "not pruned", 897, 3100, 0.02),
    _control("random", "pruned at random", 840, 1050, 0.9),
    _control("small_dense", "small dense", 861, 990, 0.03),
]


def build_results() -> dict[str, dict[str, Any]]:
    """Step → result. Tests change a number here and read what the report says then."""
    widths = [_width(8, 901, 456, 9000), _width(4, 898, 453, 4500), _width(2, 840, 425, 2300)]
    candidates = [
        {"name": "8 bit", "num_bytes": 9000, "accuracy": 0.912, "drop": -0.2, "within": True, "safe": True},
        {"name": "4 bit, pruned", "num_bytes": 1000, "accuracy": 0.904, "drop": 0.6, "within": True, "safe": True},
        {"name": "4 bit, sparser", "num_bytes": 900, "accuracy": 0.896, "drop": 1.4, "within": False, "safe": False},
    ]
    chosen = describe("4bit", test=898, validation=453, file_bytes=4500, sparsity=0.05)
    return {
        "train": describe("base")
        | {
            "history": [_epoch(1, 0.8, 0.82), _epoch(2, 0.9, 0.91), _epoch(3, 0.95, 0.905)],
            "best_epoch": 2,
            "precision": "float32",
            "num_train_examples": 3000,
        },
        "one_shot": _prune("one", 0.8, [_probe(0.5, 0.2), _probe(0.8, 0.8), _probe(0.9, 4.0)], test=893),
        "step_by_step": _prune(
            "step", 0.95, [_probe(0.8, -0.2, 1), _probe(0.95, 0.6, 2), _probe(0.99, 3.0, 3)], test=896
        ),
        "quantize": chosen | {"widths": widths, "bit_width": 4, "distillation": True},
        "channels": _prune("narrow", 0.5, [_probe(0.3, 0.1, 2), _probe(0.4, 0.3, 2), _probe(0.5, 0.4, 2)], test=898)
        | {"macs": 2100},
        "compress": describe("final", test=894, validation=452, sparsity=0.9, file_bytes=1000)
        | {
            "candidates": candidates,
            "front": candidates,
            "chosen": candidates[1],
            "reserve_shares": {"trained": 0.15, "rounded": 0.3},
            "techniques": ["distillation from the dense model", "context-modelled entropy coding"],
            "ablation": copy.deepcopy(ABLATION),
        },
        "control_unpruned": _prune("same", 0.0, [_probe(0.0, -0.4, 2)], test=905),
        "control_random": _prune("luck", 0.95, [_probe(0.95, 8.0, 2)], test=820),
        "control_small_dense": describe("small", test=860, file_bytes=1100),
    }


ENGLISH, PERSIAN = get_wording("en"), get_wording("fa")

SPECS: Mapping[str, Mapping[str, Any]] = {
    "train": {
        "dataset": "fashion_mnist",
        "architecture": "mlp",
        "epochs": 3,
        "optimizer": "sgd",
        "learning_rate": 0.1,
        "batch_size": 128,
    },
    "step_by_step": {"schedule": "geometric", "steps": 3},
    "channels": {"sparsity": 0.5},
}
KINDS = {"train": "train", "quantize": "quantize", "compress": "compress", "control_small_dense": "train"}


def build_facts(results: Mapping[str, Mapping[str, Any]], *, effort: str = "quick") -> StudyFacts:
    """The facts of a study whose steps had these results."""
    steps = {
        name: StepFact(
            name=name,
            job_id=f"job_{position:02d}{name.replace('_', '')}",
            kind=KINDS.get(name, "prune"),
            spec={**SPECS.get(name, {}), "seed": 7},
            result=results[name],
            artifacts=[ArtifactFact(f"{name}.png", "plot", f"{position:064x}", 1234)],
            seconds=12.0,
            reused=False,
        )
        for position, name in enumerate(STEPS)
        if name in results
    }
    pictures = tuple(tuple(np.full((8, 8), 40 * label, np.uint8) for _ in range(4)) for label in range(3))
    return StudyFacts(
        job_id="job_study",
        spec={"dataset": "fashion_mnist", "architecture": "mlp", "effort": effort, "seed": 7, "max_accuracy_drop": 1.0},
        steps=steps,
        environment={"python": "3.11", "torch": "2.15", "processor": "two cores"},
        dataset=DatasetFact(
            "fashion_mnist", CLASSES, (1, 8, 8),
            {"train": (900, 900, 900), "validation": (100, 200, 200), "test": (330, 335, 335)},
            (0.28,), (0.35,), pictures,
        ),
    )  # fmt: skip
