"""The texts of the benchmark: always the same, with realistic lengths and word frequencies."""

import json
import math
import random
from pathlib import Path
from statistics import NormalDist

VOCABULARY = Path(__file__).parent.parent / "models" / "sentiment" / "tokenizer.json"

MEDIAN = 20
"""Median number of words."""
SIGMA = 0.9
"""Standard deviation of the logarithm of the number of words."""
SHORTEST, LONGEST = 2, 250

RARITY = 10
"""The word of rank r is drawn with weight 1 / (r + RARITY), similar to English."""


def make_texts(count: int, seed: int = 1) -> list[str]:
    """Returns `count` texts in random order; lengths are quantiles, so any `count` has the distribution."""
    randomness = random.Random(seed)
    lengths = [_words_at((number + 0.5) / count) for number in range(count)]
    randomness.shuffle(lengths)
    words = vocabulary()
    weights = [1 / (rank + RARITY) for rank in range(len(words))]
    return [" ".join(randomness.choices(words, weights, k=length)) for length in lengths]


def _words_at(quantile: float) -> int:
    words = round(math.exp(NormalDist(math.log(MEDIAN), SIGMA).inv_cdf(quantile)))
    return min(max(words, SHORTEST), LONGEST)


def vocabulary() -> list[str]:
    """Returns the whole words in the demo model's vocabulary, the most frequent first."""
    known: dict[str, int] = json.loads(VOCABULARY.read_text(encoding="utf-8"))["model"]["vocab"]
    words = [word for word in sorted(known, key=known.__getitem__) if word.isascii() and word.isalpha()]
    return [word for word in words if len(word) > 1]
