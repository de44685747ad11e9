"""Teacher and student: the starting weights and the training examples of each."""

import random
from collections.abc import Sequence
from pathlib import Path

from transformers import AutoTokenizer, BertForSequenceClassification, PreTrainedTokenizerBase

from training.sentiment.data import Review
from training.sentiment.learning import Example, fit, positive_probabilities

LABELS = {0: "NEGATIVE", 1: "POSITIVE"}
TEACHER_EPOCHS = 3
STUDENT_EPOCHS = 2
_TEACHER_RATE = 1e-4
_STUDENT_RATE = 2e-4
_SHORTEST_CROP = 4


def load_start(folder: Path) -> tuple[BertForSequenceClassification, PreTrainedTokenizerBase]:
    """Return the complete six-layer model with a new two-label head, and its tokenizer."""
    model = BertForSequenceClassification.from_pretrained(
        folder, id2label=LABELS, label2id={name: number for number, name in LABELS.items()}
    )
    return model, load_tokenizer(folder)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a model folder."""
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(folder)
    return tokenizer


def train_teacher(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    reviews: Sequence[Review],
    seed: int,
) -> None:
    """Fit the six-layer model to the human ratings only."""
    # frozen embeddings keep words that are not in the training texts consistent with the others
    model.bert.embeddings.requires_grad_(False)
    fit(
        model,
        tokenizer,
        [Example(review.text, review.target) for review in reviews],
        epochs=TEACHER_EPOCHS,
        learning_rate=_TEACHER_RATE,
        seed=seed,
        name="teacher",
    )


def train_student(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    seed: int,
) -> None:
    """Fit the small model to the examples from `lessons`."""
    fit(
        model,
        tokenizer,
        examples,
        epochs=STUDENT_EPOCHS,
        learning_rate=_STUDENT_RATE,
        seed=seed,
        name=f"student {seed}",
    )


def lessons(
    teacher: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    reviews: Sequence[Review],
    seed: int,
) -> list[Example]:
    """Return each review with the mean of human and teacher, and one variation with the teacher's answer."""
    texts = [review.text for review in reviews]
    varied = vary(texts, random.Random(seed))
    originals = [
        Example(review.text, (review.target + answer) / 2)
        for review, answer in zip(reviews, positive_probabilities(teacher, tokenizer, texts), strict=True)
    ]
    variations = map(Example, varied, positive_probabilities(teacher, tokenizer, varied))
    return [*originals, *variations]


def vary(texts: Sequence[str], chance: random.Random) -> list[str]:
    """Return for each text a crop of its words, or that joined with a crop of another text."""
    varied = []
    for text in texts:
        other = chance.choice(texts)
        if chance.random() < 0.5:
            varied.append(_crop(text, chance))
        else:
            varied.append(f"{_crop(text, chance)} {_crop(other, chance)}")
    return varied


def _crop(text: str, chance: random.Random) -> str:
    words = text.split()
    length = chance.randint(min(_SHORTEST_CROP, len(words)), len(words))
    start = chance.randint(0, len(words) - length)
    return " ".join(words[start : start + length])
