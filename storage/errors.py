"""Domain errors. They know nothing of HTTP: `service/errors.py` gives each one its status."""

from __future__ import annotations


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


class JobError(DomainError):
    """An execution error: it ends in the job's `error` object, never in an HTTP status of its own."""

    code = "internal_error"
    title = "The job failed"
    retryable = False


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


class InvalidPicture(JobError):
    """An uploaded picture that cannot be read, or is larger than any that is read."""

    code = "invalid_picture"
    title = "The picture cannot be used"


class Diverged(JobError):
    """Training reached a loss that is not finite."""

    code = "diverged"
    title = "Training diverged"


class SchemaTooNew(Exception):
    """The database was written by a newer version of this code: nothing can be asked of it."""
