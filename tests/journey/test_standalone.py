"""`make run` with real processes: starts all, restarts dead ones, keeps its data, leaves nothing behind."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.journey.conftest import Refused
from tests.journey.instance import PATIENCE, Instance, ready, refusal
from tests.processes import is_alive, write_models
from tests.waiting import until


async def test_it_serves_the_demo_model_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    async with ready(tmp_path, backend="auto") as instance:
        assert instance.says("Loading model sentiment ...")
        assert instance.says(f"(docs: http://127.0.0.1:{instance.port}/docs)")
        job = await instance.answer("A wonderful film.")
        assert job["results"][0]["output"]["label"] == "POSITIVE"
        # as a terminal does: the signal goes to the whole group
        os.killpg(instance.process.pid, signal.SIGINT)
        assert await instance.ended() == 0


async def test_it_replaces_what_dies_and_keeps_the_data(tmp_path: Path) -> None:
    models = write_models(tmp_path)
    async with ready(tmp_path, models_file=models) as instance:
        first = await instance.answer("first")
        for name, words in (
            ("The API", ["-m", "api"]),
            ("The worker", ["-m", "worker"]),
            ("Valkey", ["valkey-server"]),
        ):
            victim = instance.child(*words)
            victim.kill()
            await instance.until_said(f"{name} was ended by SIGKILL; it is restarted in 0.5 s")
            await until(_replaced(instance, victim, words), PATIENCE)
        await until(_serving(instance), PATIENCE)
        await instance.answer("second")
        instance.family()
        assert "another Batchline runs on the data" in await refusal(tmp_path, models_file=models)
        instance.process.kill()
        assert await instance.ended() == -signal.SIGKILL
    async with ready(tmp_path, models_file=models) as instance, httpx.AsyncClient(timeout=60) as client:
        kept = await client.get(f"http://127.0.0.1:{instance.port}{first['urls']['self']}")
        assert kept.json()["results"] == first["results"]
        instance.process.terminate()
        assert await instance.ended() == 0


async def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    models = write_models(tmp_path, batch_timeout=300.0)
    async with ready(tmp_path, models_file=models) as instance, httpx.AsyncClient(timeout=60) as client:
        url = f"http://127.0.0.1:{instance.port}"
        job = (await client.post(f"{url}/v1/jobs", json={"inputs": "hang"})).json()

        async def it_runs() -> bool:
            return bool((await client.get(url + job["urls"]["self"])).json()["status"] == "running")

        await until(it_runs)
        instance.process.terminate()
        await instance.until_said("send the signal again to stop at once")
        instance.process.terminate()
        async with asyncio.timeout(15):  # half of the worker's grace
            assert await instance.ended() == 0


async def test_a_server_of_ones_own_is_used(tmp_path: Path, redis_url: str) -> None:
    async with ready(tmp_path, models_file=write_models(tmp_path), redis_url=redis_url) as instance:
        await instance.answer("a text")
        assert not [each for each in instance.family() if "valkey" in each.name()]
        written = {each.name for each in (tmp_path / "data").glob("*")}
        assert written <= {"files"}  # which whoever cleans the files makes; nothing of a server
        instance.process.terminate()
        assert await instance.ended() == 0


async def test_submits_that_must_be_on_disk_are(tmp_path: Path) -> None:
    async with ready(tmp_path, models_file=write_models(tmp_path), durable_submit="disk") as instance:
        await instance.answer("a text")


async def test_a_busy_port_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        assert await refusal(tmp_path, port=port) == (
            f"batchline: port {port} of 127.0.0.1 is in use by another program;"
            " set a free one with --port or BATCHLINE_PORT"
        )


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"models_file": "/no/such/models.toml"}, "cannot read /no/such/models.toml"),
        ({"redis_url": "localhost"}, "BATCHLINE_REDIS_URL"),
        ({"port": "eighty"}, "BATCHLINE_PORT"),
        ({"durable_submit": "replica"}, "the embedded server has no replica"),
        ({"host": "192.0.2.1"}, "cannot listen on 192.0.2.1"),
        ({"data_dir": "/proc/data"}, "BATCHLINE_DATA_DIR: cannot write to /proc/data"),
    ],
)
def test_what_cannot_work_is_one_sentence(
    refused: Refused, settings: dict[str, object], sentence: str
) -> None:
    assert sentence in refused(**settings)


async def test_a_server_that_cannot_be_reached_is_one_sentence(tmp_path: Path) -> None:
    printed = await refusal(tmp_path, redis_url="redis://127.0.0.1:1/0")
    assert "Redis at 127.0.0.1:1/0 cannot be reached" in printed


def test_a_model_without_files_is_one_sentence(refused: Refused, tmp_path: Path) -> None:
    assert "gone does not exist" in refused(models_file=write_models(tmp_path, source="gone"))


async def test_a_model_that_the_worker_cannot_serve_is_one_sentence(tmp_path: Path) -> None:
    models = write_models(tmp_path, pipeline="tests.worker.poison:Nothing")
    assert "has no class named Nothing" in await refusal(tmp_path, models_file=models)


async def test_a_data_folder_that_valkey_cannot_read_is_one_sentence(tmp_path: Path) -> None:
    manifest = tmp_path / "data" / "appendonlydir" / "appendonly.aof.manifest"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("nonsense\n")
    assert "Valkey cannot start with the data in" in await refusal(
        tmp_path, models_file=write_models(tmp_path)
    )


def _replaced(instance: Instance, victim: psutil.Process, words: list[str]) -> Callable[[], Any]:
    async def replaced() -> bool:
        children = [each for each in psutil.Process(instance.process.pid).children() if is_alive(each)]
        commands = {each.pid: " ".join(each.cmdline()) for each in children if each != victim}
        return any(all(word in command for word in words) for command in commands.values())

    return replaced


def _serving(instance: Instance) -> Callable[[], Any]:
    async def serving() -> bool:
        async with httpx.AsyncClient() as client:
            try:
                reply = await client.get(f"http://127.0.0.1:{instance.port}/health/ready")
            except httpx.TransportError:
                return False
        return reply.status_code == 200

    return serving
