"""Fill-mask: words for the masked position in a text."""

from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.encoder import EncoderPipeline, Predicted


class FillMask(EncoderPipeline):
    """Returns `top_k` words for the mask of each text; with several masks, one list for each."""

    architecture = Architecture(transformers.AutoModelForMaskedLM)
    postprocessing = "fill-mask"
    compared_with: ClassVar[dict[str, Any]] = {"top_k": 1}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        if checkpoint.processor.mask_token_id is None:
            raise ConfigurationError(f"model {spec.name!r}: the tokenizer of {spec.source} has no mask token")
        super().__init__(spec, checkpoint)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        samples, parameters = super().warm_up() or ([], {})
        return [f"{self.tokenizer.mask_token} {sample}" for sample in samples], parameters

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        mask = self.tokenizer.mask_token_id
        encoding = self._encode(texts)
        for ids in encoding["input_ids"]:
            if mask not in ids:
                within = f" within the {len(ids)} tokens that are read"
                raise InvalidRequest(
                    f"the text has no {self.tokenizer.mask_token}"
                    + (within if len(ids) == self.info.max_length else "")
                )
        self._check_top_k(parameters)
        return self._rows(texts, encoding, self._postprocess_parameters(parameters))

    def _answer(self, computed: Predicted) -> list[Any]:
        return [
            self.pipeline.postprocess(
                {"input_ids": torch.tensor([ids]), "logits": logits[None]}, **computed.rows.options
            )
            for ids, logits in zip(computed.rows.encoding["input_ids"], computed.outputs, strict=True)
        ]

    def question(self, text: str) -> str:
        """See ComparablePipeline. If the text has no mask, one of its words is masked."""
        if self.tokenizer.mask_token in text:
            return text
        words = text.split()
        # near the start, because a long text is truncated
        words[min(len(words) // 2, 20)] = self.tokenizer.mask_token
        return " ".join(words)

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        entries = output if isinstance(output[0], dict) else [first for first, *_ in output]
        return [entry["token"] for entry in entries]

    def _check_top_k(self, parameters: dict[str, Any]) -> None:
        words = self.model.config.vocab_size
        if "targets" not in parameters and parameters.get("top_k", 1) > words:
            raise InvalidRequest(
                f"top_k exceeds the {words} words of the model's vocabulary", pointer="/parameters/top_k"
            )
