"""`python -m bulk`: its start, its presence, its orderly stop; and wrong settings as one sentence."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

from arq.connections import ArqRedis

from bulk.runner.presence import Presence
from jobs.settings import Settings
from tests import processes
from tests.bulk.runner.echoing import request
from tests.bulk.runner.stand import Stand
from tests.ledger import first_shard
from tests.waiting import until


async def test_a_stopped_process_gives_its_batches_back(
    stand: Stand, settings: Settings, redis: ArqRedis, tmp_path: Path
) -> None:
    models = processes.write_models(tmp_path)
    shared = {"redis_url": settings.redis_url, "data_dir": settings.data_dir, "models_file": models}
    line = request("a", url="/v1/jobs", body={"model": "sentiment", "inputs": "nobody runs it"})
    batch_id = await stand.create(line, endpoint="/v1/jobs")
    with processes.running("bulk", **shared) as process:

        async def runs() -> bool:
            return (await stand.batch(batch_id)).status == "in_progress"

        await until(runs)
        assert await Presence(first_shard(redis)).hosts() == [socket.gethostname()]
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 10) == 0
    taken = await stand.runs.take()
    assert taken is not None
    assert (taken.batch.id, taken.taken_over) == (batch_id, False)


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bulk", "--check"]
    environment = {"BATCHLINE_REDIS_URL": "nonsense", "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert found.stderr.startswith("batchline bulk: BATCHLINE_REDIS_URL must have the form")
    assert len(found.stderr.splitlines()) == 1
