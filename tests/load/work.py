"""What the load is made of, and how answers are judged. No HTTP here, and no locust."""

import math
import random
from typing import Any

from bench.texts import make_texts

PRIORITIES = {"high": 10, "normal": 70, "low": 20}
"""Of a hundred jobs."""

LIST_MEDIAN, LIST_SIGMA, LONGEST_LIST = 8, 1.0, 200
"""Inputs in a list: as texts, most are short and a few are long."""

TOLERANCE = 1e-4
"""By how much numbers may differ that are the same but for the batch in which they were computed."""


class Work:
    """Requests, one after another, alike in every run with the same seed."""

    def __init__(self, seed: object) -> None:
        self._chance = random.Random(str(seed))
        self._texts = make_texts(256)

    def one(self) -> dict[str, Any]:
        """A body with one text."""
        return {"inputs": self._chance.choice(self._texts)}

    def many(self) -> dict[str, Any]:
        """A body with a list of mixed lengths and a priority."""
        drawn = self._chance.lognormvariate(math.log(LIST_MEDIAN), LIST_SIGMA)
        count = min(max(round(drawn), 1), LONGEST_LIST)
        [priority] = self._chance.choices(list(PRIORITIES), list(PRIORITIES.values()))
        return {"inputs": self._chance.choices(self._texts, k=count), "priority": priority}


class Judge:
    """Remembers the first answer to each text: all later ones must be equal, in any batch."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def fault(self, body: dict[str, Any], job: dict[str, Any]) -> str | None:
        """What is wrong with a job that ended, if anything."""
        given = body["inputs"]
        texts = given if isinstance(given, list) else [given]
        if job.get("status") != "succeeded":
            return f"it ended as {job.get('status')}"
        results = job.get("results")
        if not isinstance(results, list) or len(results) != len(texts):
            return f"it has {results and len(results)} results for {len(texts)} inputs"
        right = {"total": len(texts), "succeeded": len(texts), "failed": 0}
        if {name: job["counts"].get(name) for name in right} != right:
            return f"its counts are {job['counts']}"
        for text, result in zip(texts, results, strict=True):
            if result.get("output") is None:
                return f"a result without an output: {result}"
            known = self._known.setdefault(text, result["output"])
            if not alike(known, result["output"]):
                return f"two answers to one text: {known} and {result['output']}"
        return None


def alike(one: Any, other: Any) -> bool:
    """Whether two outputs are the same, but for the last digits of their numbers."""
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[name], other[name]) for name in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= TOLERANCE
    return bool(one == other)
