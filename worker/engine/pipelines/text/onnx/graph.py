"""An exported graph in ONNX Runtime's memory: forward passes on the CPU, in float32."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from worker.engine.pipelines.text.onnx.export import FIRSTS, MASK

MAX_PACKED_TOKENS = 256
"""Most tokens of concatenated rows. Attention computes all pairs of them, also those of different rows, and
hides these: in longer passes that takes more time than a larger pass saves."""

MAX_PADDING = 1.1
"""Rows whose rectangle has at most this many times their own tokens are padded, however many they are."""

_HIDDEN = float(np.finfo(np.float32).min)


class Graph:
    """Runs passes of one model; safe to call from several threads at once."""

    def __init__(self, content: bytes, threads: int, first_position: int) -> None:
        """`first_position`: the number of a text's first position. Raises what onnxruntime raises."""
        import onnxruntime  # an optional extra

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.inter_op_num_threads = 1
        settings.log_severity_level = 3
        # threads that spin take the cores of other passes, of the API and of Redis
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        self._inputs = {each.name for each in self._session.get_inputs()}
        self._first_position = first_position

    def run(self, tensors: dict[str, torch.Tensor], lengths: Sequence[int], *, packed: bool) -> torch.Tensor:
        """Returns the output of rows of these lengths, which are `packed` into one row or padded.

        Raises MemoryError if memory ran out, otherwise RuntimeError.
        """
        given = {name: tensor.numpy() for name, tensor in tensors.items() if name in self._inputs}
        ids = given["input_ids"]
        if "position_ids" not in given:
            given["position_ids"] = self._positions(ids)
        given[MASK] = _blocks(lengths) if packed else _ends(lengths, ids.shape[1])
        if FIRSTS in self._inputs:
            steps = lengths[:-1] if packed else [ids.shape[1]] * (len(lengths) - 1)
            given[FIRSTS] = np.cumsum([0, *steps])
        try:
            [output] = self._session.run(None, given)
        except Exception as error:  # its classes derive from Exception
            text = str(error)
            raise (MemoryError if "allocate" in text or "bad_alloc" in text else RuntimeError)(
                text
            ) from error
        return torch.from_numpy(output)

    def _positions(self, ids: Any) -> Any:
        """As RoBERTa and related models number them: padding ids have no position."""
        if self._first_position == 0:
            return np.broadcast_to(np.arange(ids.shape[1]), ids.shape).copy()
        padding = self._first_position - 1
        words = ids != padding
        return np.cumsum(words, axis=1) * words + padding


def pads_little(rows: int, tokens: int, longest: int) -> bool:
    """Whether rows of so many tokens together are padded rather than concatenated."""
    return rows * longest <= MAX_PADDING * tokens


def _blocks(lengths: Sequence[int]) -> Any:
    """[1, 1, tokens, tokens]: each row's tokens see only each other."""
    rows = np.repeat(np.arange(len(lengths)), lengths)
    return np.where(rows[:, None] == rows, np.float32(0), np.float32(_HIDDEN))[None, None]


def _ends(lengths: Sequence[int], longest: int) -> Any:
    """[rows, 1, 1, tokens] without what is behind a row's end; [1, 1, 1, tokens] if nothing is."""
    if min(lengths) == longest:
        return np.zeros((1, 1, 1, longest), dtype=np.float32)
    seen = np.arange(longest) < np.array(lengths)[:, None]
    return np.where(seen, np.float32(0), np.float32(_HIDDEN))[:, None, None]
