"""`python -m bench.calls`: what a call of another interface costs, beside `POST /v1/jobs` with a wait.

Both calls of a pair ask the same of the same model, in turn. Prints the ratios of their rates and of the
API's processor time per request: the median of all rounds.
"""

import argparse
import json
import statistics
import sys
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from bench import load, stack
from bench.ceiling import model_folder
from bench.command import exit_status
from bench.plan import Plan
from bench.serving import bodies
from bench.stack import PATH, Stack
from bench.texts import make_texts

CLIENTS = 64
TEXTS = 64


class Call(NamedTuple):
    """A call, and the call of `/v1/jobs` that it is compared with."""

    name: str
    path: str
    body: Callable[[str], str]
    contains: str
    model: str
    """For `/v1/jobs`."""


CALLS = (
    Call("/models/echo", "/models/echo", lambda text: json.dumps({"inputs": text}), '"', "echo"),
    Call(
        "/v1/embeddings",
        "/v1/embeddings",
        lambda text: json.dumps({"model": "embed", "input": text, "encoding_format": "float"}),
        '"embedding"',
        "embed",
    ),
)


class Cost(NamedTuple):
    """One measurement: requests a second, and the API's milliseconds of processor time per request."""

    rate: float
    api: float


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.calls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="measurements of each call (default: 5)")
    parser.add_argument("--seconds", type=float, default=3.0, help="of a measurement (default: 3)")
    given = parser.parse_args()
    return exit_status(lambda: _measure(given.rounds, given.seconds))


def _measure(rounds: int, seconds: float) -> None:
    texts = make_texts(TEXTS)
    plan = Plan(0, "", CLIENTS, seconds, [], "", warm_up=0.5)
    with stack.running(stack.MODELS.format(source=model_folder())) as running:
        for call in CALLS:
            pairs = [
                (_one(running, call, texts, plan), _own(running, call, texts, plan)) for _ in range(rounds)
            ]
            rates = [other.rate / own.rate for other, own in pairs]
            api = [other.api / own.api for other, own in pairs]
            print(
                f"{call.name:16} requests/s {statistics.median(rates):.2f} times those of {PATH}"
                f" ({min(rates):.2f}..{max(rates):.2f}), the API's time per request"
                f" {statistics.median(api):.2f} ({min(api):.2f}..{max(api):.2f})"
            )


def _one(running: Stack, call: Call, texts: list[str], plan: Plan) -> Cost:
    return _cost(running, plan, call.path, [call.body(text) for text in texts], call.contains)


def _own(running: Stack, call: Call, texts: list[str], plan: Plan) -> Cost:
    return _cost(running, plan, PATH, bodies(call.model, texts), '"status":"succeeded"')


def _cost(running: Stack, plan: Plan, path: str, sent: list[str], contains: str) -> Cost:
    before = running.cpu()["api"]
    found = load.run(
        msgspec.structs.replace(plan, port=running.port, path=path, bodies=sent, contains=contains)
    )
    return Cost(found.rate, (running.cpu()["api"] - before) * 1000 / found.answered)


if __name__ == "__main__":
    sys.exit(main())
