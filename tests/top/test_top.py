"""`python -m top` as people run it, against the API behind a real socket."""

import asyncio
import io
import os
import sys
from asyncio.subprocess import PIPE

import pytest
from arq.connections import ArqRedis
from rich.console import Console

from jobs.monitoring.histograms import LATENCIES, count, empty
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, with_keys
from tests.api.api_process import serving
from tests.api.conftest import settings as settings  # the models of the API's tests
from tests.beating import beating
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.ports import free_port
from top.readings import Fault, Server, faults
from top.table import screen


async def top(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr, without variables for width or colours."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "FORCE_COLOR")
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "top", *arguments, stdout=PIPE, stderr=PIPE, env=environment
    )
    out, err = await asyncio.wait_for(process.communicate(), 30)
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


def busy() -> Heartbeat:
    beat = heartbeat("gpu-1:17:ab12", engine_restarts=3, budget=512, threads=2, items_per_second=7.25)
    beat.queued = empty(LATENCIES)
    return beat


async def test_the_table_shows_models_workers_and_failures(
    settings: Settings, redis: ArqRedis, queue: JobQueue
) -> None:
    roster, beat = Roster(first_shard(redis)), busy()
    other = heartbeat("gpu-1:18:cd34", "shapes", engine="busy")
    async with beating(redis, beat, other), serving(settings) as (client, _):
        for _ in range(3):
            await client.post("/v1/jobs", json={"inputs": "x"})
        error = {"title": "The pipeline failed", "detail": "no \x1b[31m[bold]colours[/bold]"}
        await run_one(queue, [{"error": error}])
        server = Server(str(client.base_url))
        before = await asyncio.to_thread(server.read)
        beat.jobs = {"succeeded": 10}
        beat.items, beat.batches, beat.tokens, beat.padded_tokens = 40, 10, 90, 100
        beat.inputs, beat.inputs_failed, beat.restart_reasons = (
            40,
            {"input-failed": 2},
            {"hung": 1, "crashed": 2},
        )
        for _ in range(10):
            count(beat.queued, LATENCIES, 0.2)
        await roster.write(beat)
        after = await asyncio.to_thread(server.read)
        server.close()
    console = Console(width=160, file=io.StringIO())
    with console.capture() as printed:
        console.print(screen(server.url, before, after))
    out = printed.get()
    assert "healthy" in out.splitlines()[0]
    assert "\x1b" not in out
    lines = {line.split()[0]: line.split() for line in out.splitlines() if line.strip()}
    name, health, waiting, _, _, running_now, done, *latencies = lines["sentiment"]
    assert (name, health, waiting, running_now) == ("sentiment", "ok", "2", "0")
    assert float(done) > 0
    assert latencies == ["≤250", "ms", "≤250", "ms", "–", "–", "4.0", "10%", "5%"]  # noqa: RUF001
    worker = lines["gpu-1:17:ab12"]
    assert worker[1:8] == ["sentiment", "ready", "cpu", "float32", "7.2", "512", "2"]
    assert " ".join(worker[-7:]) == "2 3 (2 crashed, 1 hung) 0"
    assert "The pipeline failed: no  [31m[bold]colours[/bold]" in out


async def test_one_print_is_for_scripts(settings: Settings, redis: ArqRedis) -> None:
    beats = busy(), heartbeat("gpu-1:18:cd34", "shapes")
    async with beating(redis, *beats), serving(settings) as (client, _):
        status, out, err = await top("--once", "--every", "0.1", "--url", f"{client.base_url}/")
    assert (status, err) == (0, "")
    assert "gpu-1:18:cd34" in out
    assert "\x1b" not in out


async def test_a_fault_is_shown_and_sets_the_exit_status(settings: Settings, redis: ArqRedis) -> None:
    async with beating(redis, busy()), serving(settings) as (client, _):
        status, out, _ = await top("--once", "--every", "0.1", "--url", str(client.base_url))
    assert status == 1
    assert "No live worker for shapes" in out.splitlines()[0]


async def test_without_redis_the_table_says_so(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with serving(gone) as (client, _):
        status, out, err = await top("--once", "--every", "0.1", "--url", str(client.base_url))
    assert (status, err) == (1, "")
    assert "Redis cannot be reached" in out


@pytest.mark.parametrize("arguments", [["--once"], []])
async def test_a_server_that_is_not_there_is_one_sentence(arguments: list[str]) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    status, out, err = await top(*arguments, "--url", url)
    assert (status, out) == (1, "")
    assert err.startswith(f"batchline top: {url} cannot be read: ")
    assert err.count("\n") == 1


async def test_another_server_is_not_taken_for_batchline() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as other:
        url = f"http://127.0.0.1:{other.sockets[0].getsockname()[1]}"
        status, _, err = await top("--once", "--url", url)
    assert (status, err) == (1, f"batchline top: {url} answers, but is not a Batchline server\n")


@pytest.mark.parametrize("given", ["0", "nan", "x"])
async def test_seconds_are_checked(given: str) -> None:
    status, _, err = await top("--every", given)
    assert (status, "--every" in err) == (2, True)


async def test_the_help_describes_the_columns() -> None:
    status, out, _ = await top("--help")
    assert status == 0
    figures = (
        "wait oldest run done/s queued compute p50 p95 batch pad fail items/s budget up failed restarts lost"
    )
    for figure in figures.split():
        assert f"  {figure}" in out or f", {figure}" in out, figure


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ({"ok": True}, None),
        ({"ok": False, "reason": "no live worker"}, Fault("bad", "model m: no live worker")),
        ({"ok": True, "level": "good"}, None),
        ({"ok": True, "level": "degraded", "reason": "x"}, Fault("degraded", "x")),
        ({"ok": False, "level": "bad", "reason": "x"}, Fault("bad", "x")),
    ],
)
def test_an_older_servers_checks_are_understood(check: dict[str, object], fault: Fault | None) -> None:
    assert faults({"model m": check}) == ({"model m": fault} if fault else {})


async def test_a_key_is_sent_to_a_server_that_needs_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(with_keys(settings)) as (client, _):
        monkeypatch.delenv("BATCHLINE_API_KEY", raising=False)
        status, _, err = await top("--url", str(client.base_url), "--once")
        assert status == 1
        assert "needs an API key with the scope admin: set BATCHLINE_API_KEY" in err
        monkeypatch.setenv("BATCHLINE_API_KEY", ADMIN)
        status, out, err = await top("--url", str(client.base_url), "--once")
        assert "sentiment" in out, err
        assert ADMIN not in out + err
