"""Domain errors. They know nothing of HTTP: `service/errors.py` gives each one its status."""

from __future__ import annotations

import errno


class DomainError(Exception):
    """Something a caller asked for that cannot be done; `str(error)` is safe to show to that caller."""

    code = "error"

    def __init__(self, detail: str, *, field: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field


class NotFound(DomainError):
    """The thing named does not exist, or is not the caller's to see."""

    code = "not_found"


class Conflict(DomainError):
    """The thing exists, and its state does not allow what was asked."""

    code = "conflict"


class NotMeasured(DomainError):
    """A model that was measured on no data set, where what is asked is held against how often it is right."""

    code = "not_measured"


class IdempotencyMismatch(DomainError):
    """The same Idempotency-Key came before with another body."""

    code = "idempotency_key_reused"


class QueueFull(DomainError):
    """As many jobs wait as the settings allow."""

    code = "queue_full"


class InvalidPageToken(DomainError):
    """A page token that this service did not give out."""

    code = "invalid_page_token"

    def __init__(self) -> None:
        super().__init__("page_token is not one that this service gave out", field="page_token")


class LeaseLost(DomainError):
    """This attempt no longer holds its job: whatever it wants to write must be thrown away."""

    code = "lease_lost"


class CorruptFile(DomainError):
    """A stored file's bytes no longer match its SHA-256."""

    code = "corrupt_file"


class DiskFull(DomainError):
    """The disk that holds the data directory has no room for the write."""

    code = "disk_full"


def is_disk_full(error: BaseException) -> bool:
    """Whether an error, or one that it came from, says that no room is left. Libraries wrap what the system said."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DiskFull) or (isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT)):
            return True
        # SQLite's and PostgreSQL's codes; safetensors and torch have only words.
        if getattr(seen, "sqlite_errorname", "") == "SQLITE_FULL" or getattr(seen, "sqlstate", "") == "53100":
            return True
        if "No space left on device" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


class JobError(DomainError):
    """An execution error: it ends in the job's `error` object, never in an HTTP status of its own."""

    code = "internal_error"
    title = "The job failed"
    retryable = False


class InvalidSpec(JobError):
    """A spec that was stored once and that this version cannot run, not even with changes."""

    code = "invalid_spec"
    title = "The job's spec cannot be run any more"


class DatasetUnavailable(JobError):
    """No source of the data set works."""

    code = "dataset_unavailable"
    title = "The data set could not be had"
    retryable = True


class InvalidModel(JobError):
    """A checkpoint or compressed file that cannot be read, or does not fit what was asked of it."""

    code = "invalid_model"
    title = "The model cannot be used"


class StepFailed(JobError):
    """A step of a job has failed, or was cancelled; the step's own error says why."""

    title = "A step of the job failed"

    def __init__(self, detail: str, *, code: str, retryable: bool) -> None:
        super().__init__(detail)
        self.code = code
        self.retryable = retryable


class TooMuchMemory(JobError):
    """A job that would need more memory than one may hold, told before it is started."""

    code = "out_of_memory"
    title = "Out of memory"


class InvalidPicture(JobError):
    """An uploaded picture that cannot be read, or is larger than any that is read."""

    code = "invalid_picture"
    title = "The picture cannot be used"


class InvalidDataset(JobError):
    """A user's pictures that cannot become a data set."""

    code = "invalid_dataset"
    title = "The pictures cannot become a data set"


class Diverged(JobError):
    """Training reached a loss that is not finite."""

    code = "diverged"
    title = "Training diverged"


class SchemaTooNew(Exception):
    """The database was written by a newer version of this code: nothing can be asked of it."""
