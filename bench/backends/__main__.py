"""`python -m bench.backends`: forward passes with torch and with ONNX Runtime, in turn; what loading costs.

For MiniLM and the demo model, with one thread and with all: lone texts, and batches of texts of mixed
lengths in the order in which they come. "traced" is torch without Python's part, by `torch.jit.trace` and
`freeze`. It needs rectangles, so it runs lone texts only. With `--load`, only the costs of loading. With
`--race`, only what the race of `backend = "auto"` finds, several times.
"""

import argparse
import statistics
import sys
from pathlib import Path

import msgspec

from bench import machine
from bench.backends.passes import TRACED, WAYS, Cost, Question, Row
from bench.ceiling import model_folder
from bench.child import in_child
from bench.command import exit_status
from tests.processes import ROOT

MODULE = "bench.backends.passes"

LOAD_TIMES = 3


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.backends", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="passes of each kind")
    parser.add_argument("--load", action="store_true", help="only the costs of loading")
    parser.add_argument("--race", action="store_true", help="only the races of `auto`, as many as rounds")
    given = parser.parse_args()
    if given.race:
        return exit_status(lambda: _races(given.rounds))
    return exit_status(lambda: _costs() if given.load else _passes(given.rounds))


def _models() -> list[tuple[str, Path, str]]:
    return [
        ("MiniLM", model_folder(), "feature-extraction"),
        ("demo model", ROOT / "models" / "sentiment", "text-classification"),
    ]


def _passes(rounds: int) -> None:
    from worker.engine import threads

    about = machine.describe()
    columns = [*WAYS, *(f"{name}, traced" for name in TRACED)]
    print(f"{about['cpu']}, load {about['load before']}; milliseconds of a pass, medians of {rounds}\n")
    print("| model | threads | " + " | ".join(["pass", *columns]) + " |")
    print("| --- " * (3 + len(columns)) + "|")
    for name, folder, task in _models():
        for count in sorted({1, threads.cores()}):
            question = Question(name, str(folder), task, count, rounds)
            for row in in_child(MODULE, msgspec.json.encode(question), list[Row], 600):
                figures = [
                    f"{row.milliseconds[one]:.1f}" if one in row.milliseconds else "" for one in columns
                ]
                print("| " + " | ".join([name, str(count), row.shape, *figures]) + " |", flush=True)


def _races(rounds: int) -> None:
    from worker.engine import threads

    for name, folder, task in _models():
        question = Question(name, str(folder), task, threads.cores(), 0, races=rounds)
        for verdict in in_child(MODULE, msgspec.json.encode(question), list[str], 600):
            print(f"{name}: {verdict}", flush=True)


def _costs() -> None:
    print(
        "| model | backend | seconds to load | MiB after loading | at most |\n| --- | --- | --- | --- | --- |"
    )
    for name, folder, task in _models():
        for way in WAYS:
            question = msgspec.json.encode(Question(name, str(folder), task, 1, 0, way))
            found = [in_child(MODULE, question, Cost, 120) for _ in range(LOAD_TIMES)]
            medians = [
                statistics.median(getattr(one, field) for one in found) for field in Cost.__struct_fields__
            ]
            print(f"| {name} | {way} | {medians[0]:.1f} | {medians[1]:.0f} | {medians[2]:.0f} |", flush=True)


if __name__ == "__main__":
    sys.exit(main())
