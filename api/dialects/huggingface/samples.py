"""A request as code for Hugging Face's client, which has a method for each task."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api.dialect import Sample, SampleRequest
from api.dialects.samples import KEY_IN_PYTHON, call, literal, python


@dataclass(frozen=True)
class Method:
    """A method of InferenceClient."""

    name: str
    keywords: tuple[str, ...] = ()
    """Parameters of a job that it takes."""
    fields: Mapping[str, str] = field(default_factory=dict)
    """Values of the input -> its arguments. Empty if the input is its first argument."""
    generates: bool = False
    """Whether it takes other parameters in `generate_parameters`."""


_LABELS = ("top_k", "function_to_apply")
_SAMPLING = ("max_new_tokens", "do_sample", "temperature", "top_k", "top_p")
_ANSWERS = ("top_k", "max_answer_len", "handle_impossible_answer", "doc_stride", "max_seq_len")
_ABOUT_IMAGE = {"image": "image", "question": "question"}

METHODS = {
    "text-classification": Method("text_classification", _LABELS),
    "token-classification": Method("token_classification", ("aggregation_strategy", "ignore_labels")),
    "zero-shot-classification": Method(
        "zero_shot_classification", ("candidate_labels", "multi_label", "hypothesis_template")
    ),
    "feature-extraction": Method("feature_extraction", ("normalize", "dimensions")),
    "sentence-similarity": Method(
        "sentence_similarity", fields={"source_sentence": "sentence", "sentences": "other_sentences"}
    ),
    "question-answering": Method(
        "question_answering", _ANSWERS, {"question": "question", "context": "context"}
    ),
    "table-question-answering": Method(
        "table_question_answering", fields={"table": "table", "query": "query"}
    ),
    "fill-mask": Method("fill_mask", ("top_k", "targets")),
    "text-generation": Method(
        "text_generation", (*_SAMPLING, "repetition_penalty", "return_full_text", "seed", "stop")
    ),
    "summarization": Method("summarization", generates=True),
    "translation": Method("translation", ("src_lang", "tgt_lang"), generates=True),
    "image-classification": Method("image_classification", _LABELS),
    "object-detection": Method("object_detection", ("threshold",)),
    "image-segmentation": Method(
        "image_segmentation", ("subtask", "threshold", "mask_threshold", "overlap_mask_area_threshold")
    ),
    "zero-shot-image-classification": Method(
        "zero_shot_image_classification", ("candidate_labels", "hypothesis_template")
    ),
    "automatic-speech-recognition": Method("automatic_speech_recognition"),
    "audio-classification": Method("audio_classification", _LABELS),
    "visual-question-answering": Method("visual_question_answering", ("top_k",), _ABOUT_IMAGE),
    "document-question-answering": Method("document_question_answering", _ANSWERS, _ABOUT_IMAGE),
    "text-to-audio": Method("text_to_speech", ("max_new_tokens", "do_sample", "temperature")),
}
"""By task. The client has none for the others."""

MANY = "feature-extraction"
"""The task whose method takes several inputs; others are called for each."""


def samples(request: SampleRequest) -> Sequence[Sample]:
    """For what the client's method can say."""
    method = METHODS.get(request.spec.task)
    if method is None or (options := _options(method, request.parameters)) is None:
        return ()
    token = f", token={KEY_IN_PYTHON}" if request.has_keys else ""
    client = f'client = InferenceClient("{request.url}/models/{request.spec.name}"{token})'
    inputs = request.inputs if isinstance(request.inputs, list) else [request.inputs]
    if request.spec.task == MANY:
        program = [call("answer = client.feature_extraction", [("text", request.inputs), *options])]
    elif method.fields:
        calls = [_of_fields(method, each, options) for each in inputs]
        if not all(calls):
            return ()
        program = [f"answer = {each}" for each in calls if each]
    elif not all(isinstance(each, str) for each in inputs):
        return ()
    elif len(inputs) == 1:
        program = [f"answer = {_of_one(method, literal(inputs[0]), options)}"]
    else:
        one = _of_one(method, "each", options).replace("\n", "\n    ")
        loop = f"for each in {literal(inputs)}:\n    print({one})"
        return (Sample("huggingface_hub", python(request, _IMPORT, client, loop)),)
    return (Sample("huggingface_hub", python(request, _IMPORT, client, *program, "print(answer)")),)


_IMPORT = "from huggingface_hub import InferenceClient"


def _options(method: Method, parameters: Mapping[str, Any]) -> list[tuple[str, Any]] | None:
    """The arguments for the parameters, or None if the method does not take them all."""
    known = {name: value for name, value in parameters.items() if name in method.keywords}
    others = {name: value for name, value in parameters.items() if name not in known}
    if others and not method.generates:
        return None
    return [*known.items(), *([("generate_parameters", others)] if others else [])]


def _of_one(method: Method, argument: str, options: Sequence[tuple[str, Any]]) -> str:
    shown = ", ".join([argument, *(f"{name}={literal(value)}" for name, value in options)])
    return f"client.{method.name}({shown})"


def _of_fields(method: Method, one: Any, options: Sequence[tuple[str, Any]]) -> str:
    """The call for one input, or "" if it has other values."""
    if not isinstance(one, dict) or one.keys() != method.fields.keys():
        return ""
    return call(f"client.{method.name}", [*((method.fields[name], one[name]) for name in one), *options])
