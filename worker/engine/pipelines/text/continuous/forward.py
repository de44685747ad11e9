"""Calls a model with the arguments that it accepts."""

import inspect
from typing import Any

import torch
from transformers.cache_utils import Cache


class Forward:
    """A model's forward pass on top of a cache."""

    def __init__(self, model: Any) -> None:
        self.device: torch.device = model.device
        self.dtype: torch.dtype = model.dtype
        self._model = model
        accepted = inspect.signature(model.forward).parameters
        self._positions = "position_ids" in accepted
        self._options: dict[str, Any] = {"use_cache": True}
        if "logits_to_keep" in accepted:
            self._options["logits_to_keep"] = 1

    def __call__(self, ids: torch.Tensor, mask: Any, positions: torch.Tensor, cache: Cache) -> torch.Tensor:
        """Returns the logits of each row's last token, [rows, vocabulary], as numbers of 32 bits.

        `ids`, `positions`: [rows, tokens]; `cache` is written.
        """
        options = {**self._options, "position_ids": positions} if self._positions else self._options
        logits = self._model(input_ids=ids, attention_mask=mask, past_key_values=cache, **options).logits
        last: torch.Tensor = logits[:, -1].float()
        return last
