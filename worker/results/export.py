"""The result of an `export` job."""

from __future__ import annotations

from pydantic import Field

from worker.catalog import ExportTarget, WeightType
from worker.model_summary import Latency, Recorded


class ExportMemory(Recorded):
    """What a device needs of its memories."""

    constant_bytes: int = Field(description="Flash for weights, scales and biases; the code comes on top.")
    weight_bytes: int | None = Field(
        None,
        description="Of these, those of the weights: in the compressed form all of the `.tonok` file. "
        "Null in results of earlier versions.",
    )
    ram_bytes: int = Field(
        description="That the network computes in, given by its caller; in the compressed form with the decoded "
        "weights and, where that is more, what decoding takes."
    )


class ExportLatency(Latency):
    """Milliseconds for one picture, by the runtime."""

    p99_ms: float = Field(description="99th percentile of the passes.")


class ExportRun(Recorded):
    """What the file's own runtime answered on the test split, beside what is computed here of the stored model."""

    runtime: str = Field(description="Name and version.")
    num_examples: int = Field(description="Pictures asked: the first of the test split, as many as time allowed.")
    num_test_examples: int = Field(description="Pictures of the whole test split.")
    num_correct: int
    accuracy: float
    num_agreeing: int = Field(description="Pictures that get the class that they get here.")
    agreement: float = Field(description="`num_agreeing` ÷ `num_examples`.")
    num_identical: int = Field(description="Pictures all of whose logits are the same numbers as here.")
    latency: ExportLatency


class ExportDevice(Recorded):
    """What the file takes and answers on an emulated microcontroller: of the network alone, with what it calls."""

    board: str = Field(description="As its emulator names it.")
    core: str
    compiler: str = Field(description="Name and version.")
    emulator: str = Field(description="Name and version.")
    flash_bytes: int = Field(description="Code, constants and the variables' first values.")
    ram_bytes: int = Field(
        description="Variables and stack; the picture and the logits, which the caller has, come on top."
    )
    stack_bytes: int = Field(description="Of `ram_bytes`: the most stack that a picture took.")
    instructions_per_picture: int = Field(description="Mean over the pictures, each counted to ten instructions.")
    set_up_instructions: int | None = Field(description="Of what is done once, before pictures; null where nothing is.")
    num_examples: int = Field(description="Pictures answered: the first of those asked, as many as time allowed.")
    num_asked_examples: int = Field(description="The first of the test split, a hundred at most.")
    num_identical: int = Field(description="Pictures all of whose logits are the same numbers as here.")


class ExportResult(Recorded):
    """A stored model as a file that other programs run."""

    model_id: str
    target: ExportTarget
    format: str = Field(description="`GET /v1/models/{id}/download?format=` has the newest file of it.")
    num_bytes: int = Field(description="Of the file.")
    weight_type: WeightType | None = Field(description="Of its weights; null where each layer has a width of its own.")
    memory: ExportMemory | None = Field(description="Null where the runtime decides.")
    run: ExportRun | None = Field(description="Null where no runtime was at hand, which a warning says.")
    device: ExportDevice | None = Field(
        None, description="Null where the target is for no microcontroller, or none was at hand, which a warning says."
    )
    environment: dict[str, str] = Field(description="What computed it: names and versions.")
