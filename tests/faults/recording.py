"""A pipeline that writes every input to a file, outside Redis, before it processes the input."""

import os
import time
from pathlib import Path
from typing import Any

from tests.worker.poison import Poison


class Recording(Poison):
    """Inputs are `NONCE` or `NONCE HARM`, where HARM is one of the poison pipeline's texts.

    An output contains the nonce of its input, so that no answer can be confused with another's, and the
    process id of its engine, so that runs can be distinguished.
    """

    def __init__(self, source: Path | None = None, seconds: float = 0.0, record: str = "") -> None:
        super().__init__(source, seconds)
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, inputs: list[str], factor: float = 1.0) -> list[Any]:
        if set(inputs) <= set(self.warm_up):
            return super().__call__(inputs, factor)
        now, pid = time.monotonic(), os.getpid()
        nonces = [text.partition(" ")[0] for text in inputs]
        # one write, atomic because the file is opened for appending; the kernel keeps it after a kill
        os.write(self._record, "".join(f"{now:.6f} {pid} {nonce}\n" for nonce in nonces).encode())
        outputs = super().__call__([text.partition(" ")[2] or text for text in inputs], factor)
        return [
            {"nonce": nonce, "engine": pid, **output} if isinstance(output, dict) else output
            for nonce, output in zip(nonces, outputs, strict=True)
        ]
