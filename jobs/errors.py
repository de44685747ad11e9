"""The domain's exceptions, as one tree. `api/problems/` maps each to an HTTP problem.

BatchlineError
├── ConfigurationError      the configuration is wrong
├── InvalidRequest          the request cannot be run
│   └── UnknownModel
├── IdempotencyMismatch     the idempotency key was used before with another request
├── QueueFull               admission refused the job; it was not accepted
├── LimitExceeded           a limit of the sender is used up for now; the job was not accepted
├── JobTooLarge             the job alone is more than a limit of the sender
├── JobNotFound             no such job; its id is too recent for its lifetime to be over
├── JobGone                 the job's lifetime is over
├── FileNotFound            no such file, or not any more
├── FileTooLarge            the file is larger than one may be
├── QuotaExceeded           the owner's files are as many or as large as they may be
├── BatchNotFound           no such batch, or its lifetime is over
├── KeyNotFound             no such API key, or it was revoked
├── KeyChanged              the API key was changed by somebody else meanwhile
├── HookNotFound            no such endpoint or delivery, or not any more
├── HookChanged             the endpoint was changed by others meanwhile
├── ObjectNotFound          nothing is stored under that path
│   └── ObjectTruncated     what is stored there is shorter than it was
├── StorageUnavailable      the storage of files cannot be reached or does not accept writes
│   └── StorageFull         it has no space left
├── JobFailed               raised in a stock arq client for a job that failed or expired
└── QueueUnavailable        Redis cannot be reached or cannot accept writes
    ├── WritesRefused       it answers, but accepts no writes now
    └── QueueDamaged        one of our keys holds another program's data
"""


class BatchlineError(Exception):
    """Base of every error that Batchline raises on purpose; its text is one sentence for people."""


class ConfigurationError(BatchlineError):
    """A setting, `models.toml` or a model's files are wrong; the process exits with status 1."""


MAX_PLACE = 60
"""Most characters of a place within the inputs that a message names. A client chooses some of its names."""


class InvalidRequest(BatchlineError):
    """The request cannot be run. `pointer` is the JSON pointer of the offending part, if known.

    A message that begins with `inputs: ` gets the pointer's place instead: `inputs/3: `, `inputs/3/image: `.
    """

    def __init__(self, message: str, pointer: str | None = None) -> None:
        super().__init__(_placed(message, pointer))
        self.pointer = pointer


def _placed(message: str, pointer: str | None) -> str:
    if not (pointer and pointer.startswith("/inputs/") and message.startswith("inputs: ")):
        return message
    place = pointer[1:]
    if len(place) > MAX_PLACE or not place.isprintable():
        place = "/".join(place.split("/")[:2])[:MAX_PLACE]
    return f"{place}{message.removeprefix('inputs')}"


class UnknownModel(InvalidRequest):
    """No model with that name is served."""


class IdempotencyMismatch(BatchlineError):
    """The idempotency key was used before with a different request."""


class QueueFull(BatchlineError):
    """The queue's limit is reached. `reason` is `jobs`, `bytes` or `inputs`."""

    def __init__(self, message: str, *, model: str, reason: str, depth: int) -> None:
        super().__init__(message)
        self.model = model
        self.reason = reason
        self.depth = depth


class LimitExceeded(BatchlineError):
    """A limit of the sender is used up. `policy` names it, `retry_after` is in seconds."""

    def __init__(self, message: str, *, policy: str, retry_after: int) -> None:
        super().__init__(message)
        self.policy = policy
        self.retry_after = retry_after


class JobTooLarge(BatchlineError):
    """The job alone is more than a limit of the sender, so it would be refused at any time."""

    def __init__(self, message: str, *, policy: str) -> None:
        super().__init__(message)
        self.policy = policy


class JobNotFound(BatchlineError):
    """No job has that id."""


class JobGone(BatchlineError):
    """The job existed, but its lifetime is over."""


class FileNotFound(BatchlineError):
    """No file has that id, or its lifetime is over, or it was deleted."""


class FileTooLarge(BatchlineError):
    """The uploaded file is larger than `max_bytes`."""

    def __init__(self, message: str, *, max_bytes: int) -> None:
        super().__init__(message)
        self.max_bytes = max_bytes


class QuotaExceeded(BatchlineError):
    """The owner's files are as many or as large as they may be; some must be deleted first."""


class ObjectNotFound(BatchlineError):
    """Nothing is stored under that path."""


class ObjectTruncated(ObjectNotFound):
    """What is stored under that path is shorter than it was: the rest is lost."""


class StorageUnavailable(BatchlineError):
    """The storage of files cannot be reached, or refuses reads or writes."""


class StorageFull(StorageUnavailable):
    """The storage of files has no space left."""


class BatchNotFound(BatchlineError):
    """No batch has that id."""


class KeyNotFound(BatchlineError):
    """No API key has that id, or it can no longer be used."""


class KeyChanged(BatchlineError):
    """The API key was changed by somebody else meanwhile."""


class HookNotFound(BatchlineError):
    """No endpoint or delivery of a webhook has that id, or it was deleted."""


class HookChanged(BatchlineError):
    """The endpoint of a webhook was changed by somebody else meanwhile."""


class JobFailed(BatchlineError):
    """Raised by a stock `arq.jobs.Job.result()` for a job that failed or expired."""


class QueueUnavailable(BatchlineError):
    """Redis cannot be reached, or refuses writes."""


class WritesRefused(QueueUnavailable):
    """Redis answers, but refuses writes: its memory or disk is full, or it is a replica."""


class QueueDamaged(QueueUnavailable):
    """A key in Redis holds another program's data; the text names the key and what is wrong with it.

    `key` is empty if the key belongs to a single job.
    """

    def __init__(self, message: str, *, key: str = "") -> None:
        super().__init__(message)
        self.key = key
