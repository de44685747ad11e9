"""Every call of the API, made up from its own description: examples, bounds, random data, chains of calls.

A normal run is short and always the same; `BATCHLINE_FUZZ_EXAMPLES=500 BATCHLINE_FUZZ_SEED=7` make one long.
"""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from jobs.settings import Settings
from jobs.store import connection
from tests import processes, valkey
from tests.api.fuzzing import CONFIGURATION, SERVER
from tests.ledger import JobQueue, ending
from tests.waiting import until

EXAMPLES = int(os.environ.get("BATCHLINE_FUZZ_EXAMPLES", "20"))
SEED = os.environ.get("BATCHLINE_FUZZ_SEED", "1")
SECONDS = 90 + 6 * EXAMPLES
MAX_WAIT = 0.05
"""Seconds; nobody gains by a longer wait for a job that no worker takes."""


@pytest.mark.timeout(SECONDS + 30)
async def test_every_answer_is_as_described(
    settings: Settings, queue: JobQueue, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    port = valkey.free_port()
    url = f"http://127.0.0.1:{port}"
    own = {"redis_url": settings.redis_url, "models_file": settings.models_file, "max_wait": MAX_WAIT}
    with processes.running("api", port=port, **own):
        await until(partial(processes.alive, url))
        worker = asyncio.create_task(_run_shapes(queue))
        try:
            report = await asyncio.to_thread(_fuzz, url, tmp_path)
            assert not worker.done(), worker
        finally:
            await connection.cancel(worker)
        assert report.returncode == 0, report.stdout + report.stderr
        assert await processes.alive(url)
    assert "unexpected error" not in capfd.readouterr().out


async def _run_shapes(queue: JobQueue) -> None:
    """Stands in for a worker of one of the two models, so that jobs are met in every state."""
    while True:
        claimed, _ = await queue.claim("shapes", 100, wait=1.0)
        if claimed:  # what was cancelled meanwhile is refused, as it should be
            await queue.finish("shapes", [ending(job, model="shapes") for job in claimed])


def _fuzz(url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(configuration),
        "run",
        f"{url}/openapi.json",
    ]
    options = {"seed": SEED, "max-examples": str(EXAMPLES), "generation-database": "none"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.run(
        [*command, *arguments, "--no-color"],
        cwd=processes.ROOT,
        env={**os.environ, SERVER: url},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
