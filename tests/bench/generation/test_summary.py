"""From rounds to lines: ratios within a round, equal answers, and what was not measured."""

from bench.generation import table
from bench.generation.offline import ALONE, Offline
from bench.generation.rounds import Round
from bench.generation.served import Server
from bench.generation.summary import Line, Summary, summarize
from bench.generation.timing import Timing
from bench.generation.workload import Workload

MACHINE = {"cpu": "a cpu", "cores": "2", "load before": "0.1", "torch": "2", "transformers": "5"}
WORK = Workload(["a", "b"], [40, 60])
STATIC, SORTED = "static batches of 8", "batches of 16, sorted by limit"


def offline(alone: float, static: float, by_limit: float) -> Offline:
    seconds = {ALONE: alone, STATIC: static, SORTED: by_limit}
    answers = {name: [[1, 2], [3]] for name in seconds} | {STATIC: [[1, 2], [4]]}
    return Offline(1, seconds, answers, ["one two", "three"])


def server(rate: float, problem: str = "") -> Server:
    timing = Timing(requests=5, rate=rate / 2, first_p50=10, first_p95=20, between_p95=3)
    return Server("Batchline", rate, {} if problem else {"2 clients": timing}, 3, 4, problem)


def find(summary: Summary, name: str) -> Line:
    [line] = [each for each in summary.lines if each.name == name]
    return line


def test_ratios_are_taken_within_a_round() -> None:
    rounds = [Round(offline(1.0, 0.5, 0.4), [server(500)]), Round(offline(2.0, 0.8, 1.0), [server(100)])]
    summary = summarize(rounds, WORK, {})
    served = find(summary, "Batchline, 2 clients")
    assert (served.of_alone.least, served.of_alone.most) == (2, 5)
    assert (served.of_static.least, served.of_static.most) == (0.8, 2)
    assert find(summary, "Batchline, 2 clients, streamed").rate.most == 250
    assert find(summary, ALONE).rate.most == 100


def test_answers_are_compared_with_those_of_one_by_one() -> None:
    summary = summarize([Round(offline(1, 1, 1), [server(1)])] * 2, WORK, {})
    assert (find(summary, STATIC).equal, find(summary, STATIC).compared) == (2, 4)
    assert (find(summary, SORTED).equal, find(summary, SORTED).compared) == (4, 4)
    assert (find(summary, "Batchline, 2 clients").equal, find(summary, "Batchline, 2 clients").compared) == (
        6,
        8,
    )


def test_served_words_are_compared_as_tokens() -> None:
    found = Server("Batchline")
    found.compare({0: " one  two", 1: "four"}, ["one two", "three"])
    assert (found.equal, found.compared) == (1, 2)


def test_the_table_shows_streams_and_what_was_not_measured() -> None:
    one = offline(1, 1, 1)
    one.problems["continuous"] = "it is not there"
    summary = summarize([Round(one, [server(100)])], WORK, {"transformers serve": "no matching distribution"})
    text = table.draw(summary, MACHINE, WORK, 1)
    assert "Batchline, 2 clients  " in text
    assert "STREAMS" in text
    assert "NOT MEASURED: continuous: it is not there" in text
    assert "NOT MEASURED: transformers serve: no matching distribution" in text


def test_without_streams_the_whole_answers_are_shown() -> None:
    summary = summarize([Round(offline(1, 1, 1), [server(100, "streams were not measured: 422")])], WORK, {})
    text = table.draw(summary, MACHINE, WORK, 1)
    assert "STREAMS" not in text
    assert "NOT MEASURED: Batchline: streams were not measured: 422" in text
