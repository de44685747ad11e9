"""The `batchline` command as people type it: help, versions, what is refused, and what it imports."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from cli.__main__ import COMMANDS
from tests.cli.conftest import Called
from tests.processes import ROOT


def batchline(*arguments: str, cwd: Path = ROOT, variables: Mapping[str, str] = {}) -> tuple[int, str, str]:
    """Exit status, stdout and stderr."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLINE_")}
    done = subprocess.run(
        [sys.executable, "-m", "cli", *arguments],
        cwd=cwd,
        env={**kept, "PYTHONPATH": str(ROOT), "COLUMNS": "100", **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_the_help_lists_every_command_with_what_it_does() -> None:
    status, out, err = batchline("--help")
    assert (status, err) == (0, "")
    for name, command in COMMANDS.items():
        assert any(line.split(maxsplit=1) == [name, command.help_text] for line in out.splitlines()), name


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_describes_itself(called: Called, name: str) -> None:
    status, out, err = called(name, "--help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: batchline {name} ")
    described = out.split("\n\n")[1]
    assert described[0].isupper()
    assert "." in described


def test_without_a_command_the_help_is_the_error() -> None:
    status, out, err = batchline()
    assert (status, out) == (2, "")
    assert "check-models" in err


@pytest.mark.parametrize("name", [*COMMANDS, ""])
def test_what_does_not_exist_is_refused(called: Called, name: str) -> None:
    status, out, err = called(*([name] if name else []), "--no-such-thing", "a", "b")
    assert (status, out) == (2, "")
    assert err.splitlines()[-1].startswith(f"batchline {name}".strip() + ": error: ")


def test_the_version_is_the_distributions() -> None:
    status, out, _ = batchline("--version")
    assert (status, out.split()[0]) == (0, "batchline")


def test_the_help_imports_no_program() -> None:
    code = (
        "import contextlib, sys\n"
        "before = set(sys.modules)\n"
        "from cli.__main__ import main\n"
        "with contextlib.suppress(SystemExit): main(['--help'])\n"
        "print(*{name.partition('.')[0] for name in set(sys.modules) - before}, file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    loaded = set(done.stderr.split())
    assert "cli" in loaded
    assert not loaded & {"api", "jobs", "standalone", "top", "worker", "pydantic", "redis", "torch", "httpx"}


@pytest.mark.parametrize("port", ["0", "65536", "http", "-1"])
def test_a_port_is_a_number(called: Called, port: str) -> None:
    status, _, err = called("serve", f"--port={port}")
    assert status == 2
    assert f"argument --port: '{port}' is not a port" in err


def test_what_describes_a_source_needs_one(called: Called) -> None:
    status, _, err = called("serve", "--task", "fill-mask", "--name", "x")
    assert status == 2
    assert "--task and --name: give a FOLDER_OR_HUB_ID" in err


def test_an_empty_folder_has_nothing_to_serve(tmp_path: Path) -> None:
    status, out, err = batchline("serve", cwd=tmp_path)
    assert (status, out) == (1, "")
    assert err == (
        f"batchline: there is no models.toml in {tmp_path}; give a checkpoint to serve, as in"
        " `batchline serve FOLDER`, or a models file in BATCHLINE_MODELS_FILE\n"
    )


@pytest.mark.parametrize(
    ("variables", "url"),
    [
        ({}, "http://127.0.0.1:8000"),
        ({"BATCHLINE_PORT": "1"}, "http://127.0.0.1:1"),
        ({"BATCHLINE_HOST": "0.0.0.0", "BATCHLINE_PORT": "1"}, "http://127.0.0.1:1"),
        ({"BATCHLINE_HOST": "::", "BATCHLINE_PORT": "1"}, "http://[::1]:1"),
        ({"BATCHLINE_HOST": "localhost", "BATCHLINE_PORT": "1"}, "http://localhost:1"),
    ],
)
def test_top_follows_the_settings(
    called: Called, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], url: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    _, out, _ = called("top", "--help")
    assert f"(default: {url}," in " ".join(out.split())


def test_top_names_the_address_that_it_asked() -> None:
    status, _, err = batchline("top", "--once", variables={"BATCHLINE_PORT": "1"})
    assert (status, err.count("\n")) == (1, 1)
    assert err.startswith("batchline top: http://127.0.0.1:1 cannot be read: ")
