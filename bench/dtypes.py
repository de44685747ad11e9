"""`python -m bench.dtypes`: compares faster dtypes with float32 on this machine, for two models.

Uses the checks of `dtype = "auto"`: the speedup, the agreement of batched answers with float32's, and with
the same dtype's own unbatched answers.
"""

import sys
from pathlib import Path

from bench.ceiling import model_folder
from jobs.models import ModelSpec
from tests.processes import ROOT
from worker.engine import held_out, threads
from worker.engine.dtypes import CANDIDATES, Judge


def main() -> int:
    count = threads.set_count(None)
    threads.set_torch_threads(count)
    print(f"threads: {count}\n")
    print("| model | task | dtype | speed | agreement | with itself alone | auto takes it |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, task, folder in (
        ("all-MiniLM-L6-v2", "feature-extraction", model_folder()),
        ("sentiment", "text-classification", ROOT / "models" / "sentiment"),
    ):
        print_rows(name, task, folder)
    return 0


def print_rows(name: str, task: str, folder: Path) -> None:
    spec = ModelSpec(name=name.lower(), task=task, source=str(folder), device="cpu", dtype="auto")
    judge = Judge(spec, folder, held_out.inputs(spec))
    print(f"| {name} | {task} | float32 | 1.00 | | | |")
    for dtype in CANDIDATES["cpu"]:
        _, verdict = judge.examine(dtype, min_speedup=0)
        assert verdict.agreement is not None
        assert verdict.self_agreement is not None
        print(
            f"| {name} | {task} | {dtype} | {verdict.speed:.2f} | {verdict.agreement:.5f} | "
            f"{verdict.self_agreement:.5f} | {'may' if verdict.agrees else 'no'} |",
            flush=True,
        )


if __name__ == "__main__":
    sys.exit(main())
