"""`python -m bench.compare CHECKOUT`: what this checkout and another one add to a model that only echoes.

Runs alternate between the two, so that both meet the same machine. Prints the ratios of rates and of
processor time per request, this checkout to the other: the median of all rounds.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parents[1]

ONE_RUN = """
import json
from bench import stack
from bench.plan import Plan
from bench.serving import measure
from bench.texts import make_texts

texts = make_texts(128)
kinds = {
    "64 clients, one text each": (64, texts[:64]),
    "8 clients, lists of 500": (8, [(texts * 500)[first : first + 500] for first in range(4)]),
}
found = {}
with stack.running() as running:
    for name, (clients, inputs) in kinds.items():
        served = measure(running, "echo", inputs, Plan(0, "", clients, 3.0, [], "", warm_up=0.5))
        found[name] = {"rate": served.rate, **served.cpu}
print(json.dumps(found))
"""
"""Code that both checkouts run, each with its own modules."""

Run = dict[str, dict[str, float]]
"""Kind of request -> its rate, and milliseconds of processor time per request by process."""


def one_run(checkout: Path) -> Run:
    """Measures one checkout. Raises subprocess.CalledProcessError or TimeoutExpired."""
    environment = os.environ | {"PYTHONPATH": str(checkout)}
    command = [sys.executable, "-c", ONE_RUN]
    done = subprocess.run(
        command, cwd=checkout, env=environment, check=True, capture_output=True, text=True, timeout=120
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.compare", description=__doc__)
    parser.add_argument("other", type=Path, metavar="CHECKOUT", help="the other checkout")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each checkout (default: 5)")
    arguments = parser.parse_args()
    other = arguments.other.resolve()
    pairs: list[tuple[Run, Run]] = []
    try:
        for number in range(arguments.rounds):
            order = [other, HERE] if number % 2 == 0 else [HERE, other]
            runs = {checkout: one_run(checkout) for checkout in order}
            pairs.append((runs[other], runs[HERE]))
    except subprocess.SubprocessError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    for kind in pairs[0][0]:
        ratios = {
            name: statistics.median(now[kind][name] / before[kind][name] for before, now in pairs)
            for name in pairs[0][0][kind]
        }
        print(f"{kind:28}" + "  ".join(f"{name} {ratio:.2f}" for name, ratio in ratios.items()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
