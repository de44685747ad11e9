"""`python -m bench` (`make bench`): compares the served model with the offline one; measures the overhead.

Prints a table; writes all figures to bench/out/bench.json and a chart to bench/out/bench.svg.
"""

import argparse
import os
import sys
import time
from pathlib import Path

import msgspec

from bench import machine, picture, table
from bench.command import exit_status
from bench.rounds import FULL, QUICK, Size, one_round
from bench.summary import summarize

OUT = Path(__file__).parent / "out"


def main() -> int:
    size = _arguments()
    return exit_status(lambda: _measure(size))


def _measure(size: Size) -> None:
    began, about = time.monotonic(), machine.describe()
    rounds = []
    for number in range(size.rounds):
        print(f"round {number + 1} of {size.rounds}:", end="", file=sys.stderr)
        rounds.append(one_round(size))
    summary = summarize(rounds)
    print("\n" + table.draw(summary, about, size.rounds))
    OUT.mkdir(exist_ok=True)
    figures = {"machine": about, "size": size, "summary": summary, "rounds": rounds}
    (OUT / "bench.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    (OUT / "bench.svg").write_text(picture.draw(summary, about), encoding="utf-8")
    print(
        f"{time.monotonic() - began:.0f} s; all figures are in {OUT / 'bench.json'}, a picture in bench.svg"
    )


def _arguments() -> Size:
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--quick", action="store_true", help="one short round, about a minute")
    parser.add_argument("--rounds", type=int, help="number of rounds (default: 3)")
    parser.add_argument(
        "--threads", type=int, help="torch's threads, offline and served (default: torch's choice)"
    )
    given = parser.parse_args()
    if given.threads:
        os.environ["OMP_NUM_THREADS"] = str(given.threads)  # all processes inherit it
    size = QUICK if given.quick else FULL
    return msgspec.structs.replace(size, rounds=given.rounds) if given.rounds else size


if __name__ == "__main__":
    sys.exit(main())
