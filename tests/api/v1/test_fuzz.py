"""Every call of the API, made up from its own description: examples, bounds, random data, chains of calls.

A normal run is short and always the same; `BATCHLINE_FUZZ_EXAMPLES=500 BATCHLINE_FUZZ_SEED=7` make one long.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from jobs.access.api_key import ApiKey, KeyScope, new_secret
from jobs.access.key_store import KeyStore
from jobs.settings import Settings
from jobs.store import connection
from tests import processes
from tests.api.access.keyed import bearer
from tests.api.fuzzing import ADMIN_KEY, CONFIGURATION, SCOPES, SERVER
from tests.ledger import JobQueue, ending
from tests.ports import free_port
from tests.waiting import until

EXAMPLES = int(os.environ.get("BATCHLINE_FUZZ_EXAMPLES", "12"))
SEED = os.environ.get("BATCHLINE_FUZZ_SEED", "1")
SECONDS = 300 + 6 * EXAMPLES
ADMIN = new_secret()


class Sent(NamedTuple):
    """The key that the requests of a run send."""

    scopes: frozenset[KeyScope] | None
    """None if it is not accepted."""
    secret: str = ""


MAX_WAIT = 0.05
"""Seconds; nobody gains by a longer wait for a job that no worker takes."""


KEYED_EXAMPLES = int(os.environ.get("BATCHLINE_FUZZ_EXAMPLES", "5"))
"""Fewer than without keys, for there are several such runs."""

SENT = {
    "submit": Sent(frozenset({"submit"})),
    "read": Sent(frozenset({"read"})),
    "submit and read": Sent(frozenset({"submit", "read"})),
    "admin": Sent(frozenset({"admin"})),
    "wrong": Sent(None, new_secret()),
    "none": Sent(None),
}
LONG = {"read", "submit and read", "admin", "wrong"}
"""What a normal run leaves out: the calls that each scope allows are those of the other runs."""


@pytest.mark.timeout(SECONDS + 30)
async def test_every_answer_is_as_described(
    settings: Settings, queue: JobQueue, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with _served(settings, queue, capfd) as url:
        source = f"{url}/openapi.json"
        report = await asyncio.to_thread(_fuzz, source, tmp_path, EXAMPLES, {SERVER: url})
        assert report.returncode == 0, report.stdout + report.stderr


@pytest.mark.timeout(SECONDS + 30)
@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(sent, id=name, marks=[pytest.mark.thorough] * (name in LONG))
        for name, sent in SENT.items()
    ],
)
async def test_every_answer_is_as_described_with_keys(
    settings: Settings, queue: JobQueue, tmp_path: Path, capfd: pytest.CaptureFixture[str], sent: Sent
) -> None:
    """With a key of each scope, with a wrong one, and without: also that each call needs its scope."""
    secret = sent.secret
    if sent.scopes:
        key = ApiKey(id="", owner="alice", digest="", scopes=sent.scopes)
        _, secret = await KeyStore(queue.shards.first).create(key)
    async with _served(settings, queue, capfd, auth="keys", admin_key=ADMIN) as url:
        described = tmp_path / "openapi.json"
        async with httpx.AsyncClient(base_url=url, headers=bearer(ADMIN), timeout=60) as client:
            described.write_bytes((await client.get("/openapi.json")).content)
        scopes = "none" if sent.scopes is None else ",".join(sent.scopes)
        variables = {SERVER: url, ADMIN_KEY: ADMIN, SCOPES: scopes}
        options = ["--url", url]
        if sent.scopes is None:  # which methods there are is not shown without a key
            options += ["--exclude-checks", "unsupported_method"]
        if secret:
            options += ["--header", f"Authorization: Bearer {secret}"]
        report = await asyncio.to_thread(_fuzz, str(described), tmp_path, KEYED_EXAMPLES, variables, *options)
        assert report.returncode == 0, report.stdout + report.stderr


@asynccontextmanager
async def _served(
    settings: Settings, queue: JobQueue, capfd: pytest.CaptureFixture[str], **changed: object
) -> AsyncIterator[str]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    own = {"redis_url": settings.redis_url, "models_file": settings.models_file, "max_wait": MAX_WAIT}
    with processes.running("api", port=port, **own, **changed):
        await until(partial(processes.alive, url))
        worker = asyncio.create_task(_run_shapes(queue))
        try:
            yield url
            assert not worker.done(), worker
        finally:
            await connection.cancel(worker)
        assert await processes.alive(url)
    assert "unexpected error" not in capfd.readouterr().out


async def _run_shapes(queue: JobQueue) -> None:
    """Stands in for a worker of one of the two models, so that jobs are met in every state."""
    while True:
        claimed, _ = await queue.claim("shapes", 100, wait=1.0)
        if claimed:  # what was cancelled meanwhile is refused, as it should be
            await queue.finish("shapes", [ending(job, model="shapes") for job in claimed])


def _fuzz(
    source: str, folder: Path, examples: int, variables: Mapping[str, str], *more: str
) -> subprocess.CompletedProcess[str]:
    configuration = folder / "schemathesis.toml"
    configuration.write_text(CONFIGURATION)
    command = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        str(configuration),
        "run",
        source,
    ]
    options = {"seed": SEED, "max-examples": str(examples), "generation-database": "none"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    return subprocess.run(
        [*command, *arguments, "--no-color", *more],
        cwd=processes.ROOT,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
