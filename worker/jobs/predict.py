"""What networks say of one picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from worker.catalog import PredictionWarning
from worker.dataset_facts import is_same_class
from worker.dataset_refs import is_stored
from worker.job_spec import JobContext, JobOutcome, ModelId, UploadSpec
from worker.picture_policy import LARGEST_SIDE, ResizePolicy
from worker.results.predict import PredictResult


class PredictSpec(UploadSpec):
    """Classifies the picture that came with the request, by one model or by two side by side."""

    is_light: ClassVar[bool] = True

    kind: Literal["predict"] = "predict"
    model_id: ModelId
    compare_to: ModelId | None = Field(None, description="A second model that is asked the same.")
    top_k: int = Field(5, ge=1, le=100, description="Classes to name, the most probable first.")
    invert: bool = Field(False, description="Swap light and dark: FashionMNIST and digits are light on dark.")
    max_attempts: int = Field(2, ge=1, le=5)
    max_runtime_s: int = Field(120, ge=1, le=604_800)


def run(spec: PredictSpec, context: JobContext) -> JobOutcome:
    """Each network reads the picture prepared for its own input."""
    import torch

    torch.set_num_threads(1)  # one picture: more threads would only take them from a training
    picture = context.upload_file()
    asked = [spec.model_id] if spec.compare_to is None else [spec.model_id, spec.compare_to]
    answers = [_predict(spec, context, model_id, picture) for model_id in asked]
    predictions = [prediction for prediction, _ in answers]
    for detail in dict.fromkeys(warning["detail"] for prediction in predictions for warning in prediction["warnings"]):
        context.warn(detail)
    agree = None
    if len(answers) > 1:
        (first, names), (second, others) = answers
        agree = is_same_class(names, first["top"][0]["class_index"], others, second["top"][0]["class_index"])
        if agree is None:
            context.warn("the two models do not name the same classes: whether they agree cannot be told")
    return JobOutcome(PredictResult.model_validate({"predictions": predictions, "agree": agree}).to_json())


def _predict(
    spec: PredictSpec, context: JobContext, model_id: str, picture: Path
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What one model says, as JSON, and all its class names."""
    import torch

    from worker.core.checkpoint import load_network
    from worker.picture_warnings import Notice
    from worker.pictures import load_picture
    from worker.pixels import normalize_pixels

    network = load_network(context.model_file(model_id))
    resize = network.resize or _find_older_policy(context, model_id)
    pixels, preparation = load_picture(picture, network.input_shape, invert=spec.invert, resize=resize)
    notices = list(preparation.notices)
    with torch.no_grad():
        logits = network.model(normalize_pixels(pixels, network.mean, network.std))[0]
    if not bool(torch.isfinite(logits).all()):
        notices.append(Notice(PredictionWarning.NOT_FINITE, f"{model_id} answers numbers that are not finite"))
    probabilities = logits.double().softmax(0).nan_to_num(0.0)
    best = probabilities.argsort(descending=True, stable=True)[: spec.top_k]
    said = {
        "model_id": model_id,
        "top": [
            {
                "class_index": int(index),
                "class_name": network.class_names[int(index)],
                "probability": float(probabilities[index]),
            }
            for index in best
        ],
        "preprocessing": {
            **{name: value for name, value in asdict(preparation).items() if name != "notices"},
            "steps": list(preparation.steps),
            "width": network.input_shape[2],
            "height": network.input_shape[1],
            "mean": network.mean,
            "std": network.std,
        },
        "warnings": [{"code": str(notice.code), "detail": notice.detail} for notice in notices],
    }
    return said, network.class_names


def _find_older_policy(context: JobContext, model_id: str) -> ResizePolicy | None:
    """How the data set of a model was made to fit, whose file says nothing of it; None where that one is built in.

    No file of an earlier version says it, and none whose data set is built in. Of a network that was brought without a
    data set nobody said it: as those of a data set that is brought are by default.
    """
    summary = context.model_summary(model_id)
    if summary.get("not_measured") is not None:
        return ResizePolicy(height=LARGEST_SIDE, width=LARGEST_SIDE)  # the size becomes the network's
    dataset = summary.get("dataset")
    if not isinstance(dataset, str) or not is_stored(dataset):
        return None
    return ResizePolicy.model_validate(context.dataset_summary(dataset)["resize"])
