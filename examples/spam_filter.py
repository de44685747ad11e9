"""A scikit-learn model behind Batchline: is a message spam?

Train it, then serve it (`examples/models.toml` names the class and the file):

    .venv/bin/python -m examples.train_spam_filter
    BATCHLINE_MODELS_FILE=examples/models.toml make run

A `.joblib` file is pickle: loading it runs whatever code is in it. That is why Batchline loads no
such file of its own accord. This one is yours: you trained it, you named it in `models.toml`, and
nothing that a client sends is ever loaded like this. Load no such file that you wouldn't run as a
program.
"""

from pathlib import Path
from typing import Any

import joblib


class SpamFilter:
    """Built once, when the worker starts; then called with every micro-batch."""

    warm_up = ("Are you free for lunch on Friday?", "You won! Claim your free prize now.")

    def __init__(self, source: Path) -> None:
        self.model = joblib.load(source)

    def __call__(self, messages: list[str], threshold: float = 0.5) -> list[dict[str, Any]]:
        """One answer per message, in order: `{"spam": true, "probability": 0.93}`."""
        probabilities = self.model.predict_proba(messages)[:, 1]
        return [{"spam": p >= threshold, "probability": p} for p in probabilities]
