"""The wheel, installed without a checkout: its contents, and that `batchline` serves from it."""

import os
import re
import signal
import subprocess
import zipfile
from pathlib import Path

import httpx
import pytest

from tests import environments, processes
from tests.journey.instance import Instance, ready, refusal
from tests.ports import free_port
from tests.processes import ROOT
from tests.waiting import until

TORCH = ("torch", "transformers", "safetensors", "numpy")

ECHO = """
class Echo:
    def __init__(self, source):
        pass

    def __call__(self, inputs):
        return [text.upper() for text in inputs]
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environments.build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def everything(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment with all packages."""
    return environments.create(tmp_path_factory.mktemp("everything") / "venv", wheel)


@pytest.fixture(scope="module")
def no_torch(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of an environment as on a machine that only runs the API."""
    return environments.create(tmp_path_factory.mktemp("no-torch") / "venv", wheel, without=TORCH)


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A user's folder, with modules that have the names of ours."""
    folder = tmp_path / "elsewhere"
    for name in environments.PACKAGED:
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text(f"raise AssertionError('imported {name} of the user')\n")
    (folder / "echo.py").write_text(ECHO)
    return folder


def test_it_holds_what_running_needs_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        inside = {name for name in archive.namelist() if ".dist-info/" not in name}
    here = {
        path.relative_to(ROOT).as_posix()
        for name in environments.PACKAGED
        for path in (ROOT / name).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert inside == here
    for needed in (
        "templates/base.html",
        "templates/static/style.css",
        "templates/static/vendor/htmx-2.0.11.min.js",
        "jobs/ledger/scripts/submit.lua",
        "worker/engine/pipelines/text/held_out.txt",
    ):
        assert needed in inside


async def test_a_folder_is_served_from_an_empty_one(everything: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    command = [str(everything / "batchline"), "serve", str(ROOT / "models" / "sentiment")]
    async with ready(tmp_path, command=command, cwd=empty) as instance:
        job = await instance.answer("A wonderful film.")
        assert job["results"][0]["output"]["label"] == "POSITIVE"
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{instance.port}", timeout=30) as client:
            page = await client.get("/")
            assert page.status_code == 200
            for address in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
                assert (await client.get(address)).status_code == 200, address
        assert not list(empty.iterdir()), "the data is in BATCHLINE_DATA_DIR"
        os.killpg(instance.process.pid, signal.SIGINT)
        assert await instance.ended() == 0


async def test_modules_of_the_users_folder_are_not_taken_for_ours(no_torch: Path, elsewhere: Path) -> None:
    (elsewhere / "models.toml").write_text('[models.echo]\npipeline = "echo:Echo"\n')
    command = [str(no_torch / "batchline"), "serve"]
    async with ready(elsewhere.parent, command=command, cwd=elsewhere) as instance:
        job = await instance.answer("a text")
        assert job["results"] == [{"output": "A TEXT"}]


async def test_without_torch_it_says_what_to_install(no_torch: Path, tmp_path: Path) -> None:
    model = str(ROOT / "models" / "sentiment")
    printed = await refusal(tmp_path, model, command=[str(no_torch / "batchline"), "serve"], cwd=tmp_path)
    assert printed == (
        "batchline: numpy, safetensors, torch, transformers are not installed;"
        f' install what serving needs with: {no_torch / "python"} -m pip install "batchline[serve]"'
    )


async def test_the_api_runs_without_torch(no_torch: Path, tmp_path: Path, redis_url: str) -> None:
    command = [str(no_torch / "batchline"), "api"]
    models = ROOT / "models.toml"
    instance = Instance(tmp_path, command=command, cwd=tmp_path, redis_url=redis_url, models_file=models)
    try:

        async def answers() -> bool:
            assert instance.process.poll() is None, instance.output.read_text()
            return await processes.alive(f"http://127.0.0.1:{instance.port}")

        await until(answers)
        instance.family()
        instance.process.terminate()
        assert await instance.ended() == 0
    finally:
        instance.clean_up()


def test_a_command_without_its_packages_says_what_to_install(wheel: Path, tmp_path: Path) -> None:
    bare = environments.create(tmp_path / "venv", wheel, without=("rich", "uvicorn", "uvloop"))
    for command, package in (("top", "rich"), ("api", "uvicorn"), ("worker", "uvloop")):
        done = subprocess.run(
            [str(bare / "batchline"), command],
            cwd=tmp_path,
            env=environments.clean_environment() | {"BATCHLINE_PORT": str(free_port())},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"batchline {command}: {package} is not installed; install what the command needs with:"
            f' {bare / "python"} -m pip install "batchline[{command}]"\n'
        )
