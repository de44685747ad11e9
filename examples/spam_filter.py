"""A scikit-learn model behind Batchline: is a message spam?

Train it, then serve it (`examples/models.toml` names the class and the file):

    .venv/bin/python -m examples.train_spam_filter
    BATCHLINE_MODELS_FILE=examples/models.toml make run

A `.joblib` file is pickle: loading it runs the code in it. Therefore Batchline itself never loads
such files. Here your own class loads a file that you trained and named in `models.toml`; data from
clients is never loaded like this. Do not load such a file if you would not run it as a program.
"""

from pathlib import Path
from typing import Any

import joblib


class SpamFilter:
    """Created once, when the worker starts; then called with every micro-batch."""

    warm_up = ("Are you free for lunch on Friday?", "You won! Claim your free prize now.")

    def __init__(self, source: Path) -> None:
        self.model = joblib.load(source)

    def __call__(self, messages: list[str], threshold: float = 0.5) -> list[dict[str, Any]]:
        """Returns one answer per message, in order: `{"spam": true, "probability": 0.93}`."""
        probabilities = self.model.predict_proba(messages)[:, 1]
        return [{"spam": p >= threshold, "probability": p} for p in probabilities]
