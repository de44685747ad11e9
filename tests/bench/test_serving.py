"""The benchmark does not count answers that are wrong."""

import json

import pytest

from bench.errors import BenchError
from bench.serving import compare

OFFLINE = {0: [0.6, 0.8, 0.0]}


def answer(embedding: list[float]) -> dict[int, str]:
    return {0: json.dumps({"results": [{"output": embedding}]})}


def test_the_same_embedding_is_accepted() -> None:
    compare(answer([0.6, 0.8, 0.00001]), OFFLINE)


@pytest.mark.parametrize(
    "embedding",
    [[0.6, 0.8], [0.6, 0.8, 0.01], [0.6006, 0.8008, 0.0], [-0.6, -0.8, 0.0]],
    ids=["too short", "another angle", "another length", "opposite"],
)
def test_another_embedding_is_not(embedding: list[float]) -> None:
    with pytest.raises(BenchError):
        compare(answer(embedding), OFFLINE)


def test_no_answer_is_not() -> None:
    with pytest.raises(BenchError):
        compare({}, OFFLINE)
