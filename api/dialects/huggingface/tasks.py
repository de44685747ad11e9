"""The shape of each task, as `huggingface_hub.InferenceClient` sends its requests and reads its answers.

A task that is not in SHAPES has the inputs and parameters of `/v1/jobs`, and its answer is the output.
"""

from typing import Any

from api.dialects.huggingface.shapes import Shape


def labels(output: Any) -> Any:
    """Without `top_k` the output is one label instead of a list."""
    return [output] if isinstance(output, dict) else output


def scored_labels(output: Any) -> Any:
    """The labels of zero-shot-classification with their scores, the best first."""
    return [
        {"label": label, "score": score}
        for label, score in zip(output["labels"], output["scores"], strict=True)
    ]


def sampling(parameters: dict[str, Any]) -> dict[str, Any]:
    """In text-generation-inference a temperature, `top_k` or `top_p` asks for sampling by itself."""
    if parameters.get("stop") == []:
        parameters = {name: value for name, value in parameters.items() if name != "stop"}
    drawn = "top_k" in parameters or any(parameters.get(name, 1) != 1 for name in ("temperature", "top_p"))
    return {"do_sample": True, **parameters} if drawn else parameters


def with_details(output: Any) -> Any:
    """The details of a text, if they were asked for. Its tokens are not kept, so their lists are empty."""
    if not isinstance(output, list) or not output or "details" not in output[0]:
        return output
    details = output[0]["details"]
    shown = {name: details.get(name) for name in ("finish_reason", "generated_tokens")}
    return [{**output[0], "details": {**shown, "prefill": [], "tokens": []}}]


_TEXT_TO_TEXT = Shape(
    only={"truncation": ("longest_first", "only_first"), "clean_up_tokenization_spaces": (False,)},
    listed=True,
)

SHAPES: dict[str, Shape] = {
    "text-classification": Shape(defaults={"top_k": None}, output=labels, listed=True),
    "token-classification": Shape(defaults={"aggregation_strategy": "simple"}),
    "zero-shot-classification": Shape(output=scored_labels),
    "feature-extraction": Shape(
        beside=(
            "normalize",
            "pooling",
            "encoding",
            "encoding_format",
            "dimensions",
            "prompt_name",
            "truncate",
            "truncation_direction",
        ),
        renamed={"encoding_format": "encoding"},
        only={"truncate": (True,), "truncation_direction": ("right", "Right")},
    ),
    "question-answering": Shape(only={"align_to_words": (True,)}),
    "table-question-answering": Shape(
        only={"sequential": (False,), "truncation": (True,)},
        ignored=("model", "padding"),  # the client sends its own argument `model`
    ),
    "text-generation": Shape(
        only={
            "adapter_id": (),
            "best_of": (1,),
            "decoder_input_details": (False,),
            "frequency_penalty": (0,),
            "top_n_tokens": (0,),
            "typical_p": (1,),
            "watermark": (False,),
        },
        defaults={"return_full_text": False},
        adjusted=sampling,
        output=with_details,
        streams=True,
    ),
    "summarization": _TEXT_TO_TEXT,
    "translation": _TEXT_TO_TEXT,
    "text2text-generation": _TEXT_TO_TEXT,
    "text-to-audio": Shape(body="audio"),
    "visual-question-answering": Shape(parts=("image", "question"), medium="image"),
    "document-question-answering": Shape(moved=("word_boxes",), medium="image"),
    "image-text-to-text": Shape(medium="image"),
}
"""By task."""

_PLAIN = Shape()


def shape_of(task: str) -> Shape:
    """The shape of a task, for any task."""
    return SHAPES.get(task, _PLAIN)
