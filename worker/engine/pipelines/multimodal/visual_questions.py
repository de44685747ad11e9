"""Visual question answering: a picture and a question about it.

transformers 5 has the models but no longer their pipeline; this is what the pipeline of transformers 4 did.
"""

import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import transformers

from jobs.errors import InvalidRequest
from jobs.media import encoded
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.multimodal.generating import GeneratingPipeline
from worker.engine.pipelines.multimodal.processors import ImagesAndTexts, limit_length
from worker.engine.pipelines.staged import Row, Tensors
from worker.engine.pipelines.vision.base import decode_for

_TOP_K = 5


class VisualQuestionAnswering(GeneratingPipeline):
    """A classifier returns its `top_k` answers with scores, a generating model the answer that it writes."""

    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForVisualQuestionAnswering,
        head="ForQuestionAnswering",
        processor=ImagesAndTexts,
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.tokenizer = checkpoint.processor.tokenizer
        limit_length(self.tokenizer, self.model)
        self.image_processor = checkpoint.processor.image_processor
        self.writes = self.model.can_generate()
        self._tokenizing = threading.Lock()  # truncation is a state of the tokenizer

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        question = {"image": encoded.decode(LANDSCAPE), "question": "What is in the picture?"}
        return [question], {"max_new_tokens": 4} if self.writes else {}

    def _options(self, parameters: dict[str, Any]) -> dict[str, Any]:
        if "max_new_tokens" in parameters and not self.writes:
            raise InvalidRequest(
                "max_new_tokens is for models that write answers; this one chooses from its labels",
                pointer="/parameters/max_new_tokens",
            )
        if "top_k" in parameters and self.writes:
            raise InvalidRequest(
                "top_k is for models that choose from their labels; this one writes its answer",
                pointer="/parameters/top_k",
            )
        if not self.writes:
            return parameters
        room = self._room(1, parameters)
        return {"max_new_tokens": min(self.new_tokens, room or self.new_tokens), **parameters}

    def _rows(self, one: Any, options: dict[str, Any]) -> list[Row]:
        image = decode_for(self.image_processor, one["image"], self.limits)
        with self._tokenizing:
            text = dict(self.tokenizer(one["question"], return_tensors="pt", truncation=True))
        if self.writes:
            text.pop("token_type_ids", None)  # of a BERT's tokenizer; BLIP does not know them
        try:
            return [Row({**text, **self.image_processor(images=image, return_tensors="pt")})]
        except ValueError as error:
            raise InvalidRequest(f"the image cannot be prepared for the model: {error}") from None

    def _forward(self, tensors: Tensors, options: dict[str, Any]) -> Any:
        if self.writes:
            return self._generated(tensors, options)
        return {"logits": self.model(**tensors).logits}

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: dict[str, Any]) -> Any:
        if self.writes:
            with self._tokenizing:
                written = self.tokenizer.batch_decode(answers[0][0], skip_special_tokens=True)
            return [{"answer": text.strip()} for text in written]
        config = self.model.config
        scores = answers[0]["logits"].float().sigmoid()[0]
        best = scores.topk(min(options.get("top_k", _TOP_K), config.num_labels))
        return [
            {"score": score, "answer": config.id2label[label]}
            for score, label in zip(best.values.tolist(), best.indices.tolist(), strict=True)
        ]
