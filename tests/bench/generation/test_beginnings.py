"""The table of prompts that begin with the same words."""

from bench.generation import beginnings
from bench.generation.beginnings import Measured
from bench.generation.served import MODEL, SHARING
from bench.generation.timing import Timing
from bench.generation.workload import QUICK

MACHINE = {"cpu": "a cpu", "cores": "2", "torch": "2", "transformers": "5", "load before": "0.1"}


def measured(rate: float, first: float) -> Measured:
    return Measured(Timing(4, 1.0, first, first, 1.0), Timing(64, rate, 2 * first, 9.0, 30.0), 16)


def test_ratios_are_those_within_a_round() -> None:
    rounds = [
        {SHARING: measured(300.0, 10.0), MODEL: measured(100.0, 40.0)},
        {SHARING: measured(200.0, 10.0), MODEL: measured(200.0, 20.0)},
        {SHARING: measured(800.0, 10.0), MODEL: measured(400.0, 50.0)},
    ]
    table = beginnings.draw(rounds, 256, QUICK, MACHINE).splitlines()
    assert "THE SAME 256 TOKENS, 32 clients, 4 prompts each" in table[2]
    assert table[4].split() == ["tokens/s", "300", "(200..800)", "200", "(100..400)", "2.00"]
    assert table[7].split()[-1] == "0.25"
    assert table[8].split()[-6:] == ["48", "of", "48", "48", "of", "48"]
