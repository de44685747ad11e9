"""The benchmark's texts: the same in each run, with the documented lengths."""

import math
import statistics

from bench.texts import LONGEST, MEDIAN, SHORTEST, SIGMA, make_texts, vocabulary


def test_texts_are_the_same_each_time() -> None:
    assert make_texts(64) == make_texts(64)
    assert make_texts(64) != make_texts(64, seed=2)


def test_words_are_those_of_the_demo_model() -> None:
    words = set(vocabulary())
    assert len(words) > 1000
    assert {word for text in make_texts(64) for word in text.split()} <= words


def test_lengths_are_log_normal() -> None:
    lengths = [len(text.split()) for text in make_texts(512)]
    assert abs(statistics.median(lengths) - MEDIAN) <= 1
    assert abs(statistics.stdev(map(math.log, lengths)) - SIGMA) < 0.05
    assert min(lengths) == SHORTEST
    assert max(lengths) == LONGEST


def test_order_is_not_that_of_length() -> None:
    lengths = [len(text.split()) for text in make_texts(512)]
    assert abs(statistics.correlation(range(512), lengths)) < 0.2
