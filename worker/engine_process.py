"""The engine: the child process that holds the loaded pipeline. It knows no Redis and no jobs.

`python -m worker.engine_process FD PID` reads requests from the socket FD of the worker PID, and answers each
before the next.
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
import traceback
from pathlib import Path
from typing import Protocol

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.settings import MIB, load_settings
from worker import loading, pipelines
from worker.protocol import (
    LENGTH,
    Failure,
    Load,
    Loaded,
    LoadFailed,
    Raised,
    Ran,
    Run,
    decode_request,
    encode,
)

PR_SET_PDEATHSIG = 1

MAX_DETAIL = 500
"""Characters of an error that are passed on; some quote their whole input."""


class Stream(Protocol):
    """The buffered socket, as much of it as is used."""

    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


def main(fd: int, worker: int) -> int:
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
    while isinstance(request := receive(stream), Run):
        send(stream, run(pipeline, request))
    return 0


def load(request: Load) -> tuple[pipelines.LoadedPipeline, Loaded]:
    """Loads the model and runs it once, so that the first job finds it warm."""
    spec = ModelSpec.model_validate_json(request.spec)
    bound_memory(spec.memory_limit)
    return loading.load(spec, Path(request.source) if request.source else None, load_settings().cache_dir)


def run(pipeline: pipelines.LoadedPipeline, request: Run) -> Ran | Raised:
    """One forward pass. An output that cannot be encoded fails alone; a raise is the whole batch's."""
    began = time.monotonic()
    try:
        outputs = pipeline.run(request.inputs, request.parameters)
        if len(outputs) != len(request.inputs):
            return Raised(f"the pipeline returned {len(outputs)} outputs for {len(request.inputs)} inputs")
    except InvalidRequest as error:
        return Raised(str(error)[:MAX_DETAIL])
    except Exception as error:
        if len(request.inputs) == 1:  # the input at fault; larger batches are halved and come again
            traceback.print_exc()
        return Raised(f"{type(error).__name__}: {error}"[:MAX_DETAIL])
    encoded = [encode_one(output) for output in outputs]
    return Ran(encoded, (time.monotonic() - began) * 1000)


def encode_one(output: object) -> bytes | Failure:
    try:
        return pipelines.encode_output(output)
    except Exception as error:
        return Failure("output-not-encodable", f"{type(error).__name__}: {error}"[:MAX_DETAIL])


def receive(stream: Stream) -> Load | Run | None:
    """The next request; None when the worker has closed the socket."""
    header = stream.read(LENGTH.size)
    if len(header) < LENGTH.size:
        return None
    return decode_request(stream.read(LENGTH.unpack(header)[0]))


def send(stream: Stream, message: Loaded | LoadFailed | Ran | Raised) -> None:
    stream.write(encode(message))
    stream.flush()


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
