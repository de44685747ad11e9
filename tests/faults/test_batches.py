"""A batch while everything that runs it is killed: each line has exactly one outcome, its own."""

import asyncio
import random
import subprocess
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests import processes
from tests.faults.clients import nonces
from tests.faults.scenario import scenario
from tests.faults.stack import Stack, listens
from tests.gate import Gate
from tests.waiting import until

QUICK = {"lease": 2.0, "renew_every": 0.5, "max_attempts": 1_000}
"""Shorter leases; and no line fails because its worker was killed often."""

VICTIMS = ("bulk", "worker", "api", "valkey")


class Batches:
    """A client of batches, and the bulk processes that run them."""

    def __init__(self, stack: Stack, exits: ExitStack) -> None:
        self._stack = stack
        self._exits = exits
        self.bulk: list[subprocess.Popen[bytes]] = []

    def start_bulk(self) -> None:
        self.bulk.append(self._exits.enter_context(processes.running("bulk", **self._stack.settings)))

    async def call(self, method: str, path: str, **how: Any) -> httpx.Response:
        """The answer of an API that is there again if it was killed."""
        found: list[httpx.Response] = []

        async def answered() -> bool:
            try:
                async with httpx.AsyncClient(base_url=next(iter(self._stack.apis)), timeout=10) as client:
                    answer = await client.request(method, path, **how)
            except httpx.TransportError:
                return False
            found[:] = [answer]
            return answer.status_code < 500

        await until(answered)
        return found[0]

    async def create(self, texts: list[str]) -> str:
        lines = [
            msgspec.json.encode(
                {
                    "custom_id": text.partition(" ")[0],
                    "method": "POST",
                    "url": "/v1/jobs",
                    "body": {"model": "sentiment", "inputs": text},
                }
            )
            for text in texts
        ]
        files = {"file": ("input.jsonl", b"\n".join(lines))}
        file = await self.call("POST", "/v1/files", data={"purpose": "batch"}, files=files)
        assert file.status_code == 200, file.text
        asked = {"input_file_id": file.json()["id"], "endpoint": "/v1/jobs", "completion_window": "24h"}
        made = await self.call("POST", "/v1/batches", json=asked)
        assert made.status_code == 200, made.text
        return str(made.json()["id"])

    def _replace_ended(self) -> None:
        """As an orchestrator would do: one that cannot reach Redis at its start ends with a sentence."""
        for process in [each for each in self.bulk if each.poll() is not None]:
            self.bulk.remove(process)
            self.start_bulk()

    async def read(self, batch_id: str) -> dict[str, Any]:
        self._replace_ended()
        found: dict[str, Any] = (await self.call("GET", f"/v1/batches/{batch_id}")).json()
        return found

    async def kill(self, what: str, chance: random.Random) -> None:
        """SIGKILL, and a start of the same again, as an orchestrator would do."""
        stack = self._stack
        if what == "valkey":
            await asyncio.to_thread(stack.server.kill)
            await asyncio.to_thread(stack.server.start)
        elif what == "api":
            url, process = next(iter(stack.apis.items()))
            await kill(process)
            stack.start_api(port=int(url.rpartition(":")[2]))
            await until(partial(listens, url))
        elif what == "worker":
            await until(stack.all_ready)
            victim = chance.choice(stack.workers)
            await kill(victim)
            stack.workers.remove(victim)
            stack.start_worker()
        else:
            victim = self.bulk.pop(chance.randrange(len(self.bulk)))
            await kill(victim)
            self.start_bulk()


def most_resident(pid: int) -> int:
    """Bytes that the process had in memory at most."""
    status = Path(f"/proc/{pid}/status").read_text()
    [peak] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")]
    return peak * 1024


async def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    await asyncio.to_thread(process.wait, 10)


@pytest.mark.parametrize(
    ("lines", "kills"),
    [
        pytest.param(600, 6, marks=pytest.mark.timeout(300)),
        pytest.param(3_000, 20, marks=[pytest.mark.thorough, pytest.mark.timeout(600)]),
    ],
)
async def test_kills_during_a_batch(
    tmp_path: Path, gate: Gate, lines: int, kills: int, figure: Callable[[str], None]
) -> None:
    chance = random.Random(kills)
    model = {"max_batch_items": 16, "batch_timeout": 300.0, "options": {"seconds": 0.15}}
    with ExitStack() as exits:
        async with scenario(tmp_path, workers=2, model=model, data_dir=tmp_path, **QUICK) as run:
            client = Batches(run.stack, exits)
            client.start_bulk()
            client.start_bulk()
            texts = nonces(lines)
            # the batch lasts until the gate is opened
            batch_id = await client.create([*texts[:-1], f"{texts[-1]} {gate.text}"])
            victims = [VICTIMS[number % len(VICTIMS)] for number in range(kills)]
            chance.shuffle(victims)
            for what in victims:
                await asyncio.sleep(chance.uniform(0.0, 0.5))  # a random moment
                await client.kill(what, chance)
            found = await client.read(batch_id)
            assert found["status"] in ("validating", "in_progress"), found
            gate.open()

            async def ended() -> bool:
                return bool((await client.read(batch_id))["status"] == "completed")

            await until(ended, 120)
            batch = await client.read(batch_id)
            assert batch["request_counts"] == {"total": lines, "completed": lines, "failed": 0}
            assert batch["error_file_id"] is None
            output = await client.call("GET", f"/v1/files/{batch['output_file_id']}/content")
            rows = [msgspec.json.decode(row) for row in output.content.splitlines()]
            assert sorted(row["custom_id"] for row in rows) == sorted(texts), "each line, once"
            for row in rows:
                [result] = row["response"]["body"]["results"]
                assert result["output"]["nonce"] == row["custom_id"], "its own answer"
            again = run.stack.executions().total() - lines
            figure(f"{kills} kills during a batch of {lines:,} lines: {again:,} lines ran again")


MOST_RESIDENT = 150 * 1024**2
"""Bytes."""


@pytest.mark.thorough
@pytest.mark.timeout(600)
async def test_a_large_batch_in_little_memory(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """50,000 lines of 4 KB."""
    lines = 50_000
    model = {"max_batch_items": 256, "options": {"seconds": 0.0}}
    with ExitStack() as exits:
        async with scenario(tmp_path, model=model, data_dir=tmp_path, log_level="info") as run:
            client = Batches(run.stack, exits)
            client.start_bulk()
            began = time.monotonic()
            batch_id = await client.create([f"{nonce} {'x' * 4_000}" for nonce in nonces(lines)])

            async def ended() -> bool:
                return bool((await client.read(batch_id))["status"] == "completed")

            await until(ended, 500)
            seconds = time.monotonic() - began
            batch = await client.read(batch_id)
            assert batch["request_counts"] == {"total": lines, "completed": lines, "failed": 0}
            peak = most_resident(client.bulk[0].pid)
            figure(f"{lines:,} lines of 4 KB: {peak / 1024**2:.0f} MiB resident at most, {seconds:.0f} s")
            assert peak < MOST_RESIDENT
