"""The models of examples/tasks answer the curl lines of docs/tasks.md, "Try them all", as they are."""

import asyncio
import re
import subprocess
from collections.abc import Collection
from pathlib import Path
from typing import Any

import av
import httpx
import msgspec
import pytest
import soundfile
from PIL import Image

from examples.tasks import make_media, make_models
from jobs.catalog import load_catalog
from tests.journey.conftest import Running, batchline, shards

__all__ = ["batchline", "shards"]

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Try them all\n")[2].partition("\n## ")[0]
*BLOCKS, DOWNLOADS = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)
LINES: list[str] = [line for block in BLOCKS for line in block.splitlines()]
CATALOG = load_catalog(ROOT / "examples" / "tasks" / "models.toml")

FEW = ("digits", "segment", "speak")
"""Models with which the lines are tried in every run: weights of ours, files beside outputs, a sound."""


def model_of(line: str) -> str:
    [name] = re.findall(r'"model": "(\w+)"|\bmodel=(\w+)', line)[:1]
    return "".join(name)


def test_each_model_has_its_line_and_its_builder() -> None:
    assert sorted(map(model_of, LINES)) == sorted(CATALOG.specs)
    tasks = [spec.task for spec in CATALOG.specs.values()]
    assert len(set(tasks)) == len(tasks) >= 10
    written = {spec.task: spec.source for spec in CATALOG.specs.values() if "files" in str(spec.source)}
    assert written == {task: f"files/{task}" for task in make_models.BUILDERS}


def test_each_medium_is_there_and_small() -> None:
    named = {ROOT / path for path in re.findall(r"@(examples/[\w./]+)", SECTION)}
    assert named == set(make_media.MEDIA.iterdir())
    assert all(path.stat().st_size < 20_000 for path in named)


def test_browsers_play_the_video() -> None:
    with av.open(make_media.MEDIA / "ball.mp4") as file:
        stream = file.streams.video[0]
        assert (stream.codec.name, stream.pix_fmt) == ("h264", "yuv420p")
        assert sum(1 for _ in file.decode(stream)) == make_media.FRAMES


def test_the_lines_write_no_file_into_the_repository() -> None:
    assert re.findall(r"curl -s -o (\S+)", DOWNLOADS) == ["/tmp/mask.png", "/tmp/sound.wav"]  # noqa: S108


def served(folder: Path, names: Collection[str]) -> Path:
    """Writes the models, and returns their part of examples/tasks/models.toml in the folder."""
    text = (ROOT / "examples" / "tasks" / "models.toml").read_text(encoding="utf-8")
    tables = re.findall(r"(\[models\.(\w+)\]\n.*?)(?=\n\[|\Z)", text, re.DOTALL)
    assert [name for _, name in tables] == list(CATALOG.specs)
    kept = "\n".join(table for table, name in tables if name in names)
    file = folder / "models.toml"
    file.write_text(kept.replace("../../models", str(ROOT / "models")), encoding="utf-8")
    for name in names:
        if (task := CATALOG[name].task) in make_models.BUILDERS:
            make_models.write(task, folder / "files")
    return file


async def run(script: str, client: httpx.AsyncClient, folder: Path) -> bytes:
    """Returns what a script of the page prints, run in a folder that looks like the repository."""
    ours = script.replace("localhost:8000", f"127.0.0.1:{client.base_url.port}")
    process = await asyncio.create_subprocess_exec(
        "bash", "-ec", ours, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    printed, complaints = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, (script, complaints)
    return printed


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
@pytest.mark.parametrize(
    "names", [FEW, pytest.param(tuple(CATALOG.specs), marks=pytest.mark.thorough)], ids=["three", "all"]
)
async def test_each_line_is_answered(batchline: Running, names: tuple[str, ...], tmp_path: Path) -> None:
    file = served(tmp_path, names)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    async with batchline(file) as client:
        outputs: dict[str, Any] = {}
        for line in LINES:
            if (name := model_of(line)) in names:
                job = msgspec.json.decode(await run(line, client, tmp_path))
                assert job.get("status") == "succeeded", (line, job)
                [result] = job["results"]
                outputs[name] = result["output"]
        assert outputs.keys() == set(names)
        assert all(outputs.values()), outputs
        assert outputs["digits"][0]["label"] == "7"
        here = DOWNLOADS.replace("/tmp/", "")  # noqa: S108 - in the test's own folder
        assert await run(here, client, tmp_path) == b""
    with Image.open(tmp_path / "mask.png") as mask, Image.open(make_media.MEDIA / "photo.jpg") as photo:
        assert (mask.format, mask.size) == ("PNG", photo.size)
    samples, rate = soundfile.read(tmp_path / "sound.wav")
    assert len(samples) > rate / 2
