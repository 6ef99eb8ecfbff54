"""Every name a client may use, as enums. Torch-free: the API builds its forms from this.

An enum value *is* the name of the module that implements it; a test holds names and modules together.
"""

from __future__ import annotations

from enum import StrEnum


class DatasetName(StrEnum):
    """worker/core/datasets/<value>.py"""

    FASHION_MNIST = "fashion_mnist"
    DIGITS = "digits"


class Architecture(StrEnum):
    """worker/core/models/<value>.py"""

    FASHION_CNN = "fashion_cnn"
    LENET5 = "lenet5"
    MLP = "mlp"
    RESNET_SMALL = "resnet_small"
    DEPTHWISE_CNN = "depthwise_cnn"


class PruningMethod(StrEnum):
    """worker/core/pruning/scores/<value>.py: the importance of one weight; higher is kept."""

    MAGNITUDE = "magnitude"
    RANDOM = "random"
    TAYLOR = "taylor"
    BATCH_NORM_SCALE = "batch_norm_scale"


class PruningScope(StrEnum):
    """worker/core/pruning/scopes/<value>.py: over which weights the scores compete."""

    UNIFORM = "uniform"
    GLOBAL = "global"
    LAMP = "lamp"
    ERK = "erk"


class PruningPattern(StrEnum):
    """worker/core/pruning/patterns/<value>.py: what is removed as one."""

    WEIGHTS = "weights"
    CHANNELS = "channels"


class PruningSchedule(StrEnum):
    """worker/core/pruning/schedules/<value>.py: how the sparsity grows over the steps."""

    ONE_SHOT = "one_shot"
    LINEAR = "linear"
    CUBIC = "cubic"
    GEOMETRIC = "geometric"


class QuantizationMode(StrEnum):
    """Calibrated without gradients, or trained with fake quantization."""

    POST_TRAINING = "post_training"
    QUANTIZATION_AWARE = "quantization_aware"


class Effort(StrEnum):
    """Bounds the time that `compress` may take."""

    QUICK = "quick"
    STANDARD = "standard"
    THOROUGH = "thorough"


class Optimizer(StrEnum):
    """The optimizer of `train`."""

    SGD = "sgd"
    ADAMW = "adamw"


class Precision(StrEnum):
    """`auto` is bfloat16 where the processor computes it natively, else float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class ArtifactKind(StrEnum):
    """What a job's file is for."""

    CHECKPOINT = "checkpoint"
    COMPRESSED = "compressed"
    PLOT = "plot"
    REPORT = "report"
    LOG = "log"
