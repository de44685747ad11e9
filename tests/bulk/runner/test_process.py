"""`python -m bulk`: its start, its presence, its orderly stop; and wrong settings as one sentence."""

import asyncio
import signal
import socket
import subprocess
import sys
from pathlib import Path

from arq.connections import ArqRedis

from bulk.runner.presence import Presence
from hooks.deliveries import Deliveries, NewDelivery, Target
from hooks.events import of_test
from jobs.settings import Settings
from tests import processes
from tests.bulk.runner.echoing import request
from tests.bulk.runner.stand import Stand
from tests.hooks.receiver import receiving, status
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

        async def reported() -> bool:  # once a second, beside its batches
            return await Presence(first_shard(redis)).hosts() == [socket.gethostname()]

        await until(reported)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
    taken = await stand.runs.take()
    assert taken is not None
    assert (taken.batch.id, taken.taken_over) == (batch_id, False)


async def test_a_stop_lets_the_tries_of_webhooks_end(
    settings: Settings, redis: ArqRedis, tmp_path: Path
) -> None:
    """A try that is cut off may have arrived, and its event would be sent again."""
    deliveries, answers = Deliveries(first_shard(redis)), asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        await answers.wait()
        writer.write(status(200))

    shared = {"redis_url": settings.redis_url, "data_dir": settings.data_dir}
    shared |= {"models_file": processes.write_models(tmp_path), "outbound_networks": "127.0.0.1"}
    async with receiving() as receiver:
        receiver.answers["/"] = [slow]
        target = Target(receiver.url("/"), f"127.0.0.1:{receiver.port}")
        new = NewDelivery("", of_test("we_1", 0), target)
        await deliveries.put([new])
        log = tmp_path / "log"
        with (
            log.open("wb") as file,
            processes.logging_to(file, "bulk", webhook_http=True, **shared) as process,
        ):

            async def arrived() -> bool:
                return bool(receiver.received)

            await until(arrived)
            process.send_signal(signal.SIGTERM)

            async def stopping() -> bool:
                return b"stopping" in log.read_bytes()

            await until(stopping)
            answers.set()
            assert await asyncio.to_thread(process.wait, 60) == 0
    assert (await deliveries.read(new.id, sees=None)).state == "delivered"


def test_a_wrong_setting_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "bulk", "--check"]
    environment = {"BATCHLINE_REDIS_URL": "nonsense", "PATH": "/usr/bin:/bin"}
    found = subprocess.run(
        command, cwd=processes.ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert found.returncode == 1
    assert found.stderr.startswith("batchline bulk: BATCHLINE_REDIS_URL must have the form")
    assert len(found.stderr.splitlines()) == 1
