"""Prompts that begin with the same words, such as a system prompt: what computing these once gains.

One server has the model twice, with and without `prefix_cache`. Both get the same streams, first one at a
time, then from closed-loop clients. A model gets no prompt twice, so only the beginning can be shared.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench import machine
from bench.generation import offline, streams
from bench.generation.offline import ALONE
from bench.generation.served import MODEL, SHARING, running
from bench.generation.streams import Streams
from bench.generation.timing import Timing
from bench.generation.workload import Size, Workload, with_beginning
from bench.stack import Stack
from bench.summary import Spread, spread
from bench.table import rate

WORDS = 256
"""Tokens of the beginning."""
PASSES = 4
"""Prompts of each client."""
COMPARED = 16
"""Answers that are compared with those of one by one."""


class Measured(msgspec.Struct):
    """One model in one round."""

    alone: Timing
    together: Timing
    equal: int


Round = dict[str, Measured]
"""Model -> its figures."""


def measure(size: Size, words: int, out: Path) -> None:
    """Measures all rounds, prints the table and writes the figures to `out`. Raises BenchError."""
    about = machine.describe()
    lone = with_beginning(size, words, size.lone, seed=8)
    loaded = with_beginning(size, words, PASSES * size.prompts, seed=7)
    expected = offline.run(_first(loaded, COMPARED), [ALONE]).texts
    rounds: list[Round] = []
    for number in range(size.rounds):
        print(f"round {number + 1} of {size.rounds}", file=sys.stderr)
        with running(sharing=True) as found:
            rounds.append(
                {model: _one(found, model, size, lone, loaded, expected) for model in (MODEL, SHARING)}
            )
    print(draw(rounds, words, size, about))
    figures = {"machine": about, "size": size, "words": words, "rounds": rounds}
    out.mkdir(exist_ok=True)
    encoded = msgspec.json.format(msgspec.json.encode(figures), indent=2) + b"\n"
    (out / "generation-beginnings.json").write_bytes(encoded)


def _first(workload: Workload, count: int) -> Workload:
    return Workload(workload.prompts[:count], workload.limits[:count])


def _one(
    found: Stack, model: str, size: Size, lone: Workload, loaded: Workload, expected: Sequence[str]
) -> Measured:
    plan = Streams(found.port, "batchline", model, lone, 0.0, 0.0, clients=1, passes=size.lone)
    alone = streams.run(plan)
    plan = msgspec.structs.replace(plan, workload=loaded, clients=size.prompts, passes=PASSES)
    together = streams.run(plan)
    equal = sum(together.texts[at].split() == text.split() for at, text in enumerate(expected))
    return Measured(alone.timing, together.timing, equal)


def draw(rounds: Sequence[Round], words: int, size: Size, about: dict[str, str]) -> str:
    """Returns the table. Ratios are of one round."""
    figures = {
        "tokens/s": [(each[SHARING].together.rate, each[MODEL].together.rate) for each in rounds],
        "first token, p50, ms": _times(rounds, "together", "first_p50"),
        "between tokens, p95, ms": _times(rounds, "together", "between_p95"),
        "alone: first token, p50, ms": _times(rounds, "alone", "first_p50"),
    }
    compared = COMPARED * len(rounds)
    equal = [sum(each[model].equal for each in rounds) for model in (SHARING, MODEL)]
    return "\n".join(
        [
            f"{about['cpu']}, {about['cores']} cores; torch {about['torch']}, transformers "
            f"{about['transformers']}; load before: {about['load before']}",
            "",
            f"PROMPTS THAT BEGIN WITH THE SAME {words} TOKENS, {size.prompts} clients, {PASSES} prompts each",
            f"{'':32}{'computed once':>20}{'by each':>20}{'ratio':>20}",
            *(
                f"{name:32}{rate(spread(a for a, _ in pairs)):>20}{rate(spread(b for _, b in pairs)):>20}"
                f"{_ratio(spread(a / b for a, b in pairs)):>20}"
                for name, pairs in figures.items()
            ),
            f"{'equal to one by one':32}{f'{equal[0]} of {compared}':>20}{f'{equal[1]} of {compared}':>20}",
        ]
    )


def _times(rounds: Sequence[Round], load: str, figure: str) -> list[tuple[float, float]]:
    return [
        (getattr(getattr(each[SHARING], load), figure), getattr(getattr(each[MODEL], load), figure))
        for each in rounds
    ]


def _ratio(figure: Spread) -> str:
    return f"{figure.median:.2f}"
