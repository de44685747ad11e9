"""`python -m tests.worker.three_steps FD`: an engine whose steps wait for each other, overlapping."""

import socket
import sys
import threading
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import structlog

from worker.engine.conveyor import Conveyor
from worker.engine.pipelines import LoadedPipeline, PipelineInfo, Prepared

PATIENCE = 30.0


class Meeting(LoadedPipeline):
    """Computing `first` waits until `second` is prepared; computing `second` and answering `first` meet."""

    info = PipelineInfo("cpu", "float32", None, None)
    budget: int | None = None
    steps = new_tokens = 0
    defaults: Mapping[str, Any] = MappingProxyType({})

    def __init__(self) -> None:
        self.prepared, self.computing, self.answering = (threading.Event() for _ in range(3))

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        if inputs == ["second"]:
            self.prepared.set()
        return Prepared(inputs, tokens=len(inputs), padded=2 * len(inputs))

    def compute(self, prepared: Prepared) -> Any:
        if prepared.work == ["first"]:
            assert self.prepared.wait(PATIENCE), "the second is prepared meanwhile"
        if prepared.work == ["second"]:
            self.computing.set()
            assert self.answering.wait(PATIENCE), "the first is answered meanwhile"
        return prepared.work

    def answer(self, computed: Any) -> list[Any]:
        if computed == ["first"]:
            self.answering.set()
            assert self.computing.wait(PATIENCE), "the second is computed meanwhile"
        if computed == ["short"]:
            return []
        return list(computed)

    def run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Any]:
        return self.answer(self.compute(self.prepare(inputs, parameters)))

    def warm_up(self) -> None:
        return None


if __name__ == "__main__":
    Conveyor(
        Meeting(), socket.socket(fileno=int(sys.argv[1])).makefile("rwb"), structlog.get_logger()
    ).serve()
