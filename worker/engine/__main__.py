"""The engine: the child process that holds the loaded pipeline. It has no access to Redis or jobs.

`python -m worker.engine FD PID` reads requests from the socket FD of the worker PID and answers them: batches
in order (`conveyor.py`), or rows in any order (`continuous_loop.py`). Children that the class forks never
answer: `forks.py`.

The engine exits when the worker's end of the socket closes or the worker dies in any way.
"""

import contextlib
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from typing import cast

import structlog

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.process import heap, logs
from jobs.process.orphans import adopt, die_with
from jobs.settings import MIB, load_settings
from worker.engine import forks, loading
from worker.engine.continuous_loop import ContinuousLoop
from worker.engine.conveyor import Conveyor, receive, send
from worker.engine.pipelines.continuous import ContinuousPipeline
from worker.engine.protocol import Load, LoadFailed


def main(fd: int, worker: int) -> int:
    """Serves until the worker closes the socket; returns only if the model cannot be loaded."""
    die_with(worker)
    adopt()
    os.set_inheritable(fd, False)  # processes that a class starts must not keep it open
    # only the worker stops the engine: a Ctrl-C meant for the worker must not break its running batch
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forks.close_in_children(fd)
    stream = socket.socket(fileno=fd).makefile("rwb")
    match receive(stream):
        case request_id, Load() as request:
            pass
        case _:
            return 1
    settings = load_settings()
    logs.configure(settings.log_level, settings.log_format)
    spec = ModelSpec.model_validate_json(request.spec)
    if spec.backend == "auto":
        spec = spec.model_copy(update={"backend": settings.backend})
    source = Path(request.source) if request.source else None
    bound_memory(spec.memory_limit)
    if spec.max_resident is None:  # or what is kept would count
        heap.keep_freed_memory()
    try:
        pipeline, loaded = loading.load(spec, source, settings.cache_dir)
    except (ConfigurationError, MemoryError) as error:
        reason = str(error) or "the model does not fit into its memory_limit; raise it in models.toml"
        send(stream, request_id, LoadFailed(reason))
        return 1
    finally:
        forks.exit_if_forked()
    heap.settle()
    send(stream, request_id, loaded)
    log = structlog.get_logger().bind(model=spec.name)
    if loaded.slots:
        rows = cast(ContinuousPipeline, pipeline)
        return ContinuousLoop(rows, stream, log, settings.max_result_bytes).serve()
    return Conveyor(pipeline, stream, log, settings.max_result_bytes).serve()


def bound_memory(mebibytes: int | None) -> None:
    """Limits allocations, and makes this process the first that the kernel kills when memory runs out.

    Otherwise the kernel might kill Redis, or the worker with all its leases.
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
