"""Text classification, token classification, and classification by labels that the client names."""

from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.classification import TEXT_CLASSIFICATION
from worker.engine.pipelines import hypothesis
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.encoding import plain
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.encoder import EncoderPipeline, Encoding, Predicted


class TextClassification(EncoderPipeline):
    """Returns a label for each text or pair of texts, or its `top_k` labels."""

    architecture = Architecture(
        transformers.AutoModelForSequenceClassification, head="ForSequenceClassification"
    )
    postprocessing = "text-classification"
    reads_first_tokens = True
    compared_with: ClassVar[dict[str, Any]] = {"top_k": 1}

    def _check(self, one: Any) -> None:
        if isinstance(one, dict):
            TEXT_CLASSIFICATION.input.check(one, "/inputs")
            super()._check(one["text"])
        else:
            super()._check(one)

    def _encode(self, texts: list[Any], *pairs: list[str], **options: Any) -> Encoding:
        if not any(isinstance(one, dict) for one in texts):
            return super()._encode(texts, *pairs, **options)
        given = list(map(_parts, texts))
        rows: dict[int, dict[str, Any]] = {}
        for count in (1, 2):  # a call of a tokenizer is for texts or for pairs
            places = [at for at, parts in enumerate(given) if len(parts) == count]
            if places:
                columns = map(list, zip(*(given[at] for at in places), strict=True))
                encoded = super()._encode(*columns, **options)
                rows |= {at: {name: encoded[name][row] for name in encoded} for row, at in enumerate(places)}
        return {name: [rows[at][name] for at in range(len(texts))] for name in rows[0]}

    def _answer(self, computed: Predicted) -> list[Any]:
        options = computed.rows.options
        return [self.pipeline.postprocess({"logits": logits[None]}, **options) for logits in computed.outputs]

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline. A model with one label returns only its score."""
        return [entry["score" if self.model.config.num_labels == 1 else "label"] for entry in output]


def _parts(one: Any) -> tuple[str, ...]:
    """The texts of an input. As in transformers, an empty second text is none."""
    if isinstance(one, str):
        return (one,)
    return (one["text"], one["text_pair"]) if one["text_pair"] else (one["text"],)


class TokenClassification(EncoderPipeline):
    """Returns the tokens, or the entities, of each text that have a label."""

    architecture = Architecture(transformers.AutoModelForTokenClassification, head="ForTokenClassification")
    postprocessing = "token-classification"
    compared_with: ClassVar[dict[str, Any]] = {"aggregation_strategy": "none", "ignore_labels": []}

    def _encode(self, texts: list[str], *pairs: list[str], **options: Any) -> Encoding:
        return super()._encode(
            texts,
            *pairs,
            return_special_tokens_mask=True,
            return_offsets_mapping=self.tokenizer.is_fast,
            **options,
        )

    def _answer(self, computed: Predicted) -> list[Any]:
        encoding = computed.rows.encoding
        outputs = []
        for i, (text, logits) in enumerate(zip(computed.rows.inputs, computed.outputs, strict=True)):
            chunk = {
                "sentence": text,
                "logits": logits[None],
                "input_ids": torch.tensor([encoding["input_ids"][i]]),
                "special_tokens_mask": torch.tensor([encoding["special_tokens_mask"][i]]),
                "offset_mapping": [encoding["offset_mapping"][i]] if self.tokenizer.is_fast else None,
            }
            outputs.append(plain(self.pipeline.postprocess([chunk], **computed.rows.options)))
        return outputs

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [entry["entity"] for entry in output]


class ZeroShotClassification(EncoderPipeline):
    """Compares each text with every candidate label: does the text entail that the label is true?"""

    architecture = TextClassification.architecture
    postprocessing = "zero-shot-classification"
    reads_first_tokens = True
    warm_up_parameters: ClassVar[dict[str, Any]] = {"candidate_labels": ["travel", "politics"]}
    compared_with: ClassVar[dict[str, Any]] = {"candidate_labels": ["work", "travel", "food", "sport"]}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        if self.pipeline.entailment_id == -1:
            raise ConfigurationError(
                f"model {spec.name!r}: {spec.source} names no label that starts with 'entail', "
                "so it cannot do zero-shot-classification"
            )

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        labels = parameters["candidate_labels"]
        template = hypothesis.checked(parameters.get("hypothesis_template", "This example is {}."))
        encoding = self._encode_pairs(texts, [template.format(label) for label in labels])
        options = {**self._postprocess_parameters(parameters), "labels": labels}
        return self._rows(texts, encoding, options)

    def _answer(self, computed: Predicted) -> list[Any]:
        options = dict(computed.rows.options)
        labels = options.pop("labels")
        outputs = []
        for i, text in enumerate(computed.rows.inputs):
            rows = computed.outputs[i * len(labels) : (i + 1) * len(labels)]
            chunks = [
                {"candidate_label": label, "sequence": text, "logits": row[None]}
                for label, row in zip(labels, rows, strict=True)
            ]
            outputs.append(self.pipeline.postprocess(chunks, **options))
        return outputs

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return output["labels"][:1]

    def _encode_pairs(self, texts: list[str], hypotheses: list[str]) -> Encoding:
        """Encodes every text with every hypothesis, text by text; only the text may be truncated."""
        limit = self.info.max_length
        try:
            encoding: Encoding = self.tokenizer(
                [text for text in texts for _ in hypotheses],
                hypotheses * len(texts),
                truncation=limit is not None and "only_first",
            )
        except Exception as error:
            if "too short" not in str(error):
                raise
            raise InvalidRequest(f"a label leaves no room for the text in {limit} tokens") from error
        if limit is not None and max(map(len, encoding["input_ids"])) > limit:
            raise InvalidRequest(f"a label leaves no room for the text in {limit} tokens")
        return encoding
