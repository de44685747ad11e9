"""Prompts, continued."""

from typing import Any, ClassVar

import torch

from jobs.errors import InvalidRequest
from worker.pipelines.padding import pad_left
from worker.pipelines.text import TextPipeline

_DEFAULT_NEW_TOKENS = 256
"""As in transformers, where neither the request nor the model says."""

_DEPENDS_ON_PADDING = ("min_length", "no_repeat_ngram_size", "bad_words_ids", "sequence_bias")
"""Settings in a model's generation_config.json whose effect reaches into the padded prompt."""


class TextGeneration(TextPipeline):
    """Each prompt gets its continuation.

    Sampled ones differ from run to run, as one draw serves the whole batch; `do_sample: false` doesn't.
    """

    warm_up_parameters: ClassVar[dict[str, Any]] = {"max_new_tokens": 4, "do_sample": False}

    def _answer(self, texts: list[str], parameters: dict[str, Any]) -> list[Any]:
        prompts, limits = zip(*(self._fit(ids, parameters) for ids in self._tokens(texts)), strict=True)
        ids, mask = pad_left(prompts)
        _, forward, _ = self.pipeline._sanitize_parameters(**parameters)
        batch = {"input_ids": ids, "attention_mask": mask, "prompt_text": texts}
        ours = {"max_new_tokens": max(limits), "pad_token_id": self._padding_token()}
        generated = self.pipeline.forward(batch, **{**self.pipeline._forward_params, **forward, **ours})
        options = self._postprocess_parameters(parameters)
        outputs: list[Any] = []
        for text, prompt, limit, sequences in zip(
            texts, prompts, limits, generated["generated_sequence"], strict=True
        ):
            records: list[Any] = []
            for sequence in sequences:
                new = self._until_end(sequence[ids.shape[1] :].tolist()[:limit])
                result = {
                    "generated_sequence": torch.tensor([[[*prompt, *new]]]),
                    "input_ids": torch.tensor([prompt]),
                    "prompt_text": text,
                }
                records += self.pipeline.postprocess(result, **options)
            outputs.append(records)
        return outputs

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        one = {"max_new_tokens": 1}
        ids, mask = pad_left([self._fit(ids, one)[0] for ids in self._tokens(texts)])
        output = self.model.generate(
            ids.to(self.info.device),
            attention_mask=mask.to(self.info.device),
            pad_token_id=self._padding_token(),
            return_dict_in_generate=True,
            output_logits=True,
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            **one,
        )
        return list(output.logits[0].cpu())

    def _padding_is_harmless(self) -> bool:
        config = self.model.generation_config
        if any(getattr(config, name, None) for name in _DEPENDS_ON_PADDING):
            return False
        return super()._padding_is_harmless()

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        prefix = self.pipeline._preprocess_params.get("prefix") or ""
        rows: list[list[int]] = self.tokenizer([prefix + text for text in texts])["input_ids"]
        if not all(rows):
            raise InvalidRequest("the text has nothing in it that the tokenizer knows")
        return rows

    def _fit(self, prompt: list[int], parameters: dict[str, Any]) -> tuple[list[int], int]:
        """The end of the prompt that leaves room for the new tokens, and their number."""
        new, room = self._new_tokens(prompt, parameters), self.info.max_length
        if room is None or len(prompt) + new <= room:
            return prompt, new
        if new >= room and "max_new_tokens" in parameters:
            raise InvalidRequest(
                f"max_new_tokens is {new}, but prompt and continuation share {room} tokens",
                pointer="/parameters/max_new_tokens",
            )
        new = new if new < room else room // 2
        start = prompt[:1] if prompt[0] == self.tokenizer.bos_token_id and room - new > 1 else []
        return [*start, *prompt[len(prompt) - (room - new - len(start)) :]], new

    def _new_tokens(self, prompt: list[int], parameters: dict[str, Any]) -> int:
        config = self.model.generation_config
        wanted = parameters.get("max_new_tokens", config.max_new_tokens)
        if wanted is not None:
            return int(wanted)
        if config.max_length is None:
            return _DEFAULT_NEW_TOKENS
        if len(prompt) >= config.max_length:
            raise InvalidRequest(
                f"the prompt has {len(prompt)} tokens, and the model's max_length is {config.max_length}; "
                "give max_new_tokens"
            )
        return int(config.max_length) - len(prompt)

    def _until_end(self, tokens: list[int]) -> list[int]:
        """The tokens up to the end-of-text one; what follows is the batch's padding."""
        ends = _as_set(self.model.generation_config.eos_token_id)
        for i, token in enumerate(tokens):
            if token in ends:
                return tokens[: i + 1]
        return tokens

    def _padding_token(self) -> int:
        ends = sorted(_as_set(self.model.generation_config.eos_token_id))
        token = self.tokenizer.pad_token_id
        return int(token) if token is not None else (ends or [0])[0]


def _as_set(token: int | list[int] | None) -> set[int]:
    if token is None:
        return set()
    return {token} if isinstance(token, int) else set(token)
