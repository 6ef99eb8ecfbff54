"""Flash, RAM and instructions per picture of networks in C on an emulated Cortex-M4, through a service of its own.

Networks are trained on digits and quantized or compressed, all as jobs of the API. `--data .tonok/demo` measures the
model that was compressed last in that data directory besides: after `make demo`, the demo's. Every figure is the export
job's own. Instructions and bytes hang on no machine and no load, but on the cross compiler's version and the weights.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from service.demo.server import run_service, stop_on_sigterm
from storage.settings import load_settings
from tests.benchmarks.bench_compress import run_job
from tests.benchmarks.record import RESULTS, write_result
from tonok.client import Client

SEED = 0
ARCHITECTURES = ("mlp", "lenet5", "depthwise_cnn")
COMPRESSED = ("mlp", "lenet5")
"""Those for which that takes a minute."""
TRAINING = {"dataset": "digits", "epochs": 20, "learning_rate": 0.02, "seed": SEED}
QUANTIZATION = {"bit_widths": [8, 4], "mode": "post_training", "seed": SEED}
COMPRESSION = {"effort": "quick", "max_accuracy_drop": 1.0, "seed": SEED}


FORMS = ("plain", "compressed")
COLUMNS = (
    *("Network", "Model", "Form", "Flash", "of it weights", "RAM", "of it stack", "MACs"),
    *("Instructions per picture", "At start", "Same bits"),
)


def measure(client: Client, architecture: str) -> list[dict[str, Any]]:
    """Rows of each model of a network: of 8 and 4 bits, and compressed where it is one of `COMPRESSED`."""
    trained = run_job(client, "train", TRAINING | {"architecture": architecture})["output_model_id"]
    quantized = run_job(client, "quantize", QUANTIZATION | {"model_id": trained})["result"]["widths"]
    models = {f"{width['bit_width']} bits": width["model_id"] for width in quantized}
    if architecture in COMPRESSED:
        models["compressed"] = run_job(client, "compress", COMPRESSION | {"model_id": trained})["output_model_id"]
    return [row for name, model_id in models.items() for row in export(client, architecture, name, model_id)]


def measure_compressed(client: Client) -> list[dict[str, Any]]:
    """Rows of the model that was compressed last in a data directory."""
    job = next(iter(client.jobs(kind="compress", status="succeeded")))
    if job.output_model_id is None:
        raise SystemExit(f"{job.id} left no model")
    model = client.model(job.output_model_id)
    return export(client, f"{model.architecture}, {model.dataset}", "compressed", model.id)


def export(client: Client, network: str, name: str, model_id: str) -> list[dict[str, Any]]:
    """What the emulated board says of a model in both forms. Raises SystemExit where it was not asked."""
    rows = []
    for form in FORMS:
        job = run_job(client, "export", {"model_id": model_id, "target": "c", "form": form, "seed": SEED})
        device: Mapping[str, Any] | None = job["result"]["device"]
        if device is None:
            raise SystemExit(f"{job['id']} was not run on the emulated board: its log says why")
        if device["num_examples"] < device["num_asked_examples"]:
            raise SystemExit(f"{job['id']} had no time for all pictures: the mean is of others then")
        known = {"network": network, "model": name, "form": form, "macs": client.model(model_id).macs}
        rows.append(known | {"weight_bytes": job["result"]["memory"]["weight_bytes"], **device})
    return rows


def render_table(rows: list[dict[str, Any]]) -> str:
    """The table of docs/devices.md."""
    lines = [
        f"| {' | '.join(COLUMNS)} |",
        "|---|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for row in rows:
        numbers = ("flash_bytes", "weight_bytes", "ram_bytes", "stack_bytes", "macs", "instructions_per_picture")
        shown = [f"{row[name]:,}" for name in numbers]
        shown.append("" if row["set_up_instructions"] is None else f"{row['set_up_instructions']:,}")
        shown.append(f"{row['num_identical']} of {row['num_examples']}")
        lines.append(f"| {row['network']} | {row['model']} | {row['form']} | {' | '.join(shown)} |")
    return "\n".join(lines)


def read_rows() -> list[dict[str, Any]]:
    """Those that were recorded last."""
    rows: list[dict[str, Any]] = json.loads((RESULTS / "cortex_m.json").read_text("utf-8"))["numbers"]["rows"]
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.bench_cortex_m")
    parser.add_argument(
        "--data", type=Path, help="a data directory: its compressed model is measured, other rows are kept"
    )
    arguments = parser.parse_args()
    stop_on_sigterm()
    settings = load_settings()
    if arguments.data is None:
        with run_service(settings, settings.data_dir / "bench-cortex-m") as service:
            rows = [row for architecture in ARCHITECTURES for row in measure(service.client, architecture)]
    else:
        with run_service(settings, arguments.data.resolve()) as service:
            found = measure_compressed(service.client)
        rows = [row for row in read_rows() if row["network"] != found[0]["network"]] + found
    conditions = {"training": TRAINING, "quantization": QUANTIZATION, "compression": COMPRESSION}
    write_result("cortex_m", {"rows": rows}, seeds=[SEED], conditions=conditions)
    print(render_table(rows))


if __name__ == "__main__":
    main()
