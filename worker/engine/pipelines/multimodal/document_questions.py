"""Document question answering: a page and a question about it.

Models like LayoutLM read the page's words with their boxes, which the client sends: nothing here recognises
characters. They choose a span of words, in windows if the page has many. Models like Donut read the picture,
and write their answer.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import InvalidRequest
from jobs.media import encoded
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.multimodal.generating import GeneratingPipeline
from worker.engine.pipelines.multimodal.processors import PagesAndTexts, limit_length
from worker.engine.pipelines.staged import Row, Tensors
from worker.engine.pipelines.vision.base import decode_for

_OF_WORDS = ("doc_stride", "max_seq_len", "max_answer_len", "handle_impossible_answer", "top_k")
"""Parameters for models that choose words."""
_SPECIAL_TOKENS = 4
"""At most, around a question and the words of a window."""


@dataclass(frozen=True, slots=True)
class Options:
    """A batch's parameters, for the steps of the pipeline and for `generate`."""

    preprocessing: dict[str, Any]
    postprocessing: dict[str, Any]
    generation: dict[str, Any]


class PageModel:
    """Loads a model that chooses words or one that writes; transformers has no class for both."""

    @staticmethod
    def from_pretrained(where: str, **options: Any) -> Any:
        """Raises what transformers raises."""
        known = {name: options[name] for name in ("revision", "trust_remote_code", "local_files_only")}
        config = transformers.AutoConfig.from_pretrained(where, **known)
        if config.model_type == "vision-encoder-decoder":
            return transformers.VisionEncoderDecoderModel.from_pretrained(where, **options)
        return transformers.AutoModelForDocumentQuestionAnswering.from_pretrained(where, **options)


class DocumentQuestionAnswering(GeneratingPipeline):
    """Returns the best answers, each with its score and words; of a model that writes, its one answer."""

    architecture: ClassVar[Architecture] = Architecture(
        PageModel,
        head=("ForQuestionAnswering", "VisionEncoderDecoderModel"),
        processor=PagesAndTexts,
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.tokenizer = checkpoint.processor.tokenizer
        images = checkpoint.processor.image_processor
        if getattr(images, "apply_ocr", False):
            images.apply_ocr = False  # the words are the client's
        self.pipeline: Any = transformers.pipeline(
            "document-question-answering",
            model=self.model,
            tokenizer=self.tokenizer,
            **({} if images is None else {"image_processor": images}),
            device=self.device,
        )
        self.writes = self.model.can_generate()
        self._tokenizing = threading.Lock()  # truncation is a state of the tokenizer, which each call sets
        if not self.writes:
            limit_length(self.tokenizer, self.model)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        page = {"image": encoded.decode(LANDSCAPE), "question": "What is it?"}
        if self.writes:
            return [page], {"max_new_tokens": 4}
        return [{**page, "word_boxes": [["a", [100, 100, 200, 150]], ["hill", [220, 100, 400, 150]]]}], {}

    def _options(self, parameters: dict[str, Any]) -> Options:
        wrong = _OF_WORDS if self.writes else ("max_new_tokens",)
        for name in wrong:
            if name in parameters:
                kind = "writes its answer" if self.writes else "chooses words of the page"
                raise InvalidRequest(
                    f"{name} does not apply: this model {kind}", pointer=f"/parameters/{name}"
                )
        if self.writes:
            return Options({}, {}, parameters)
        before, _, after = self.pipeline._sanitize_parameters(**parameters)
        longest = self.tokenizer.model_max_length
        if before.get("max_seq_len", longest) > longest:
            raise InvalidRequest(
                f"max_seq_len is {before['max_seq_len']}, and the model reads at most {longest} tokens",
                pointer="/parameters/max_seq_len",
            )
        return Options(before, after, {})

    def _rows(self, one: Any, options: Options) -> list[Row]:
        image = decode_for(self.pipeline.image_processor, one["image"], self.limits)
        given = {"image": image, "question": one["question"]}
        try:
            if self.writes:
                windows = list(self.pipeline.preprocess(given))
            else:
                with self._tokenizing:
                    self._check_words(one, options)
                    given["word_boxes"] = one["word_boxes"]
                    windows = list(self.pipeline.preprocess(given, **options.preprocessing))
        except ValueError as error:
            raise InvalidRequest(f"the page cannot be prepared for the model: {error}") from None
        rows = [self._row(window) for window in windows]
        if self.writes:
            self._room(rows[0].tensors["decoder_input_ids"].shape[-1], options.generation)
        return rows

    def _forward(self, tensors: Tensors, options: Options) -> Any:
        if not self.writes:
            found = self.model(**tensors)
            return {"start_logits": found.start_logits, "end_logits": found.end_logits}
        arguments = self.pipeline._prepare_generate_kwargs(options.generation)
        room = self._room(tensors["decoder_input_ids"].shape[-1], options.generation)
        if room is not None and "max_new_tokens" in arguments:
            arguments["max_new_tokens"] = min(arguments["max_new_tokens"], room)
        return self._generated(tensors, arguments)

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Options) -> Any:
        if self.writes:
            sequences = self._ended(answers[0], rows[0].tensors["decoder_input_ids"])
            return self.pipeline.postprocess([{"sequences": sequences}])
        found = [
            {**row.about, **answer, "attention_mask": row.tensors.get("attention_mask")}
            for row, answer in zip(rows, answers, strict=True)
        ]
        return self.pipeline.postprocess(found, **options.postprocessing)

    def _check_words(self, one: dict[str, Any], options: Options) -> None:
        """Raises InvalidRequest for words, boxes or a question that the model could not read."""
        words = one.get("word_boxes")
        if words is None:
            raise InvalidRequest(
                "the model reads the words of the page: send them as word_boxes, a list of [word, [left, top,"
                " right, bottom]] with coordinates from 0 to 1,000; text is not recognised here"
            )
        for word, (left, top, right, bottom) in words:
            if right < left or bottom < top:
                raise InvalidRequest(
                    f"the box of {word[:40]!r} must be [left, top, right, bottom]: it ends before it begins"
                )
        length = options.preprocessing.get("max_seq_len", self.tokenizer.model_max_length)
        stride = options.preprocessing.get("doc_stride", min(length // 2, 256))
        question = len(self.tokenizer.tokenize(one["question"]))
        room = length - question - _SPECIAL_TOKENS
        if room <= stride:
            raise InvalidRequest(
                f"the question has {question} tokens and leaves room for {max(0, room)} of the page; that"
                f" must be more than the {stride} that windows share (doc_stride)"
            )

    def _row(self, window: dict[str, Any]) -> Row:
        tensors = {name: value for name, value in window.items() if isinstance(value, torch.Tensor)}
        about = {name: window[name] for name in ("p_mask", "word_ids", "words")}
        if self.writes:
            tensors = {name: tensors[name] for name in ("inputs", "decoder_input_ids")}
        return Row(tensors, about)
