"""`python -m bench.media` (`make bench-media`): images and sounds, served and offline, beside peers.

Prints a table and writes all figures to bench/out/media.json. Measurements alternate, so that all meet the
same machine. The first run makes the models and the peers' environments in bench/out.
"""

import argparse
import statistics
import sys
from pathlib import Path
from typing import Any

import msgspec

from bench import machine
from bench.command import exit_status
from bench.media import offline, peers, samples, served
from bench.media.peers import CONTENDERS
from bench.plan import Plan

OUT = Path(__file__).parents[1] / "out"
CLIENTS = 64


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.media", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=8.0, help="shortest duration of a measurement")
    parser.add_argument("--only", choices=["photo", "speech"], help="measure only one of the models")
    parser.add_argument("--no-peers", action="store_true", help="do not measure the peers")
    given = parser.parse_args()
    return exit_status(lambda: _measure(given))


def _measure(given: argparse.Namespace) -> None:
    about = machine.describe()
    plan = Plan(0, "", CLIENTS, given.seconds, [], "", warm_up=2.0, patience=120.0, limit=300.0)
    figures: dict[str, Any] = {"machine": about}
    if given.only != "speech":
        figures["photo"] = _photos(given.rounds, plan, with_peers=not given.no_peers)
    if given.only != "photo":
        figures["speech"] = _speech(given.rounds, plan)
    OUT.mkdir(exist_ok=True)
    (OUT / "media.json").write_bytes(msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n")
    print(f"{about['cpu']}, {about['cores']} cores; all figures are in {OUT / 'media.json'}")


def _photos(rounds: int, plan: Plan, *, with_peers: bool) -> dict[str, list[float]]:
    photos = samples.photos(128)
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        best = offline.run("photo", photos)
        for name, held_out in (("Batchline", None), ("Batchline, dtype auto", _others())):
            with served.running("photo", held_out) as running:
                found = served.measure(running, "photo", photos, best.answers, plan)
            rates.setdefault(name, []).append(found.load.rate)
            print(f"{name}, photos: offline best at {best.best}; {_told(found)}", file=sys.stderr)
        best = offline.again("photo", photos, best)
        rates.setdefault("offline", []).append(len(photos) / best.seconds[best.best])
        for contender in CONTENDERS if with_peers else ():
            loaded = peers.measure(contender, photos, plan, OUT)
            rates.setdefault(contender.name, []).append(loaded.rate)
    _table("PHOTOS: images/s, 64 clients", rates, "Batchline")
    return rates


def _others() -> Path:
    """A folder with other photos, by which `dtype = "auto"` judges."""
    folder = OUT / "held-out-photos"
    folder.mkdir(parents=True, exist_ok=True)
    for number, photo in enumerate(samples.photos(64, seed=6)):
        (folder / f"{number}.jpg").write_bytes(photo)
    return folder


def _speech(rounds: int, plan: Plan) -> dict[str, list[float]]:
    recordings, seconds = samples.recordings(24)
    rates: dict[str, list[float]] = {}
    for _ in range(rounds):
        best = offline.run("speech", recordings, (1, 8))
        with served.running("speech") as running:
            found = served.measure(running, "speech", recordings, best.answers, plan)
        best = offline.again("speech", recordings, best)
        rates.setdefault("offline", []).append(seconds / best.seconds[best.best])
        rates.setdefault("Batchline", []).append(found.load.rate * seconds / len(recordings))
        print(f"speech: offline best at {best.best}; {_told(found)}", file=sys.stderr)
    _table("SPEECH: seconds of sound per second, 64 clients", rates, "Batchline")
    return rates


def _told(found: served.Served) -> str:
    cores = ", ".join(f"{name} {used:.2f}" for name, used in found.cores.items())
    return (
        f"{found.dtype}, batches of {found.batch:.1f},"
        f" {found.equal} of {found.compared} answers are the offline model's;"
        f" p50 {found.load.p50:.0f} ms; cores: {cores}"
    )


def _table(title: str, rates: dict[str, list[float]], ours: str) -> None:
    print(title)
    for name, found in rates.items():
        ratio = statistics.median(own / other for own, other in zip(rates[ours], found, strict=True))
        print(f"  {name:28}{statistics.median(found):8.1f}   Batchline is {ratio:.2f} times as fast")


if __name__ == "__main__":
    sys.exit(main())
