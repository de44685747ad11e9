"""Bodies of TEI's calls, and the jobs that they become. Unknown members are ignored, as TEI does.

Texts are always cut at the model's length, as TEI does with `auto_truncate`, so `truncate` changes nothing.
"""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from api.dialects import ranking, vectors
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import JobRequest, NewJob, validate_request

Text = Annotated[str, Meta(min_length=1)]
Texts = Annotated[list[Text], Meta(min_length=1)]
Sequence = Annotated[list[str], Meta(min_length=1, max_length=2)]
"""A text, or a pair of texts that the model reads together."""


class Truncation(msgspec.Struct, frozen=True, kw_only=True):
    """What a request says about texts that are too long."""

    truncate: bool | None = None
    truncation_direction: Literal["right", "Right", "left", "Left"] | None = None

    def check(self) -> None:
        """Raises InvalidRequest for what the models cannot do."""
        if (self.truncation_direction or "").lower() == "left":
            raise InvalidRequest(
                "truncation_direction: only right is supported: the end of a long text is cut",
                pointer="/truncation_direction",
            )


class Prompted(Truncation, frozen=True, kw_only=True):
    """A request whose texts may get the prompt that the model was trained with."""

    prompt_name: str | None = None

    def check(self) -> None:
        """See Truncation."""
        super().check()
        if self.prompt_name:
            raise InvalidRequest(
                "prompt_name: not supported; write the prompt before the text. The default prompt of the"
                " model's files is always used",
                pointer="/prompt_name",
            )


class EmbedRequest(Prompted, frozen=True, kw_only=True):
    """`/embed`"""

    inputs: Text | Texts
    normalize: bool | None = True
    dimensions: Annotated[int, Meta(ge=1)] | None = None

    def job(self, spec: ModelSpec) -> NewJob:
        """A job of the texts. Raises InvalidRequest or Refusal."""
        self.check()
        texts = [self.inputs] if isinstance(self.inputs, str) else self.inputs
        parameters: dict[str, Any] = {"normalize": self.normalize is not False, "encoding": "float"}
        if self.dimensions is not None:
            parameters["dimensions"] = self.dimensions
        return _job(spec, texts, vectors.pooled(spec, parameters))


class RerankRequest(Truncation, frozen=True, kw_only=True):
    """`/rerank`"""

    query: Text
    texts: Annotated[list[str], Meta(min_length=1)]
    raw_scores: bool | None = False
    return_text: bool | None = False

    def job(self, spec: ModelSpec) -> NewJob:
        """A job with an input for each text. Raises InvalidRequest or Refusal."""
        self.check()
        inputs = ranking.pairs(self.query, self.texts, spec)
        parameters = ranking.parameters(raw_scores=bool(self.raw_scores), documents=bool(self.return_text))
        return _job(spec, inputs, parameters)


class PredictRequest(Truncation, frozen=True, kw_only=True):
    """`/predict`: a text, a pair of texts, or a list of these, each in a list of its own."""

    inputs: Text | Annotated[list[Text | Sequence], Meta(min_length=1)]
    raw_scores: bool | None = False

    @property
    def single(self) -> bool:
        """Whether it is one text or pair, whose answer is not in a list of answers."""
        return isinstance(self.inputs, str) or isinstance(self.inputs[0], str)

    def job(self, spec: ModelSpec) -> NewJob:
        """A job of the texts and pairs. Raises InvalidRequest or Refusal."""
        self.check()
        parameters: dict[str, Any] = {"top_k": None}  # all labels
        if self.raw_scores:
            parameters["function_to_apply"] = "none"
        return _job(spec, self._inputs(), parameters)

    def _inputs(self) -> list[Any]:
        if isinstance(self.inputs, str):
            return [self.inputs]
        texts = [each for each in self.inputs if isinstance(each, str)]
        if not texts:
            return [_sequence(each) for each in self.inputs]
        if len(texts) < len(self.inputs) or len(texts) > 2:
            raise InvalidRequest(
                'inputs: a list of texts is one text or a pair; write several as lists: [["a"], ["b", "c"]]',
                pointer="/inputs",
            )
        return [_sequence(texts)]


class Similarity(msgspec.Struct, frozen=True):
    source_sentence: Text
    sentences: Texts


class SimilarityRequest(msgspec.Struct, frozen=True):
    """`/similarity`"""

    inputs: Similarity
    parameters: Prompted | None = None

    def job(self, spec: ModelSpec) -> NewJob:
        """A job of all sentences, the source first; or of one input, for sentence-similarity."""
        if self.parameters is not None:
            self.parameters.check()
        given = self.inputs
        if spec.task == "sentence-similarity":
            return _job(spec, [msgspec.structs.asdict(given)], {})
        texts = [given.source_sentence, *given.sentences]
        return _job(spec, texts, vectors.pooled(spec, {"normalize": True, "encoding": "base64"}))


def _sequence(texts: Any) -> Any:
    return texts[0] if len(texts) == 1 else {"text": texts[0], "text_pair": texts[1]}


def _job(spec: ModelSpec, inputs: list[Any], parameters: dict[str, Any]) -> NewJob:
    ranking.check_count(len(inputs), spec)
    return validate_request(JobRequest(inputs=inputs, parameters=parameters), spec)
