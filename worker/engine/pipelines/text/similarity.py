"""Sentence similarity: the cosine of two sentences' vectors."""

from itertools import islice
from typing import Any, ClassVar

import torch
from torch.nn.functional import normalize

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.sentence_similarity import SENTENCE_SIMILARITY, sentences
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.base import SAMPLES
from worker.engine.pipelines.text.encoder import Predicted
from worker.engine.pipelines.text.features import FeatureExtraction, pooled


class SentenceSimilarity(FeatureExtraction):
    """Returns the similarity of each sentence with the source sentence, as the Hugging Face API does.

    A model whose files define no pooling uses the mean, as in sentence-transformers.
    """

    has_vectors: ClassVar[bool] = False

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.defaults = {"pooling": checkpoint.trained.defaults.get("pooling", "mean")}

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [{"source_sentence": sample, "sentences": [sample]} for sample in SAMPLES], {}

    def question(self, text: str) -> dict[str, Any]:
        """See ComparablePipeline. The start of the text is the source, the rest of it a sentence."""
        words = text.split()
        half = min(len(words) // 2, 10)
        return {
            "source_sentence": " ".join(words[:half] or words),
            "sentences": [" ".join(words[half:] or words)],
        }

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return output

    def _check(self, one: Any) -> None:
        SENTENCE_SIMILARITY.input.check(one, "/inputs")
        if not all(text for (text,) in sentences(one)):
            raise InvalidRequest("a sentence is empty")

    def _prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        texts = [text for one in inputs for (text,) in sentences(one)]
        return self._rows(inputs, self._encode(texts), parameters)

    def _answer(self, computed: Predicted) -> list[Any]:
        pooling = computed.rows.options.get("pooling", self.defaults["pooling"])
        rows = iter(computed.outputs)
        outputs = []
        for one in computed.rows.inputs:
            vectors = torch.stack([pooled(hidden, pooling) for hidden in islice(rows, len(sentences(one)))])
            directions = normalize(vectors.float(), dim=-1)
            outputs.append((directions[1:] @ directions[0]).tolist())
        return outputs
