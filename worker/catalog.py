"""Every name a client may use, as enums. Torch-free: the API builds its forms from this.

A data set or architecture value *is* the name of its module; a test holds names and code together.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from worker import dataset_classes as classes


@dataclass(frozen=True)
class DatasetFacts:
    """input_shape: (channels, height, width) of a picture. class_names: in the order of the labels.

    num_pictures: of training and test together. is_mirrorable: whether a picture mirrored left to right is one of the
    same class. is_test_drawn: whether it came without a test part, which was drawn from its pictures.
    """

    input_shape: tuple[int, int, int]
    class_names: tuple[str, ...]
    num_pictures: int
    is_mirrorable: bool
    is_test_drawn: bool = False


_NO_FACTS = DatasetFacts((0, 0, 0), (), 0, is_mirrorable=False)
"""Of a name that is looked up by its value."""


class DatasetName(StrEnum):
    """A data set, already split and normalised."""

    # Each value is the name of its module in worker/datasets.

    facts: DatasetFacts

    def __new__(cls, value: str, facts: DatasetFacts = _NO_FACTS) -> DatasetName:
        """The name, which knows the facts."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.facts = facts
        return member

    FASHION_MNIST = "fashion_mnist", DatasetFacts((1, 28, 28), classes.CLOTHES, 70_000, is_mirrorable=True)
    DIGITS = "digits", DatasetFacts((1, 28, 28), classes.DIGITS, 1_797, is_mirrorable=False, is_test_drawn=True)
    MNIST = "mnist", DatasetFacts((1, 28, 28), classes.DIGITS, 70_000, is_mirrorable=False)
    KMNIST = "kmnist", DatasetFacts((1, 28, 28), classes.KUZUSHIJI, 70_000, is_mirrorable=False)
    EMNIST = "emnist", DatasetFacts((1, 28, 28), classes.BALANCED_LETTERS, 131_600, is_mirrorable=False)
    QMNIST = "qmnist", DatasetFacts((1, 28, 28), classes.DIGITS, 120_000, is_mirrorable=False)
    USPS = "usps", DatasetFacts((1, 16, 16), classes.DIGITS, 9_298, is_mirrorable=False)
    CIFAR10 = "cifar10", DatasetFacts((3, 32, 32), classes.CIFAR10, 60_000, is_mirrorable=True)
    CIFAR100 = "cifar100", DatasetFacts((3, 32, 32), classes.CIFAR100, 60_000, is_mirrorable=True)
    STL10 = "stl10", DatasetFacts((3, 96, 96), classes.STL10, 13_000, is_mirrorable=True)
    GTSRB = "gtsrb", DatasetFacts((3, 32, 32), classes.TRAFFIC_SIGNS, 39_270, is_mirrorable=False)
    EUROSAT = "eurosat", DatasetFacts((3, 64, 64), classes.LAND_USES, 27_000, is_mirrorable=True, is_test_drawn=True)
    IMAGENETTE = "imagenette", DatasetFacts((3, 128, 128), classes.IMAGENETTE, 13_394, is_mirrorable=True)


class DatasetFormat(StrEnum):
    """What a user's file of pictures is, the most particular first: an unnamed one is the first that fits."""

    # Each value is the name of its module in worker/dataset_files/formats.

    PARQUET = "parquet"
    NPZ = "npz"
    IDX = "idx"
    LABELS_CSV = "labels_csv"
    CLASS_FOLDERS = "class_folders"


class SplitName(StrEnum):
    """A part of a data set."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


class RefusalReason(StrEnum):
    """Why something in a user's file became no picture of the data set."""

    BROKEN = "broken"
    """Not a picture, or a damaged one."""
    TOO_LARGE = "too_large"
    """More bytes or more pixels than are read."""
    OTHER_SIZE = "other_size"
    """Of another size, where none is to be resized."""
    UNKNOWN_SUFFIX = "unknown_suffix"
    """Not called like anything that is read."""
    UNKNOWN_CLASS = "unknown_class"
    """Of a class that no training picture has."""
    NO_CLASS = "no_class"
    """In no folder of a class, or without a label."""
    MISSING = "missing"
    """Named in a table, and not in the file."""


class DatasetWarning(StrEnum):
    """What to know of a data set before a number that was measured on it is believed."""

    REFUSED = "refused"
    """Not all that the file holds became pictures."""
    CLASS_WITHOUT_PICTURES = "class_without_pictures"
    """A split has none of a class: what is told of that class there says nothing."""
    CLASS_OF_ONE_PICTURE = "class_of_one_picture"
    """A class has one picture to train on, and so none to validate where the validation split is drawn."""
    SHARED_PICTURES = "shared_pictures"
    """Test has pictures that are trained on."""
    SPLIT_WITHOUT_CLASSES = "split_without_classes"
    """The folder of a split holds pictures and no folders of classes."""
    SPLIT_NAME_AS_CLASS = "split_name_as_class"
    """A folder that is called like a split was taken for a class."""
    LABEL_COLUMN_GUESSED = "label_column_guessed"
    """A table's only column beside that of pictures was taken for the classes, though nothing says that it is."""
    SPLIT_COLUMN_NOT_USED = "split_column_not_used"
    """A column that is called so holds other words than names of splits."""
    TABLE_NOT_USED = "table_not_used"
    """A table names the pictures, and which of its columns holds their classes is not known."""
    CLASS_LEFT_OUT = "class_left_out"
    """The file names a class that no training picture is of: the classes after it have other numbers."""


class Architecture(StrEnum):
    """A network, described by its name and its hidden widths."""

    # Each value is the name of its module in worker/network/architectures.

    FASHION_CNN = "fashion_cnn"
    LENET5 = "lenet5"
    MLP = "mlp"
    RESNET_SMALL = "resnet_small"
    DEPTHWISE_CNN = "depthwise_cnn"


class PruningMethod(StrEnum):
    """The importance of one weight; higher is kept."""

    # Each value is the name of its module in worker/core/pruning/methods.

    MAGNITUDE = "magnitude"
    RANDOM = "random"
    TAYLOR = "taylor"
    BATCH_NORM_SCALE = "batch_norm_scale"


class PruningScope(StrEnum):
    """Over which weights the scores compete."""

    # Each value is the name of its module in worker/core/pruning/scopes.

    UNIFORM = "uniform"
    GLOBAL = "global"
    LAMP = "lamp"
    ERK = "erk"


class PruningPattern(StrEnum):
    """What is removed as one: single weights, or channels so that the network gets narrower."""

    WEIGHTS = "weights"
    CHANNELS = "channels"


class PruningSchedule(StrEnum):
    """How the sparsity grows over the steps."""

    # Each value is the name of its module in worker/core/pruning/schedules.

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


class ExportTarget(StrEnum):
    """What `export` writes a network for."""

    # Each value is the name of its module in worker/exports/targets.

    C = "c"
    ONNX = "onnx"


class SourceForm(StrEnum):
    """How C holds the weights."""

    PLAIN = "plain"
    COMPRESSED = "compressed"


class WeightType(StrEnum):
    """Of the weights in an ONNX file."""

    INT8 = "int8"
    INT4 = "int4"
    FLOAT32 = "float32"


class Optimizer(StrEnum):
    """The optimizer of `train`."""

    # Each value is the name of its module in worker/core/optimizers. The number: what it keeps of each weight.

    num_states: int

    def __new__(cls, value: str, num_states: int) -> Optimizer:
        """The name, which knows the number."""
        member = str.__new__(cls, value)
        member._value_ = value
        member.num_states = num_states
        return member

    SGD = "sgd", 1
    ADAMW = "adamw", 2


class Loss(StrEnum):
    """What `train` makes small."""

    # Each value is the name of its module in worker/core/losses.

    CROSS_ENTROPY = "cross_entropy"
    BRIER = "brier"


class ClassWeighting(StrEnum):
    """What a training picture of each class weighs in the loss."""

    # Each value is the name of its module in worker/class_weightings.

    NONE = "none"
    BALANCED = "balanced"


class TrainingWarning(StrEnum):
    """Why a training may not give what was hoped for."""

    UNBALANCED_CLASSES = "unbalanced_classes"
    """One class has many times the pictures of another, and each picture weighs the same."""
    CLASS_NOT_TRAINED = "class_not_trained"
    """A class has no picture to train on: the network never learns to answer it."""
    CLASS_NOT_VALIDATED = "class_not_validated"
    """A class has no picture on validation: neither the best epoch nor any later decision goes by it."""


class Precision(StrEnum):
    """`auto` is bfloat16 where the processor computes it natively, else float32."""

    AUTO = "auto"
    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"


class HealthProblem(StrEnum):
    """Why a model's accuracy, size or drop says nothing good of it, however good the number looks."""

    ONE_CLASS = "one_class"
    """One class takes all answers, or nearly all."""
    CHANCE = "chance"
    """It is not right more often than who always answers the most frequent class."""
    DEAD_LAYER = "dead_layer"
    """A layer answers the same to every picture: nothing passes."""
    NOT_FINITE = "not_finite"
    """It answers numbers that are none."""


class NotMeasuredReason(StrEnum):
    """Why how often a model is right is not known."""

    NO_DATASET = "no_dataset"
    """It was imported without a data set: there may be none here with its classes."""


class ArtifactKind(StrEnum):
    """What a job's file is for."""

    CHECKPOINT = "checkpoint"
    COMPRESSED = "compressed"
    PLOT = "plot"
    REPORT = "report"
    UPLOAD = "upload"
    PICTURES = "pictures"
    EXPORT = "export"
    LOG = "log"


class PredictionWarning(StrEnum):
    """Why a prediction may say little about the picture that was sent."""

    NEARLY_BLANK = "nearly_blank"
    ENLARGED = "enlarged"
    REDUCED = "reduced"
    OTHER_PROPORTIONS = "other_proportions"
    FIRST_FRAME = "first_frame"
    BRIGHT_BORDER = "bright_border"
    NOT_FINITE = "not_finite"


class ResizeMode(StrEnum):
    """How a picture of any size becomes one of a network's size."""

    SHORTER_SIDE_CENTRE_CROP = "shorter_side_centre_crop"
    """Resized until it covers the target, and what protrudes is cut off on both sides alike."""
    PAD = "pad"
    """Resized until it fits into the target, and the rest filled with the background."""
    STRETCH = "stretch"
    """Resized to the target, whatever the proportions."""
    EXACT = "exact"
    """Not resized: of another size it is refused."""


class Background(StrEnum):
    """What lies below transparency and fills the borders of a padded picture."""

    WHITE = "white"
    BLACK = "black"


class Conversion(StrEnum):
    """What may happen to a picture between its file and a network's input, in this order."""

    FIRST_FRAME = "first_frame"
    TURNED = "turned"
    REDUCED_DEPTH = "reduced_depth"
    FLATTENED = "flattened"
    TO_GRAYSCALE = "to_grayscale"
    GRAY_REPEATED = "gray_repeated"
    RESIZED = "resized"
