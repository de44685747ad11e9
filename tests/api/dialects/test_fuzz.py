"""The calls of the dialects, made up from their descriptions: whatever is sent is an error in their form."""

import asyncio
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import httpx
import msgspec
import pytest

from tests import processes
from tests.api.dialects.fuzzing import CONFIGURATION
from tests.api.dialects.tasks.calls import MODELS
from tests.ports import free_port
from tests.waiting import until

EXAMPLES = os.environ.get("BATCHLINE_FUZZ_EXAMPLES", "3")
SEED = os.environ.get("BATCHLINE_FUZZ_SEED", "1")
DIALECTS = ("openai", "huggingface", "rerank", "tei")
MAX_WAIT = 0.01


@pytest.mark.timeout(600)
async def test_every_answer_is_as_described(
    redis_url: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (models := tmp_path / "models.toml").write_text(MODELS)
    url = f"http://127.0.0.1:{(port := free_port())}"
    own = {"redis_url": redis_url, "models_file": models, "max_wait": MAX_WAIT, "data_dir": tmp_path / "data"}
    with processes.running("api", port=port, **own):
        await until(partial(processes.alive, url))
        described = tmp_path / "openapi.json"
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            whole = (await client.get("/openapi/rerank.json")).json()
            for name in DIALECTS:
                one = (await client.get(f"/openapi/{name}.json")).json()
                whole["paths"] |= one["paths"]
                whole["components"]["schemas"] |= one["components"]["schemas"]
            names = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
        for calls in whole["paths"].values():
            for parameter in (each for call in calls.values() for each in call.get("parameters", ())):
                if parameter["in"] == "path":
                    known = names if parameter["name"] == "name" else []
                    parameter["schema"] = {"type": "string", "enum": [*known, "gone"]}
        described.write_bytes(msgspec.json.encode(whole))
        report = await asyncio.to_thread(_fuzz, described, tmp_path, url)
        assert report.returncode == 0, report.stdout + report.stderr
    assert "unexpected error" not in capfd.readouterr().out


def _fuzz(described: Path, folder: Path, url: str) -> subprocess.CompletedProcess[str]:
    (configuration := folder / "schemathesis.toml").write_text(CONFIGURATION)
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "schemathesis.cli",
        "--config-file",
        configuration,
        "run",
        described,
    ]
    options = ["--url", url, "--seed", SEED, "--max-examples", EXAMPLES, "--generation-database", "none"]
    return subprocess.run(
        [*command, *options, "--no-color"],
        cwd=processes.ROOT,
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
