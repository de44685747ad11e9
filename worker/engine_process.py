"""The engine: the child process that holds the loaded pipeline. It knows no Redis and no jobs.

`python -m worker.engine_process FD PID` reads requests from the socket FD of the worker PID, and answers them
in order: `worker/conveyor.py`.
It ends when the worker's end of the socket closes, and with the worker itself, however that dies.
"""

import contextlib
import ctypes
import os
import resource
import signal
import socket
import sys
import time
from pathlib import Path

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.settings import MIB
from worker import pipelines
from worker.conveyor import Conveyor, receive, send
from worker.protocol import Cost, Load, Loaded, LoadFailed

PR_SET_PDEATHSIG = 1


def main(fd: int, worker: int) -> int:
    """Serves until the worker closes the socket; returns only when the model cannot be loaded."""
    die_with(worker)
    # a stop is the worker's to order: a Ctrl-C meant for it must not break the batch it waits for
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    stream = socket.socket(fileno=fd).makefile("rwb")
    request = receive(stream)
    if not isinstance(request, Load):
        return 1
    try:
        pipeline, loaded = load(request)
    except (ConfigurationError, MemoryError) as error:
        send(stream, LoadFailed(str(error) or "the model does not fit into its memory_limit"))
        return 1
    send(stream, loaded)
    return Conveyor(pipeline, stream).serve()


def load(request: Load) -> tuple[pipelines.LoadedPipeline, Loaded]:
    """Loads the model and runs it once, so that the first job finds it warm."""
    spec = ModelSpec.model_validate_json(request.spec)
    bound_memory(spec.memory_limit)
    began = time.monotonic()
    pipeline = pipelines.load(spec, Path(request.source) if request.source else None)
    if sample := pipeline.warm_up():
        pipeline.run(*sample)
    info = pipeline.info
    seconds = time.monotonic() - began
    cost = Cost(spec.token_budget, 0.0, 0.0)
    return pipeline, Loaded(
        info.device, info.dtype, info.max_length, info.tokenizer_file, seconds, cost, threads()
    )


def threads() -> int:
    """Threads of one forward pass; 0 for a pipeline without torch."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch is not None else 0


def die_with(worker: int) -> None:
    """Dies with the worker (on Linux): a call that hangs in C would not see the socket close."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != worker:  # it died before we asked
            os._exit(1)


def bound_memory(mebibytes: int | None) -> None:
    """Makes an allocation beyond the limit fail, and this process the first to go when memory runs out.

    Without the latter the kernel might kill Redis, or the worker with all its leases.
    """
    if sys.platform == "linux":
        if mebibytes is not None:
            resource.setrlimit(resource.RLIMIT_DATA, (mebibytes * MIB, mebibytes * MIB))
        with contextlib.suppress(OSError):
            Path("/proc/self/oom_score_adj").write_text("500")


if __name__ == "__main__":
    status = main(int(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads of the model's libraries must not keep a finished engine alive
