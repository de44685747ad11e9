"""Question answering: the part of a context that answers a question. transformers 5 has no such pipeline."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.question_answering import QUESTION_ANSWERING
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.answer_spans import best_spans, probabilities
from worker.engine.pipelines.text.base import SAMPLES
from worker.engine.pipelines.text.encoder import EncoderPipeline, Predicted

LONGEST_ROW = 384
LONGEST_STRIDE = 128
ANSWER_TOKENS = 15
"""Defaults as in transformers 4."""

MAX_WINDOWS = 1_000
"""Windows that overlap almost completely would be as many as the context has tokens."""


class QuestionAnswering(EncoderPipeline):
    """Returns the `top_k` answers to each question, in the form of the pipeline of transformers 4.

    A context that is too long for one row is read in overlapping windows, one row each.
    """

    architecture = Architecture(
        transformers.AutoModelForQuestionAnswering,
        head=QUESTION_ANSWERING.heads,
        unread=("pooler.",),
    )
    compared_with: ClassVar[dict[str, Any]] = {"top_k": 1}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        if not checkpoint.processor.is_fast:
            raise ConfigurationError(
                f"model {spec.name!r}: the tokenizer of {spec.source} does not say where its tokens are in"
                " the text, which question-answering needs"
            )
        super().__init__(spec, checkpoint)
        # as in transformers 4, where models that pad on the left read the context first
        self._question_first = self.tokenizer.padding_side == "right"

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [{"question": "When was the bridge closed?", "context": sample} for sample in SAMPLES], {}

    def question(self, text: str) -> dict[str, str]:
        """See ComparablePipeline. The start of the text is the question, the whole of it the context."""
        return {"question": " ".join(text.split()[:10]), "context": text}

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [output["answer"]]

    def _check(self, one: Any) -> None:
        QUESTION_ANSWERING.input.check(one, "/inputs")
        for name in ("question", "context"):
            if not one[name].strip():
                raise InvalidRequest(f"the {name} is empty")

    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        longest, stride = self._window(parameters)
        for one in inputs:
            self._check_windows(one, longest, stride)
        questions, contexts = ([one[name] for one in inputs] for name in ("question", "context"))
        encoding = self.tokenizer(
            *((questions, contexts) if self._question_first else (contexts, questions)),
            truncation="only_second" if self._question_first else "only_first",
            max_length=longest,
            stride=stride,
            return_overflowing_tokens=True,
            return_offsets_mapping=True,
        )
        return self._rows(inputs, encoding, parameters)

    def _read(self, output: Any) -> torch.Tensor:
        return torch.stack([output["start_logits"], output["end_logits"]], dim=-1)

    def _answer(self, computed: Predicted) -> list[Any]:
        encoding: Any = computed.rows.encoding
        windows: list[list[tuple[Any, Any]]] = [[] for _ in computed.rows.inputs]
        for row, at in enumerate(encoding["overflow_to_sample_mapping"]):
            windows[at].append((encoding.encodings[row], computed.outputs[row].float().numpy()))
        return [
            self._answers(one["context"], rows, computed.rows.options)
            for one, rows in zip(computed.rows.inputs, windows, strict=True)
        ]

    def _answers(self, text: str, windows: Sequence[tuple[Any, Any]], options: dict[str, Any]) -> Any:
        top_k = options.get("top_k", 1)
        answers: dict[str, dict[str, Any]] = {}
        impossible = 1e6
        for encoding, logits in windows:
            context = self._context(encoding)
            if not context.any():
                return InvalidRequest("the tokenizer finds no tokens in the context")
            # the first special token stands for "no answer"
            allowed = context | (np.array(encoding.ids) == self.tokenizer.cls_token_id)
            start, end = (probabilities(logits[:, side], allowed) for side in (0, 1))
            impossible = min(impossible, float(start[0] * end[0]))
            longest = options.get("max_answer_len", ANSWER_TOKENS)
            # several spans may be the same words
            for span in best_spans(start, end, context, longest, top_k * 2 + 10):
                first, last = self._characters(encoding, span.first, span.last)
                answer = {"score": 0.0, "start": first, "end": last, "answer": text[first:last]}
                answers.setdefault(text[first:last].lower(), answer)["score"] += span.score
        found = list(answers.values())
        if options.get("handle_impossible_answer"):
            found.append({"score": impossible, "start": 0, "end": 0, "answer": ""})
        best = sorted(found, key=lambda answer: -answer["score"])[:top_k]
        return best[0] if len(best) == 1 else best

    def _context(self, encoding: Any) -> Any:
        """Which tokens of a row belong to the context."""
        return np.array([which == int(self._question_first) for which in encoding.sequence_ids])

    def _characters(self, encoding: Any, first: int, last: int) -> tuple[int, int]:
        """The characters of the words that the tokens belong to; of the tokens if there are no words."""
        words = encoding.token_to_word(first), encoding.token_to_word(last)
        which = int(self._question_first)
        begin, end = (None if word is None else encoding.word_to_chars(word, which) for word in words)
        if begin is None or end is None:
            return encoding.offsets[first][0], encoding.offsets[last][1]
        return begin[0], end[1]

    def _window(self, parameters: dict[str, Any]) -> tuple[int, int]:
        """Returns the tokens of a row, and those that two windows share. Raises InvalidRequest."""
        limit = self.info.max_length
        longest = parameters.get("max_seq_len", min(limit or LONGEST_ROW, LONGEST_ROW))
        if limit is not None and longest > limit:
            raise InvalidRequest(
                f"max_seq_len is {longest}, but the model reads {limit} tokens",
                pointer="/parameters/max_seq_len",
            )
        stride = parameters.get("doc_stride", min(longest // 2, LONGEST_STRIDE))
        if stride > longest:
            raise InvalidRequest(
                f"doc_stride ({stride}) is larger than max_seq_len ({longest})",
                pointer="/parameters/doc_stride",
            )
        return int(longest), int(stride)

    def _check_windows(self, one: dict[str, str], longest: int, stride: int) -> None:
        """Refuses a context that does not fit into windows, or only into too many."""
        room = longest - self.tokenizer.num_special_tokens_to_add(pair=True) - self._count(one["question"])
        if room - stride > room // 4:
            return
        context = self._count(one["context"])
        if context <= room:
            return
        if room <= stride:
            raise InvalidRequest(
                f"the question leaves room for {max(room, 0)} tokens of the context in the {longest} of a row"
                f" (max_seq_len), and the windows of the context share {stride} (doc_stride)"
            )
        if (context - stride) / (room - stride) > MAX_WINDOWS:
            raise InvalidRequest(
                f"the context needs more than {MAX_WINDOWS:,} windows, because they share {stride} of their"
                f" {room} tokens; give a smaller doc_stride"
            )

    def _count(self, text: str) -> int:
        return len(self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
