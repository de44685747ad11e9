"""GeneratingPipeline: texts generated for rows of one shape, so that no prompt is padded.

The rows of a pass are generated together until the longest has ended. What follows a row's end is padding,
and removed.
"""

from typing import Any

import torch

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.staged import Batch, StagedPipeline, Tensors

DEFAULT_NEW_TOKENS = 256
"""As in transformers, if neither the request nor the model sets it."""


class GeneratingPipeline(StagedPipeline):
    """A StagedPipeline whose model may generate."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        if self.model.can_generate():
            config = self.model.generation_config
            self.new_tokens = config.max_new_tokens or config.max_length or DEFAULT_NEW_TOKENS

    def compute(self, prepared: Prepared) -> tuple[Batch, list[Any]]:
        """See LoadedPipeline."""
        self.steps = 0
        return super().compute(prepared)

    def _generated(self, tensors: Tensors, options: dict[str, Any]) -> torch.Tensor:
        """Returns [rows, sequences for each, tokens], with the prompt if the model decodes only."""
        found = self.model.generate(**tensors, **options)
        tokens: torch.Tensor = found if isinstance(found, torch.Tensor) else found.sequences
        prompt = prompt_of(tensors)
        count = len(tokens) if prompt is None else len(prompt)
        new = tokens.shape[-1] - self._start(
            tokens, prompt
        )  # or more: BLIP changes the prompt that it repeats
        self.steps = max(self.steps, min(new, options.get("max_new_tokens", new)))
        return tokens.reshape(count, -1, tokens.shape[-1])

    def _ended(self, sequences: torch.Tensor, prompt: torch.Tensor | None) -> torch.Tensor:
        """Returns a row's sequences, [sequences, tokens], without the padding after their ends."""
        ends = _as_set(self.model.generation_config.eos_token_id)
        tokens = sequences[0]
        start = self._start(tokens, prompt)
        longest = max(_end(ends, one, start) for one in tokens.tolist())
        return tokens[:, :longest]

    def _start(self, tokens: torch.Tensor, prompt: torch.Tensor | None) -> int:
        """Returns the index of the first generated token: some models repeat the prompt, others do not."""
        if prompt is not None:
            width = prompt.shape[-1]
            if tokens.shape[-1] >= width and bool((tokens[0, :width] == prompt[0]).all()):
                return int(width)
        return 1 if self.model.config.is_encoder_decoder else 0

    def _room(self, prompt: int, parameters: dict[str, Any]) -> int | None:
        """Returns how many tokens the model can add to a prompt of so many; None if it has no limit.

        Raises InvalidRequest if the request wants more, or if there is no room at all.
        """
        self._check_total(prompt, parameters)
        positions = getattr(self.model.config.get_text_config(decoder=True), "max_position_embeddings", None)
        if not isinstance(positions, int) or positions <= 0:
            return None
        room = positions - prompt
        if room <= 0:
            raise InvalidRequest(
                f"the prompt has {prompt} tokens, and the model reads at most {positions - 1}"
            )
        wanted = parameters.get("max_new_tokens")
        if wanted is not None and wanted > room:
            raise InvalidRequest(
                f"max_new_tokens is {wanted}, but prompt and continuation share {positions} tokens, of which"
                f" the prompt has {prompt}",
                pointer="/parameters/max_new_tokens",
            )
        return room

    def _check_total(self, prompt: int, parameters: dict[str, Any]) -> None:
        config = self.model.generation_config
        if "max_new_tokens" in parameters or config.max_new_tokens is not None or config.max_length is None:
            return
        if prompt >= config.max_length:
            raise InvalidRequest(
                f"the prompt has {prompt} tokens, and the model's max_length is {config.max_length}; "
                "give max_new_tokens"
            )


def prompt_of(tensors: Tensors) -> torch.Tensor | None:
    """Returns the tokens that the model continues; None if it is given only images."""
    return tensors.get("decoder_input_ids", tensors.get("input_ids"))


def _end(ends: set[int], tokens: list[int], start: int) -> int:
    """Returns the number of tokens up to the first end at or after the start, the end included."""
    return next((at + 1 for at in range(start, len(tokens)) if tokens[at] in ends), len(tokens))


def _as_set(token: int | list[int] | None) -> set[int]:
    if token is None:
        return set()
    return {token} if isinstance(token, int) else set(token)
