"""Text ranking: a cross-encoder scores documents for a query."""

from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.ranking import TEXT_RANKING, pairs
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.base import SAMPLES
from worker.engine.pipelines.text.encoder import EncoderPipeline, Predicted

_ACTIVATIONS = {"Sigmoid": "sigmoid", "Identity": "none"}
"""Activations that a checkpoint may name, and our names for them."""


class TextRanking(EncoderPipeline):
    """Returns a score for each document and its query, like `CrossEncoder.predict` of sentence-transformers.

    Each pair of query and document is one row of a forward pass; the longer of both is truncated first.
    """

    architecture = Architecture(
        transformers.AutoModelForSequenceClassification, head="ForSequenceClassification"
    )
    reads_first_tokens = True
    compared_with: ClassVar[dict[str, Any]] = {"function_to_apply": "sigmoid"}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        labels = checkpoint.model.config.num_labels
        if labels != 1:
            raise ConfigurationError(
                f"model {spec.name!r}: {spec.source} was not trained for text-ranking: "
                f"it has {labels} labels, and a cross-encoder has one"
            )
        self._function = _default_function(spec, checkpoint.model.config)
        super().__init__(spec, checkpoint)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [{"query": "When was the bridge closed?", "document": sample} for sample in SAMPLES], {}

    def question(self, text: str) -> dict[str, str]:
        """See ComparablePipeline. The start of the text is the query, the rest of it the document."""
        words = text.split()
        half = min(len(words) // 2, 10)
        return {"query": " ".join(words[:half] or words), "document": " ".join(words[half:])}

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [output["score"]]

    def _check(self, one: Any) -> None:
        TEXT_RANKING.input.check(one, "/inputs")
        if not one["query"]:
            raise InvalidRequest("the query is empty")

    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        rows = [pair for one in inputs for pair in pairs(one)]
        queries, documents = zip(*rows, strict=True)
        cut = self.info.max_length is not None and "longest_first"
        encoding = self.tokenizer(list(queries), list(documents), truncation=cut)
        return self._rows(inputs, encoding, parameters)

    def _answer(self, computed: Predicted) -> list[Any]:
        options = computed.rows.options
        numbers = torch.cat(computed.outputs).float()
        if options.get("function_to_apply", self._function) == "sigmoid":
            numbers = numbers.sigmoid()
        scores = iter(numbers.tolist())
        return [self._ranked(one, scores, options) for one in computed.rows.inputs]

    def _ranked(self, one: dict[str, Any], scores: Any, options: dict[str, Any]) -> Any:
        entries = []
        for index, ((_, document), score) in enumerate(zip(pairs(one), scores, strict=False)):
            entry: dict[str, Any] = {"index": index, "score": score}
            entries.append(entry | {"document": document} if options.get("return_documents") else entry)
        if "documents" not in one:
            del entries[0]["index"]
            return entries[0]
        if "top_k" not in options:
            return entries
        return sorted(entries, key=lambda entry: -entry["score"])[: options["top_k"]]


def _default_function(spec: ModelSpec, config: Any) -> str:
    """As sentence-transformers wrote it into the checkpoint; else a sigmoid. Raises ConfigurationError."""
    written = getattr(config, "sentence_transformers", None) or {}
    older = getattr(config, "sbert_ce_default_activation_function", None)
    name = str(written.get("activation_fn") or older or "Sigmoid").rpartition(".")[2]
    if name not in _ACTIVATIONS:
        raise ConfigurationError(
            f"model {spec.name!r}: {spec.source} scores with {name}; known: {', '.join(_ACTIVATIONS)}"
        )
    return _ACTIVATIONS[name]
