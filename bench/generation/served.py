"""Batchline: as many closed-loop clients as prompts, each prompt with its own limit; then streams."""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench import load, stack
from bench.errors import BenchError
from bench.generation import models, streams
from bench.generation.dialects import batchline_body
from bench.generation.streams import Streams
from bench.generation.timing import Timing
from bench.generation.workload import Size, Workload
from bench.plan import Plan
from bench.stack import PATH, Stack

NAME = "Batchline"
AS_OPENAI = "Batchline, /v1/completions"
MODEL, SHARING = "llama", "llama-sharing"
MODELS = """\
[models.{name}]
task = "text-generation"
source = "{folder}"
prefix_cache = {cache}
"""

SHARES = {"Poisson, half of capacity": 0.5, "Poisson, 0.9 of capacity": 0.9}
"""Open loads, as shares of the tokens per second of the closed loop."""
ALONE = "one request at a time"


class Whole(msgspec.Struct):
    """Whole answers in a closed loop. Times are milliseconds until the answer is complete."""

    p50: float
    p95: float
    requests: int


class Server(msgspec.Struct):
    """What was measured of one server."""

    name: str
    rate: float | None = None
    """Tokens per second of whole answers in a closed loop."""
    streamed: dict[str, Timing] = {}
    """Load -> times and rates of streams."""
    equal: int = 0
    """Answers that are the offline model's, of `compared`."""
    compared: int = 0
    problem: str = ""
    """Why it, or its streams, were not measured."""
    whole: Whole | None = None

    def compare(self, texts: dict[int, str], expected: list[str]) -> None:
        """Counts the answers that have the offline model's tokens: each word is one."""
        self.compared += len(texts)
        self.equal += sum(text.split() == expected[number].split() for number, text in texts.items())


@contextmanager
def running(*, sharing: bool = False) -> Iterator[Stack]:
    """The stack with MODEL, which shares no beginnings: the loads repeat their prompts, and plain
    transformers computes each. `sharing`: also with SHARING, which does."""
    entries = [(MODEL, "false"), (SHARING, "true")][: 1 + sharing]
    text = "".join(MODELS.format(name=name, folder=models.folder(), cache=cache) for name, cache in entries)
    with stack.running(text) as found:
        yield found


def measure(workload: Workload, size: Size, expected: list[str]) -> list[Server]:
    """Measures Batchline by its own interface, and its streams by OpenAI's.

    Raises BenchError unless whole answers can be measured.
    """
    own, as_openai = Server(NAME), Server(AS_OPENAI)
    with running() as found:
        _whole(found, workload, size, own, expected)
        plan = Streams(found.port, "batchline", MODEL, workload, size.seconds, size.warm_up)
        measure_streams(plan, size, own, expected)
        measure_streams(msgspec.structs.replace(plan, dialect="completions"), size, as_openai, expected)
    return [own, as_openai]


def measure_streams(plan: Streams, size: Size, server: Server, expected: list[str]) -> None:
    """Measures streams: alone, in a closed loop, and with Poisson arrivals at shares of that loop's rate.

    Stores a BenchError as `problem`.
    """

    def run(name: str, one: Streams) -> Timing:
        found = streams.run(one)
        server.compare(found.texts, expected)
        server.streamed[name] = found.timing
        return found.timing

    workload, clients = plan.workload, len(plan.workload.prompts)
    try:
        run(ALONE, msgspec.structs.replace(plan, clients=1, passes=size.lone))
        full = run(f"{clients} clients", msgspec.structs.replace(plan, clients=clients))
        for name, share in SHARES.items():
            rate = share * full.rate * clients / workload.tokens
            run(name, msgspec.structs.replace(plan, rate=rate))
    except BenchError as error:
        server.problem = f"streams were not measured: {error}"[:200]


def _whole(found: Stack, workload: Workload, size: Size, server: Server, expected: list[str]) -> None:
    pairs = zip(workload.prompts, workload.limits, strict=True)
    clients = len(workload.prompts)
    plan = Plan(
        port=found.port,
        path=PATH,
        clients=clients,
        seconds=size.seconds,
        bodies=[batchline_body(MODEL, prompt, limit) for prompt, limit in pairs],
        contains='"status":"succeeded"',
        warm_up=size.warm_up,
        patience=240.0,
        limit=400.0,
        keep=list(range(clients)),
    )
    loaded = load.run(plan)
    server.compare({number: _text(body) for number, body in loaded.kept.items()}, expected)
    server.rate = loaded.rate * workload.tokens / clients
    server.whole = Whole(loaded.p50, loaded.p95, loaded.requests)


def _text(body: str) -> str:
    [result] = msgspec.json.decode(body)["results"]
    return str(result["output"][0]["generated_text"])
