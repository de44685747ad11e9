"""The command line: train the model, or only score the existing one."""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch

from training.sentiment import data, evaluate, sources
from training.sentiment.run import METRICS_FILE, make

_OUTPUT = Path("models/sentiment")
_CACHE = Path("training/.cache")
# other cores round differently, so the label of a borderline text may change
_TOLERANCE = 0.002


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 if the saved model's score differs from its metrics file."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    split = data.divide(data.read_reviews(sources.unpack_reviews(options.cache)))
    if not options.evaluate_only:
        start = sources.unpack_starting_model(options.cache)
        with tempfile.TemporaryDirectory() as scratch:
            work = options.work or Path(scratch)
            metrics = make(split, start, work, options.output, options.seeds)
        print(json.dumps(metrics, indent=2))
        return 0
    evaluate.check_plain_cases(options.output)
    found = evaluate.saved_accuracy(options.output, split.test)
    print(json.dumps(found, indent=2))
    stated = json.loads((options.output / METRICS_FILE).read_text())["test_accuracy"]
    if abs(found["overall"] - stated["overall"]) > _TOLERANCE:
        print(f"metrics.json has {stated['overall']}, not {found['overall']}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.sentiment", description=__doc__)
    parser.add_argument("--evaluate-only", action="store_true", help="score the saved model")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help="model folder")
    parser.add_argument("--cache", type=Path, default=_CACHE, help="folder for downloads")
    parser.add_argument("--work", type=Path, help="keep trained models here, and continue from them")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="student seeds")
    parser.add_argument("--threads", type=int, default=2, help="threads torch may use")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
