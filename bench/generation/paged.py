"""transformers' own continuous batching, on a paged cache, with each prompt's limit."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from bench.generation.workload import Workload

BLOCKS = 160
"""Blocks of the cache; enough for all prompts at a time. By default they would take most of the memory."""
MOST_TOKENS = 1024
"""Most tokens in a pass; prompts are computed together with the other rows' next tokens."""


class Paged:
    """Generates all prompts with one manager, which is made for each call."""

    def __init__(self, model: str, workload: Workload, attention: str) -> None:
        import torch
        import transformers

        self.workload = workload
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            model, local_files_only=True, dtype=torch.float32, attn_implementation=attention
        )
        self.model = loaded.eval()

    def __call__(self, numbers: Sequence[int]) -> list[list[int]]:
        """Returns the new tokens of these prompts. Raises RuntimeError if the manager fails."""
        import transformers

        most = max(self.workload.limits)
        generation: Any = transformers.GenerationConfig
        settings = generation(
            do_sample=False, max_new_tokens=most, eos_token_id=-1, pad_token_id=0, use_cache=False
        )
        found: dict[str, list[int]] = {}
        with self.model.continuous_batching_context_manager(
            generation_config=settings, continuous_batching_config=_config(), timeout=30
        ) as manager:
            for number in numbers:
                ids = self.tokenizer(self.workload.prompts[number])["input_ids"]
                manager.add_request(ids, str(number), max_new_tokens=self.workload.limits[number])
            while len(found) < len(numbers):
                result = manager.get_result(timeout=1)
                if result is None:
                    if not manager.is_running():
                        raise RuntimeError("its thread ended before all prompts were answered")
                elif result.error:
                    raise RuntimeError(str(result.error))
                elif result.is_finished():
                    found[result.request_id] = list(result.generated_tokens)
        return [found[str(number)] for number in numbers]


def _config() -> Any:
    """Returns the configuration; without `per_request_processors` it would ignore some settings silently."""
    import transformers

    wanted = {"num_blocks": BLOCKS, "max_batch_tokens": MOST_TOKENS, "per_request_processors": True}
    kind: Any = transformers.ContinuousBatchingConfig
    known = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in wanted.items() if name in known})
