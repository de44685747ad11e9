"""Rated review snippets and their split into sets; `sources` downloads them."""

import math
import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

_FILES = {
    "movie": "movieReviewSnippets_GroundTruth.txt",
    "amazon": "amazonReviewSnippets_GroundTruth.txt",
}
_SPLIT_SEED = 2014
_TEST_SHARE = 0.15
_DEVELOPMENT_SHARE = 0.10
# raters disagree on the sign of lukewarm texts: these are trained on but not scored
_CLEAR_RATING = 0.5
_TARGET_STEEPNESS = 1.5


@dataclass(frozen=True)
class Review:
    """One snippet with its mean human rating, from -4 to 4; `document` is the text that contains it."""

    text: str
    rating: float
    collection: str
    document: str

    @property
    def target(self) -> float:
        """The target probability of POSITIVE: 0.5 at rating 0, 0.82 at rating 1."""
        return 1.0 / (1.0 + math.exp(-_TARGET_STEEPNESS * self.rating))

    @property
    def label(self) -> int:
        """1 for POSITIVE, 0 for NEGATIVE."""
        return int(self.rating > 0)

    @property
    def clear(self) -> bool:
        """Whether the rating clearly determines the label."""
        return abs(self.rating) > _CLEAR_RATING


@dataclass(frozen=True)
class Split:
    """The three sets; no document (and no text) is in two of them."""

    train: list[Review]
    development: list[Review]
    test: list[Review]


def read_reviews(folder: Path) -> list[Review]:
    """Read both collections in file order.

    If texts differ only in case, spacing or punctuation, only the first is kept.
    """
    reviews: dict[str, Review] = {}
    for collection, filename in _FILES.items():
        for line in _decode((folder / filename).read_bytes()).splitlines():
            if line.count("\t") < 2:
                continue
            identity, rating, text = line.split("\t", 2)
            text = " ".join(text.split())
            letters = re.sub(r"\W+", " ", text.lower()).strip()
            if not letters:
                continue
            # movie snippets have no document number, so each is its own document
            document = identity.split("_")[0] if collection == "amazon" else letters
            reviews.setdefault(letters, Review(text, float(rating), collection, document))
    return list(reviews.values())


def divide(reviews: Sequence[Review]) -> Split:
    """Split each collection by document; the split is the same on every run."""
    split = Split([], [], [])
    for collection in _FILES:
        own = [review for review in reviews if review.collection == collection]
        documents = sorted({review.document for review in own})
        random.Random(_SPLIT_SEED).shuffle(documents)
        test_end = round(len(documents) * _TEST_SHARE)
        development_end = test_end + round(len(documents) * _DEVELOPMENT_SHARE)
        test = set(documents[:test_end])
        development = set(documents[test_end:development_end])
        for review in own:
            if review.document in test:
                split.test.append(review)
            elif review.document in development:
                split.development.append(review)
            else:
                split.train.append(review)
    return split


def clear_only(reviews: Iterable[Review]) -> list[Review]:
    """Return the reviews that are scored."""
    return [review for review in reviews if review.clear]


def _decode(raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252")
