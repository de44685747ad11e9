"""`python -m bench.peers` (`make bench-peers`): compares Batchline with its peers.

Prints a table; writes all figures to bench/out/peers.json and a chart to bench/out/peers.svg. The first run
creates the peers' environments in bench/out/venvs; the output of their servers is in bench/out/peers.
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
from bench.peers import batchline, environments, picture, table
from bench.peers.catalogue import PEERS
from bench.peers.peer import Peer
from bench.peers.rounds import FULL, QUICK, Round, Size, one_round
from bench.peers.summary import summarize

OUT = Path(__file__).parent.parent / "out"


def main() -> int:
    size, peers = _arguments()
    return exit_status(lambda: _measure(size, peers))


def _measure(size: Size, peers: list[Peer]) -> None:
    began = time.monotonic()
    pythons, versions, missing = prepare(peers, OUT / "venvs")
    about = machine.describe()
    rounds = _rounds(size, pythons)
    summary = summarize(rounds, list(pythons), missing)
    versions[batchline.NAME] = {name: about[name] for name in ("python", "torch", "transformers", "valkey")}
    print("\n" + table.draw(summary, about, versions, size.rounds))
    figures = {"machine": about, "versions": versions, "size": size, "summary": summary, "rounds": rounds}
    (OUT / "peers.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    (OUT / "peers.svg").write_text(picture.draw(summary, about), encoding="utf-8")
    passed = time.monotonic() - began
    print(f"{passed:.0f} s; all figures are in {OUT / 'peers.json'}, a picture in peers.svg")


def prepare(
    peers: list[Peer], folder: Path
) -> tuple[dict[Peer, Path], dict[str, dict[str, str]], dict[str, str]]:
    """Returns each peer's interpreter, its versions by name, and the reasons for missing environments."""
    pythons, versions, missing = {}, {}, {}
    for peer in peers:
        print(f"{peer.name}: environment", end=" .. ", file=sys.stderr, flush=True)
        try:
            python = environments.python_of(peer, folder)
            versions[peer.name] = environments.versions(peer, python)
            pythons[peer] = python
            print("ready", file=sys.stderr)
        except BenchError as error:
            missing[peer.name] = str(error)
            print(f"cannot be created: {error}", file=sys.stderr)
    return pythons, versions, missing


def _rounds(size: Size, pythons: dict[Peer, Path]) -> list[Round]:
    logs = OUT / "peers"
    logs.mkdir(parents=True, exist_ok=True)
    rounds: list[Round] = []
    for number in range(size.rounds):
        print(f"round {number + 1} of {size.rounds}:", end="", file=sys.stderr)
        rounds.append(one_round(size, pythons, rounds, logs))
    return rounds


def _arguments() -> tuple[Size, list[Peer]]:
    parser = argparse.ArgumentParser(prog="python -m bench.peers")
    parser.add_argument("--quick", action="store_true", help="one short round")
    parser.add_argument("--rounds", type=int, help="number of rounds (default: 3)")
    parser.add_argument(
        "--only", nargs="+", choices=[peer.name for peer in PEERS], help="measure only these peers"
    )
    parser.add_argument(
        "--threads", type=int, help="torch's threads, for all peers (default: torch's choice)"
    )
    given = parser.parse_args()
    if given.threads:
        os.environ["OMP_NUM_THREADS"] = str(given.threads)  # all processes inherit it
    size = QUICK if given.quick else FULL
    if given.rounds:
        size = msgspec.structs.replace(size, rounds=given.rounds)
    return size, [peer for peer in PEERS if not given.only or peer.name in given.only]


if __name__ == "__main__":
    sys.exit(main())
