"""Computes medians and ranges over the rounds. Ratios are computed within a round: machine speed varies."""

from collections.abc import Callable, Sequence

import msgspec

from bench.generation.offline import ALONE
from bench.generation.rounds import Round
from bench.generation.served import Server
from bench.generation.workload import Workload
from bench.summary import Spread, spread


class Line(msgspec.Struct):
    """One way of generating all prompts."""

    name: str
    rate: Spread
    """Tokens per second."""
    of_alone: Spread
    """Its rate as a multiple of one by one."""
    of_static: Spread
    """Its rate as a multiple of the fastest static batches, in the same round."""
    equal: int
    """Answers in all rounds with the tokens of one by one, of `compared`."""
    compared: int


class Streaming(msgspec.Struct):
    """Streams of one server under one load. Times are milliseconds."""

    server: str
    load: str
    rate: Spread
    first_p50: Spread
    first_p95: Spread
    between_p95: Spread | None
    """None for whole answers, whose first token comes with the last."""
    requests: int


class Summary(msgspec.Struct):
    threads: int
    lines: list[Line]
    streams: list[Streaming]
    missing: dict[str, str]
    """What was not measured -> reason."""


def summarize(rounds: Sequence[Round], workload: Workload, missing: dict[str, str]) -> Summary:
    first = rounds[0]
    lines = [_offline(rounds, name, workload) for name in _everywhere(rounds)]
    absent = dict(missing)
    for each in rounds:
        absent |= each.offline.problems
    streams: list[Streaming] = []
    for at, server in enumerate(first.servers):
        servers = [each.servers[at] for each in rounds]
        if problem := next((each.problem for each in servers if each.problem), ""):
            absent[server.name] = problem
        lines += _closed(rounds, servers, workload)
        streams += _whole(servers, f"{len(workload.prompts)} clients, whole answers")
        loads = [load for load in server.streamed if all(load in each.streamed for each in servers)]
        streams += [_streaming(servers, load) for load in loads]
    return Summary(first.offline.threads, lines, streams, absent)


def best_static(each: Round, workload: Workload) -> float:
    """Returns the rate of the fastest static batches, sorted or not."""
    static = (name for name in each.offline.seconds if "batches of" in name)
    return max((each.offline.rate(name, workload) for name in static), default=0.0)


def _everywhere(rounds: Sequence[Round]) -> list[str]:
    """Returns the strategies that were measured in all rounds."""
    return [
        name for name in rounds[0].offline.seconds if all(name in each.offline.seconds for each in rounds)
    ]


def _offline(rounds: Sequence[Round], name: str, workload: Workload) -> Line:
    equal = sum(each.offline.equal(name) for each in rounds)
    compared = sum(len(each.offline.answers[name]) for each in rounds)
    return _line(
        name, rounds, [each.offline.rate(name, workload) for each in rounds], workload, equal, compared
    )


def _closed(rounds: Sequence[Round], servers: Sequence[Server], workload: Workload) -> list[Line]:
    """Returns the lines of a server's closed loops: whole answers, and streams."""
    clients = f"{len(workload.prompts)} clients"
    name, whole = f"{servers[0].name}, {clients}", [each.rate for each in servers if each.rate is not None]
    streamed = [each.streamed[clients].rate for each in servers if clients in each.streamed]
    equal, compared = sum(each.equal for each in servers), sum(each.compared for each in servers)
    return [
        _line(label, rounds, rates, workload, equal, compared)
        for label, rates in ((name, whole), (f"{name}, streamed", streamed))
        if len(rates) == len(rounds)
    ]


def _whole(servers: Sequence[Server], name: str) -> list[Streaming]:
    """Returns the line of a server's whole answers, if they were measured in all rounds."""
    found = [(each.rate, each.whole) for each in servers if each.rate is not None and each.whole]
    if len(found) < len(servers):
        return []
    return [
        Streaming(
            servers[0].name,
            name,
            spread(rate for rate, _ in found),
            spread(whole.p50 for _, whole in found),
            spread(whole.p95 for _, whole in found),
            None,
            sum(whole.requests for _, whole in found),
        )
    ]


def _line(
    name: str, rounds: Sequence[Round], rates: Sequence[float], workload: Workload, equal: int, compared: int
) -> Line:
    pairs = list(zip(rates, rounds, strict=True))
    return Line(
        name,
        rate=spread(rates),
        of_alone=spread(rate / each.offline.rate(ALONE, workload) for rate, each in pairs),
        of_static=spread(rate / best_static(each, workload) for rate, each in pairs),
        equal=equal,
        compared=compared,
    )


def _streaming(servers: Sequence[Server], load: str) -> Streaming:
    timings = [each.streamed[load] for each in servers]

    def over(figure: Callable[[int], float]) -> Spread:
        return spread(map(figure, range(len(timings))))

    return Streaming(
        servers[0].name,
        load,
        rate=over(lambda at: timings[at].rate),
        first_p50=over(lambda at: timings[at].first_p50),
        first_p95=over(lambda at: timings[at].first_p95),
        between_p95=over(lambda at: timings[at].between_p95),
        requests=sum(each.requests for each in timings),
    )
