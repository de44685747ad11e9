"""The complete training run, from split reviews to a written and scored folder."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypedDict

import torch
import transformers
from transformers import BertForSequenceClassification

from training.sentiment import card, distill, evaluate, export, learning, shrink, vocabulary
from training.sentiment.data import Review, Split, clear_only

METRICS_FILE = "metrics.json"
PIECES = 7500
_TEACHER_SEED = 0
# written after all training, so a folder that contains it is complete
_LAST_WRITTEN = "model.safetensors"
_MODEL_FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors")


class StudentScore(TypedDict):
    """The scores of one saved student."""

    seed: int
    development: evaluate.Accuracy
    test: evaluate.Accuracy


def make(split: Split, start: Path, work: Path, output: Path, seeds: Sequence[int]) -> dict[str, Any]:
    """Train one teacher and a student for each seed, and return the figures.

    Writes the student that is best on the development set to `output`, with its card. Models already in
    `work` are not trained again, so that an interrupted run can be continued.
    """
    tokenizer = distill.load_tokenizer(start)
    teacher = _teacher(split, start, work / "teacher")
    folders = {seed: work / f"student-{seed}" for seed in seeds}
    for seed, folder in folders.items():
        if not (folder / _LAST_WRITTEN).exists():
            _make_student(teacher, start, split, seed, folder)
    runs = [
        StudentScore(
            seed=seed,
            development=evaluate.saved_accuracy(folder, split.development),
            test=evaluate.saved_accuracy(folder, split.test),
        )
        for seed, folder in folders.items()
    ]
    # chosen on the development set only; the test set is only for the report
    chosen = max(runs, key=lambda run: run["development"]["overall"])
    _install(folders[chosen["seed"]], output)
    evaluate.check_plain_cases(output)
    metrics = {
        "test_accuracy": evaluate.saved_accuracy(output, split.test),
        "development_accuracy": chosen["development"],
        "baselines_test_accuracy": {
            "majority": evaluate.majority_accuracy(split.train, split.test),
            "tfidf_logistic_regression": evaluate.word_count_accuracy(split.train, split.test),
            "six_layer_teacher": evaluate.accuracy(teacher, tokenizer, split.test),
        },
        "chosen_seed": chosen["seed"],
        "teacher_seed": _TEACHER_SEED,
        "students": runs,
        "reviews": {
            "train": _counts(split.train),
            "development": _counts(split.development),
            "test": _counts(split.test),
        },
        "model": _size(output),
        "bfloat16_training": learning.FAST_BFLOAT16,
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        },
        "command": f"python -m training.sentiment --seeds {' '.join(map(str, seeds))}",
    }
    export.write_json(output / METRICS_FILE, metrics)
    export.write_text(output / "README.md", card.render(metrics))
    return metrics


def _teacher(split: Split, start: Path, folder: Path) -> BertForSequenceClassification:
    """Return the trained teacher, from `folder` if an earlier run stored it there."""
    if not (folder / _LAST_WRITTEN).exists():
        torch.manual_seed(_TEACHER_SEED)
        teacher, tokenizer = distill.load_start(start)
        distill.train_teacher(teacher, tokenizer, split.train, _TEACHER_SEED)
        teacher.save_pretrained(folder)
    return BertForSequenceClassification.from_pretrained(folder)


def _make_student(
    teacher: BertForSequenceClassification, start: Path, split: Split, seed: int, folder: Path
) -> None:
    """Shrink, train and write one student."""
    texts = [review.text for review in split.train]
    tokenizer = distill.load_tokenizer(start)
    pieces = vocabulary.choose(start / "tokenizer.json", texts, PIECES)
    student = shrink.shrink(teacher, tokenizer, pieces, texts[::10])
    export.write_tokenizer(folder, start / "tokenizer.json", pieces)
    examples = distill.lessons(teacher, tokenizer, split.train, seed)
    distill.train_student(student, distill.load_tokenizer(folder), examples, seed)
    export.write_model(folder, student)


def _install(source: Path, output: Path) -> None:
    output.mkdir(parents=True, exist_ok=True)
    for name in _MODEL_FILES:
        shutil.copyfile(source / name, output / name)
        (output / name).chmod(0o644)


def _counts(reviews: Sequence[Review]) -> dict[str, int]:
    """Return the number of reviews in a set, and the numbers of scored ones, in all and per collection."""
    scored = clear_only(reviews)
    own = {
        f"scored_{name}": sum(review.collection == name for review in scored) for name in ("movie", "amazon")
    }
    return {"all": len(reviews), "scored": len(scored), **own}


def _size(folder: Path) -> dict[str, int]:
    files = [folder / name for name in _MODEL_FILES]
    return {
        "bytes": sum(path.stat().st_size for path in files),
        "layers": shrink.LAYERS,
        "feed_forward_neurons": shrink.NEURONS,
        "word_pieces": PIECES,
        "longest_input_tokens": learning.MAX_TOKENS,
    }
