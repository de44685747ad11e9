"""Computes medians and ranges over the rounds. Ratios are computed within a round: machine speed varies."""

import statistics
from collections.abc import Sequence

import msgspec

from bench.peers import batchline
from bench.peers.by_clients import ByClients, by_clients
from bench.peers.measuring import Measured
from bench.peers.peer import Peer, Setting
from bench.peers.rounds import Round, fastest
from bench.summary import Spread, spread


class Line(msgspec.Struct):
    """One contender. None means not measured."""

    name: str
    setting: str
    rate: Spread | None = None
    """Requests per second, one text each."""
    of_ceiling: Spread | None = None
    behind: Spread | None = None
    """Batchline's rate divided by this contender's, in the same round."""
    p50: float | None = None
    """Milliseconds, like p99."""
    p99: float | None = None
    cosine: float | None = None
    """Lowest cosine to the offline embeddings in all rounds."""
    right: bool = True
    rounds: int = 0
    problem: str = ""
    """The first problem in any round."""
    stores: bool = False
    """Whether its jobs are kept in Redis."""


class Summary(msgspec.Struct):
    threads: int
    ceiling: Spread
    served: list[Line]
    """Fastest first."""
    tried: dict[str, dict[str, float]]
    """Peer -> setting -> requests per second, in the first round."""
    echoed: list[Line]
    missing: dict[str, str]
    """Peer that was not measured -> reason."""
    by_clients: ByClients = {}


def summarize(rounds: Sequence[Round], peers: Sequence[Peer], missing: dict[str, str]) -> Summary:
    own = [batchline.NAME]
    for name in (batchline.AS_OPENAI, batchline.AUTO):
        if any(each.name == name for each in rounds[0].served):
            own.append(name)
    served = [_line(rounds, "served", name, "", None) for name in own]
    for peer in peers:
        for word, setting in (("as shipped", peer.shipped), ("tuned", fastest(peer, rounds[0].served))):
            if setting is not None:
                label = f"{word}, {setting.name(peer.unit)}"
                served.append(_line(rounds, "served", peer.name, label, setting))
    echoing: list[tuple[str, Setting | None, bool]] = [(batchline.NAME, None, True)]
    echoing += [(peer.name, peer.echo_setting, peer.stores) for peer in peers if peer.echo_path]
    return Summary(
        threads=rounds[0].ceiling.threads,
        ceiling=spread(each.ceiling.rate for each in rounds),
        served=_fastest_first(served),
        tried={peer.name: _tried(peer, rounds[0]) for peer in peers},
        echoed=_fastest_first(
            [
                msgspec.structs.replace(_line(rounds, "echoed", name, "", setting), stores=stores)
                for name, setting, stores in echoing
            ]
        ),
        missing=missing,
        by_clients=by_clients(rounds),
    )


def _line(rounds: Sequence[Round], what: str, name: str, label: str, setting: Setting | None) -> Line:
    line, found, behind = Line(name, label), [], []
    for each in rounds:
        measured: list[Measured] = getattr(each, what)
        one = _find(measured, name, setting)
        own = _find(measured, batchline.NAME, None)
        if one is None or one.load is None or one.problem:
            line.problem = line.problem or (one.problem if one else "it was not measured")
            continue
        found.append((each, one, one.load))
        if own is not None and own.load is not None:
            behind.append(own.rate / one.rate)
    if not found:
        return line
    line.rounds = len(found)
    line.rate = spread(one.rate for _, one, _ in found)
    line.of_ceiling = spread(one.rate / each.ceiling.rate for each, one, _ in found)
    line.behind = spread(behind) if behind else None
    line.p50 = statistics.median(load.p50 for _, _, load in found)
    line.p99 = statistics.median(load.p99 for _, _, load in found)
    line.cosine = min((one.cosine for _, one, _ in found if one.cosine is not None), default=None)
    line.right = all(one.right for _, one, _ in found)
    return line


def _find(measured: list[Measured], name: str, setting: Setting | None) -> Measured | None:
    return next((each for each in measured if (each.name, each.setting) == (name, setting)), None)


def _tried(peer: Peer, first: Round) -> dict[str, float]:
    rates = {each.setting: each.rate for each in first.served if each.name == peer.name and each.right}
    return {setting.name(peer.unit): rates[setting] for setting in peer.settings() if setting in rates}


def _fastest_first(lines: list[Line]) -> list[Line]:
    return sorted(lines, key=lambda line: line.rate.median if line.rate else 0.0, reverse=True)
