"""Scoring: a saved model folder, any model on a set of reviews, and two simple baselines."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict

import torch
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertForSequenceClassification,
    PreTrainedTokenizerBase,
    pipeline,
)

from training.sentiment.data import Review, clear_only
from training.sentiment.learning import positive_probabilities

# likely first inputs of a visitor; the model must label them correctly at any accuracy
PLAIN_CASES = {
    "A wonderful film.": "POSITIVE",
    "A dull, badly acted mess.": "NEGATIVE",
}


class Accuracy(TypedDict):
    """Shares of clearly rated reviews that are labelled correctly, from 0 to 1."""

    overall: float
    movie: float
    amazon: float


def accuracy(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    reviews: Sequence[Review],
    *,
    exact: bool = False,
) -> Accuracy:
    """Score a model in memory on the clearly rated reviews among `reviews`."""
    counted = clear_only(reviews)
    texts = [review.text for review in counted]
    answers = positive_probabilities(model, tokenizer, texts, exact=exact)
    return _shares(counted, [int(answer > 0.5) for answer in answers])


def saved_accuracy(folder: Path, reviews: Sequence[Review]) -> Accuracy:
    """Score the model as a user of `folder` gets it: loaded from the files, in float32."""
    model = AutoModelForSequenceClassification.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    return accuracy(model, tokenizer, reviews, exact=True)


def check_plain_cases(folder: Path) -> None:
    """Raise ValueError unless a plain `pipeline` runs in float32 and labels the easy texts correctly."""
    classify = pipeline("text-classification", model=str(folder), truncation=True)
    if classify.model.dtype != torch.float32:
        raise ValueError(f"{folder} runs in {classify.model.dtype}, not in float32")
    for text, expected in PLAIN_CASES.items():
        found = classify(text)[0]["label"]
        if found != expected:
            raise ValueError(f"{folder} labels {text!r} as {found}, not as {expected}")


def majority_accuracy(train: Sequence[Review], test: Sequence[Review]) -> Accuracy:
    """Score a baseline that always returns the label that is more frequent in training."""
    labels = [review.label for review in clear_only(train)]
    commoner = int(2 * sum(labels) > len(labels))
    counted = clear_only(test)
    return _shares(counted, [commoner] * len(counted))


def word_count_accuracy(train: Sequence[Review], test: Sequence[Review]) -> Accuracy:
    """Score TF-IDF over words and word pairs with logistic regression."""
    taught, counted = clear_only(train), clear_only(test)
    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True),
        LogisticRegression(C=10.0, max_iter=1000),
    )
    model.fit([review.text for review in taught], [review.label for review in taught])
    return _shares(counted, model.predict([review.text for review in counted]).tolist())


def _shares(reviews: Sequence[Review], predicted: Sequence[int]) -> Accuracy:
    def share(collection: str | None) -> float:
        hits = [
            review.label == label
            for review, label in zip(reviews, predicted, strict=True)
            if collection in (None, review.collection)
        ]
        return round(sum(hits) / len(hits), 4)

    return Accuracy(overall=share(None), movie=share("movie"), amazon=share("amazon"))
