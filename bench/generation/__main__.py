"""`python -m bench.generation` (`make bench-generation`): text generation, offline and served.

Prints a table and writes all figures to bench/out/generation.json. Every contender has one thread. The first
run makes the model and the environment of `transformers serve` in bench/out. With `--shared-prefix` it
measures instead what prompts gain that begin with the same words: `beginnings.py`.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from bench import machine
from bench.command import exit_status
from bench.errors import BenchError
from bench.generation import beginnings, serve, table
from bench.generation.rounds import Round, one_round
from bench.generation.summary import summarize
from bench.generation.workload import FULL, QUICK, Size, make_workload

OUT = Path(__file__).parents[1] / "out"


def main() -> int:
    size, with_serve, shared = _arguments()
    os.environ["OMP_NUM_THREADS"] = "1"  # all processes inherit it
    if shared:
        return exit_status(lambda: beginnings.measure(size, shared, OUT))
    return exit_status(lambda: _measure(size, with_serve))


def _measure(size: Size, with_serve: bool) -> None:
    began, about = time.monotonic(), machine.describe()
    interpreter, missing = _prepare() if with_serve else (None, {})
    workload, rounds = make_workload(size), list[Round]()
    for number in range(size.rounds):
        print(f"round {number + 1} of {size.rounds}:", end="", file=sys.stderr)
        rounds.append(one_round(workload, size, interpreter, OUT))
    summary = summarize(rounds, workload, missing)
    print("\n" + table.draw(summary, about, workload, size.rounds))
    figures = {"machine": about, "size": size, "workload": workload, "summary": summary, "rounds": rounds}
    encoded = msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n"
    (OUT / "generation.json").write_bytes(encoded)
    print(f"{time.monotonic() - began:.0f} s; all figures are in {OUT / 'generation.json'}")


def _prepare() -> tuple[Path | None, dict[str, str]]:
    """Returns the interpreter of `transformers serve`, or the reason why there is none."""
    OUT.mkdir(exist_ok=True)
    print(f"{serve.NAME}: environment .. ", end="", file=sys.stderr, flush=True)
    try:
        interpreter = serve.python(OUT)
    except BenchError as error:
        print(f"cannot be created: {error}", file=sys.stderr)
        return None, {serve.NAME: f"its environment cannot be created: {error}"}
    print("ready", file=sys.stderr)
    return interpreter, {}


def _arguments() -> tuple[Size, bool, int]:
    parser = argparse.ArgumentParser(prog="python -m bench.generation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short round with half of the prompts")
    parser.add_argument("--rounds", type=int, help="number of rounds (default: 3)")
    parser.add_argument("--no-serve", action="store_true", help="do not measure `transformers serve`")
    parser.add_argument(
        "--shared-prefix",
        type=int,
        nargs="?",
        const=beginnings.WORDS,
        default=0,
        metavar="WORDS",
        help=f"measure prompts with a common beginning instead, of {beginnings.WORDS} tokens if not given",
    )
    given = parser.parse_args()
    size = QUICK if given.quick else FULL
    if given.rounds:
        size = msgspec.structs.replace(size, rounds=given.rounds)
    return size, not given.no_serve, given.shared_prefix


if __name__ == "__main__":
    sys.exit(main())
