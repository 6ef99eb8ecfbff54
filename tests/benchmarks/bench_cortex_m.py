"""Flash, RAM and instructions per picture of networks in C on an emulated Cortex-M4, through a service of its own.

Each network is trained on digits and quantized or compressed, all as jobs of the API; every figure is the export job's
own. Instructions and bytes hang on no machine and no load, but on the cross compiler's version and on the weights.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from service.demo.server import run_service, stop_on_sigterm
from storage.settings import load_settings
from tests.benchmarks.bench_compress import run_job
from tests.benchmarks.record import write_result
from tonok.client import Client

SEED = 0
ARCHITECTURES = ("mlp", "lenet5", "depthwise_cnn")
COMPRESSED = ("mlp", "lenet5")
"""Those for which that takes a minute."""
TRAINING = {"dataset": "digits", "epochs": 20, "learning_rate": 0.02, "seed": SEED}
QUANTIZATION = {"bit_widths": [8, 4], "mode": "post_training", "seed": SEED}
COMPRESSION = {"effort": "quick", "max_accuracy_drop": 1.0, "seed": SEED}


def measure(client: Client, architecture: str) -> list[dict[str, Any]]:
    """A row for each model of a network: of 8 and 4 bits, and compressed where it is one of `COMPRESSED`."""
    trained = run_job(client, "train", TRAINING | {"architecture": architecture})["output_model_id"]
    quantized = run_job(client, "quantize", QUANTIZATION | {"model_id": trained})["result"]["widths"]
    models = {f"{width['bit_width']} bits": width["model_id"] for width in quantized}
    if architecture in COMPRESSED:
        models["compressed"] = run_job(client, "compress", COMPRESSION | {"model_id": trained})["output_model_id"]
    return [{"network": architecture, "model": name} | export(client, model_id) for name, model_id in models.items()]


def export(client: Client, model_id: str) -> dict[str, Any]:
    """What the emulated board says of a model. Raises SystemExit where it was not asked."""
    job = run_job(client, "export", {"model_id": model_id, "target": "c", "seed": SEED})
    device: Mapping[str, Any] | None = job["result"]["device"]
    if device is None:
        raise SystemExit(f"{job['id']} was not run on the emulated board: its log says why")
    return {"macs": client.model(model_id).macs, **device}


def render_table(rows: list[dict[str, Any]]) -> str:
    """The table of docs/devices.md."""
    lines = [
        "| Network | Model | Flash | RAM | of it stack | MACs | Instructions per picture | Same bits |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        numbers = ("flash_bytes", "ram_bytes", "stack_bytes", "macs", "instructions_per_picture")
        shown = " | ".join(f"{row[name]:,}" for name in numbers)
        lines.append(
            f"| {row['network']} | {row['model']} | {shown} | {row['num_identical']} of {row['num_examples']} |"
        )
    return "\n".join(lines)


def main() -> None:
    stop_on_sigterm()
    settings = load_settings()
    with run_service(settings, settings.data_dir / "bench-cortex-m") as service:
        rows = [row for architecture in ARCHITECTURES for row in measure(service.client, architecture)]
    conditions = {"training": TRAINING, "quantization": QUANTIZATION, "compression": COMPRESSION}
    write_result("cortex_m", {"rows": rows}, seeds=[SEED], conditions=conditions)
    print(render_table(rows))


if __name__ == "__main__":
    main()
