"""The command line: train the model, or only score the existing one."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import transformers

from training.digits import card, data, learning

_OUTPUT = Path("models/digits")
_TOLERANCE = 0.006
"""Two of the test images; other cores round differently."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Return 0, or 1 if the saved model's score differs from its metrics file."""
    options = _parse(arguments)
    torch.set_num_threads(options.threads)
    train, test = data.divide()
    metrics = options.output / "metrics.json"
    if not options.evaluate_only:
        model = learning.train(train, options.seed)
        model.save_pretrained(options.output)
        learning.processor().save_pretrained(options.output)
        found = {
            "test_accuracy": round(_saved_accuracy(options.output, test), 4),
            "training_accuracy": round(_saved_accuracy(options.output, train), 4),
            "test_images": len(test.labels),
            "training_images": len(train.labels),
            "seed": options.seed,
            "torch": torch.__version__,
            "transformers": transformers.__version__,
        }
        metrics.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        card.write(options.output, found)
        for file in options.output.iterdir():
            file.chmod(0o644)  # the server may run as another user
        print(json.dumps(found, indent=2))
        return 0
    score, stated = _saved_accuracy(options.output, test), json.loads(metrics.read_text())["test_accuracy"]
    print(f"{score:.4f} of {len(test.labels)} test images")
    return int(abs(score - stated) > _TOLERANCE)


def _saved_accuracy(folder: Path, digits: data.Digits) -> float:
    model = transformers.ViTForImageClassification.from_pretrained(folder, local_files_only=True)
    return learning.accuracy(model, digits)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m training.digits", description=__doc__)
    parser.add_argument("--evaluate-only", action="store_true", help="score the saved model")
    parser.add_argument("--output", type=Path, default=_OUTPUT, help="model folder")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads torch may use")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
