"""PendingRequests: requests that an engine has not answered; matches answers and enforces deadlines.

Answers come in the order of their requests, each with its request's id. Any other answer is an error.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from jobs.errors import BatchlineError
from jobs.problem_kinds import FailureKind
from worker.engine.protocol import Load, Loaded, LoadFailed, Ran, Reply, Run, encode, new_request_id


class EngineDied(BatchlineError):
    """The engine exited, or was killed because it did not answer in time. `kind` is the problem's type."""

    def __init__(self, message: str, kind: FailureKind = "engine-died") -> None:
        super().__init__(message)
        self.kind = kind


Answered = asyncio.Future[Reply | EngineDied]
"""A reply, or why the engine died. Of several unanswered batches only the first gets EngineDied."""


@dataclass(slots=True)
class Unanswered:
    """A request that the engine has."""

    id: int
    answered: Answered
    seconds: float
    """Time limit, which starts when it becomes the first request."""
    outputs: int | None
    """Number of outputs its answer must have; None for a load request."""

    def fits(self, reply: Reply) -> bool:
        """Whether the reply can be its answer."""
        if isinstance(reply, Ran):
            return len(reply.outputs) == self.outputs
        return isinstance(reply, Loaded | LoadFailed) == (self.outputs is None)


class PendingRequests:
    """The unanswered requests of one engine. `on_overdue` gets the time limit of the first one."""

    def __init__(self, on_overdue: Callable[[float], None]) -> None:
        self._on_overdue = on_overdue
        self._unanswered: deque[Unanswered] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._unanswered)

    @property
    def first(self) -> int | None:
        """The id of the request that is answered next; None if all are answered."""
        return self._unanswered[0].id if self._unanswered else None

    @property
    def latest(self) -> int | None:
        """The id of the last request; None if all are answered."""
        return self._unanswered[-1].id if self._unanswered else None

    def add(self, request: Load | Run, seconds: float) -> tuple[Answered, bytes]:
        """Registers a request; returns the future of its answer, and its frame."""
        answered: Answered = asyncio.get_running_loop().create_future()
        outputs = len(request.inputs) if isinstance(request, Run) else None
        unanswered = Unanswered(new_request_id(), answered, seconds, outputs)
        self._unanswered.append(unanswered)
        if len(self._unanswered) == 1:
            self._rearm()
        return answered, encode(unanswered.id, request)

    def awaits(self, request_id: int) -> bool:
        """Whether the answer to this request is the next one."""
        return self.first == request_id

    def fits(self, reply: Reply) -> bool:
        """Whether the reply can be the answer to the first request."""
        return bool(self._unanswered) and self._unanswered[0].fits(reply)

    def answer(self, reply: Reply | EngineDied) -> None:
        """Answers the first request, if there is one."""
        if self._unanswered:
            answered = self._unanswered.popleft().answered
            if not answered.done():  # otherwise the waiting task was cancelled
                answered.set_result(reply)
        self._rearm()

    def drop(self) -> None:
        """Drops all requests without an answer."""
        self._unanswered.clear()
        self._rearm()

    def _rearm(self) -> None:
        """Starts the time limit of the first request now: until now the engine had earlier requests."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unanswered:
            seconds = self._unanswered[0].seconds
            self._timer = asyncio.get_running_loop().call_later(seconds, self._on_overdue, seconds)
