"""Task: the definition of a task outside the engine. `jobs/tasks/__init__.py` lists all tasks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from jobs.tasks.inputs import Input
from jobs.tasks.parameters import Parameters

Output = Literal[
    "labels",
    "entities",
    "words",
    "texts",
    "vectors",
    "ranking",
    "scores",
    "answers",
    "boxes",
    "masks",
    "picture",
    "keypoints",
    "transcript",
    "sound",
    "any",
]
"""How pages show an output: `api/pages/output_rows.py` and `visuals.py`. `any`: depends on its structure."""


def once(parameters: Mapping[str, Any]) -> int:
    """Returns 1: each input is run once for any parameters."""
    return 1


def nothing(parameters: Mapping[str, Any]) -> int:
    """Returns 0: no tokens are generated for any parameters."""
    return 0


BYTES_PER_TOKEN = 4
"""Of a text, on average. A token of English has about four characters, of other languages fewer."""
SPECIAL_TOKENS = 2
"""Tokens that a tokenizer adds to a text."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task. `pipeline` computes its answers; only the engine imports it."""

    name: str
    help: str
    """The output for an input, as a sentence."""
    input: Input
    parameters: type[Parameters]
    example: Mapping[str, Any]
    """A valid request: its `inputs`, and its `parameters` if it has any."""
    output: Output
    pipeline: str
    """The engine's class, as `module:Class`."""
    heads: tuple[str, ...] = ()
    """Ends of the names of the architectures that are trained for the task, as in a `config.json`; empty if
    any model will do. Of several tasks with the same head, `jobs/checkpoints.py` finds the right one."""
    lacking: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Ends of architectures -> the parameters that such models do not have; the first that fits counts."""
    max_inputs: int = 1_000
    """Default of a model's `max_inputs`."""
    writes_files: bool = False
    """Whether an output may contain files, such as pictures (`worker/engine/pipelines/files.py`)."""
    judged_by_media: bool = False
    """Whether `dtype = "auto"` can judge by a folder of the user's media; tasks with texts have ours."""
    onnx: bool = False
    """Whether ONNX Runtime can compute it (`worker/engine/pipelines/text/onnx/`)."""
    aliases: tuple[str, ...] = ()
    """Other names of the task, which `models.toml` may use."""
    passes: Callable[[Mapping[str, Any]], int] = once
    """Returns how many times each input is run with the given parameters."""
    generates: Callable[[Mapping[str, Any]], int] = nothing
    """Returns how many tokens are generated at most for each input with the given parameters."""
    input_tokens: int = 0
    """Tokens of each input, if they do not depend on its size; otherwise 0."""
    bytes_per_token: int = BYTES_PER_TOKEN
    """Bytes of an input for which the model reads one token."""

    def work(self, size: int, inputs: int, parameters: Mapping[str, Any]) -> int:
        """Returns an estimate of the tokens that the model computes for a job, at least 1.

        `size`: the bytes of all its inputs. The estimate is cheap, so it can be made for each submit: it does
        not tokenize, and does not know the length at which the model truncates.
        """
        read = inputs * self.input_tokens or size // self.bytes_per_token + inputs * SPECIAL_TOKENS
        return max(1, read * self.passes(parameters) + inputs * self.generates(parameters))
