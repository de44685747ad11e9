"""The comparison for each number of clients: each contender with the setting that is fastest with so many."""

from collections.abc import Iterator, Sequence

from bench.peers import batchline
from bench.peers.measuring import Measured
from bench.peers.rounds import CLIENTS, OTHER_CLIENTS, Round
from bench.summary import Spread, spread

ByClients = dict[str, dict[int, tuple[Spread, Spread]]]
"""Contender -> number of clients -> its texts per second, and Batchline's rate divided by it."""


def by_clients(rounds: Sequence[Round]) -> ByClients:
    """Returns each contender that answered right in all rounds."""
    found: ByClients = {}
    for name in dict.fromkeys(each.name for each in rounds[0].served):
        for clients in sorted((CLIENTS, *OTHER_CLIENTS)):
            rates = [_fastest(each.served, name, clients) for each in rounds]
            own = [_fastest(each.served, batchline.NAME, clients) for each in rounds]
            if all(rates) and all(own):
                ratios = (ours / theirs for ours, theirs in zip(own, rates, strict=True))
                found.setdefault(name, {})[clients] = spread(rates), spread(ratios)
    return found


def draw(table: ByClients) -> Iterator[str]:
    """Formats the table: texts per second, and in brackets how many times as fast Batchline is."""
    if not table:
        return
    columns = sorted({clients for rates in table.values() for clients in rates})
    yield "BY CLIENTS: texts/s with the fastest setting for so many clients (Batchline: times)"
    yield f"{'clients':24}" + "".join(f"{clients:>18}" for clients in columns)
    for name, rates in table.items():
        cells = (
            f"{rates[clients][0].median:.0f} ({rates[clients][1].median:.2f})" if clients in rates else "?"
            for clients in columns
        )
        yield f"{name:24}" + "".join(f"{cell:>18}" for cell in cells)
    yield ""


def _fastest(served: Sequence[Measured], name: str, clients: int) -> float:
    """Returns the highest rate of a contender's settings, 0 if none was measured."""
    loads = (
        each.load if clients == CLIENTS else each.others.get(clients)
        for each in served
        if each.name == name and each.right
    )
    return max((load.rate for load in loads if load), default=0.0)
