"""The domain's exceptions, as one tree. No HTTP in here: `api/problems/` maps each to a problem.

BatchlineError
├── ConfigurationError      the operator wrote something that cannot work
├── InvalidRequest          the client wrote something that cannot be run
│   └── UnknownModel
├── IdempotencyMismatch     the same key was used before with another request
├── QueueFull               admission refused the job; it was not accepted
├── JobNotFound             no such job, and its id is too young to have been forgotten
├── JobGone                 the job's lifetime is over
├── JobFailed               what a stock arq client sees of a job that failed or expired
└── QueueUnavailable        Redis cannot be reached or cannot take writes
    └── QueueDamaged        another program's data lies under one of our keys
"""


class BatchlineError(Exception):
    """Every error that Batchline raises on purpose; its text is one sentence for a person."""


class ConfigurationError(BatchlineError):
    """A setting, `models.toml` or a model's files are wrong; the process exits with status 1."""


class InvalidRequest(BatchlineError):
    """The request cannot be run. `pointer` is the JSON pointer of the offending part, if known."""

    def __init__(self, message: str, pointer: str | None = None) -> None:
        super().__init__(message)
        self.pointer = pointer


class UnknownModel(InvalidRequest):
    """No model of that name is served."""


class IdempotencyMismatch(BatchlineError):
    """The idempotency key was used before with a different request."""


class QueueFull(BatchlineError):
    """The queue's limit on jobs or bytes is reached. `reason` is `jobs` or `bytes`."""

    def __init__(self, message: str, *, model: str, reason: str, depth: int) -> None:
        super().__init__(message)
        self.model = model
        self.reason = reason
        self.depth = depth


class JobNotFound(BatchlineError):
    """No job has that id."""


class JobGone(BatchlineError):
    """The job existed, but its lifetime is over."""


class JobFailed(BatchlineError):
    """Raised by a stock `arq.jobs.Job.result()` for a job that failed or expired."""


class QueueUnavailable(BatchlineError):
    """Redis cannot be reached, or refuses writes."""


class QueueDamaged(QueueUnavailable):
    """A key in Redis holds another program's data; its text names the key and says what is wrong with it.

    `key` is empty where it is a single job's.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key
