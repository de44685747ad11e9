"""A server with faults, the command in this process, and tables for it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cli.batch import command
from tests.cli.batch.stand_in import StandIn

Run = Callable[..., int]


@pytest.fixture
def server() -> Iterator[StandIn]:
    with StandIn().running() as served:
        yield served


@pytest.fixture
def run(server: StandIn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BATCHLINE_API_KEY", raising=False)
    monkeypatch.setattr("cli.batch.run.FIRST_PAUSE", 0.005)

    def main(*arguments: str) -> int:
        return command.main(["run", *arguments, "--url", server.url])

    return main


def lines(path: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(path).read_text().splitlines()]


def table(rows: int, path: str = "in.csv") -> str:
    Path(path).write_text("text,id\n" + "".join(f"text {i},{i}\n" for i in range(rows)))
    return path
