"""A call of the client for each task that it knows, a request for each other task, and their models."""

import base64
import io
from collections.abc import Callable
from typing import Any, NamedTuple

from PIL import Image

from jobs.tasks.examples import SUNRISE
from tests.api.dialects.huggingface.tiny_server import Model
from tests.worker.engine.pipelines.pictures import PICTURES
from tests.worker.engine.pipelines.tiny.audio import encoded, sound

PICTURE, SOUND = PICTURES[0], encoded(sound(0.3))
VIDEO = base64.b64decode(SUNRISE.partition(",")[2])
TEXT = "Anna wrote a letter to the town"
MASKED = "the [MASK] closed in [MASK]"
TABLE = {"town": ["london", "paris"], "bridge": ["12", "7"]}
QUESTION: Any = {"question": "who wrote ?", "context": "Anna wrote a letter . We met in London ."}
WORDS: Any = [["the", [100, 100, 200, 150]], ["bridge", [220, 100, 400, 150]], ["late", [500, 100, 600, 150]]]
FEW = {"max_new_tokens": 6}
MASKS = {"pred_iou_thresh": 0.0, "stability_score_thresh": 0.0, "points_per_crop": 3}
GREEDY = "defaults = { do_sample = false, max_new_tokens = 6 }"

MODELS = {
    "text-classification": Model("text-classification", "text-classification"),
    "token-classification": Model("token-classification", "token-classification"),
    "feature-extraction": Model("feature-extraction", "feature-extraction"),
    "org/pooled": Model("feature-extraction", "feature-extraction", 'defaults = { pooling = "mean" }'),
    "sentence-similarity": Model("sentence-similarity", "feature-extraction"),
    "zero-shot-classification": Model("zero-shot-classification", "zero-shot-classification"),
    "question-answering": Model("question-answering", "question-answering"),
    "table-question-answering": Model("table-question-answering", "table-question-answering"),
    "fill-mask": Model("fill-mask", "fill-mask"),
    "text-generation": Model("text-generation", "text-generation", GREEDY),
    "summarization": Model("summarization", "t5"),
    "translation": Model("translation", "t5"),
    "text2text-generation": Model("text2text-generation", "t5"),
    "text-ranking": Model("text-ranking", "text-ranking"),
    "image-classification": Model("image-classification", "image-classification"),
    "object-detection": Model("object-detection", "yolos"),
    "image-segmentation": Model("image-segmentation", "segformer"),
    "mask-generation": Model("mask-generation", "sam"),
    "depth-estimation": Model("depth-estimation", "dpt"),
    "image-feature-extraction": Model("image-feature-extraction", "vit"),
    "keypoint-matching": Model("keypoint-matching", "superglue"),
    "video-classification": Model("video-classification", "videomae"),
    "automatic-speech-recognition": Model("automatic-speech-recognition", "ctc-layer-norm"),
    "audio-classification": Model("audio-classification", "audio-classification"),
    "zero-shot-audio-classification": Model("zero-shot-audio-classification", "clap"),
    "text-to-audio": Model("text-to-audio", "vits"),
    "zero-shot-image-classification": Model(
        "zero-shot-image-classification", "zero-shot-image-classification"
    ),
    "zero-shot-object-detection": Model("zero-shot-object-detection", "zero-shot-object-detection"),
    "visual-question-answering": Model("visual-question-answering", "visual-question-answering"),
    "document-question-answering": Model("document-question-answering", "document-question-answering"),
    "image-text-to-text": Model("image-text-to-text", "git"),
}

Call = Callable[[Any], Any]
"""Of an InferenceClient, whose annotations are narrower than what it sends."""


class Case(NamedTuple):
    """A call, and the input and parameters with which the model itself answers the same."""

    model: str
    call: Call
    inputs: Any
    parameters: dict[str, Any] = {}  # noqa: RUF012
    expected: Callable[[Any], Any] = lambda output: output


def listed(output: Any) -> list[Any]:
    return output if isinstance(output, list) else [output]


def scored(output: Any) -> list[Any]:
    return [
        {"label": label, "score": score}
        for label, score in zip(*map(output.get, ("labels", "scores")), strict=True)
    ]


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


LABELS = ["travel", "politics"]

CASES: list[Case] = [
    Case("text-classification", lambda c: c.text_classification(TEXT), TEXT, {"top_k": None}),
    Case("text-classification", lambda c: c.text_classification(TEXT, top_k=2), TEXT, {"top_k": 2}),
    Case(
        "text-classification",
        lambda c: c.text_classification(TEXT, top_k=1, function_to_apply="sigmoid"),
        TEXT,
        {"top_k": 1, "function_to_apply": "sigmoid"},
    ),
    Case(
        "token-classification",
        lambda c: c.token_classification(TEXT),
        TEXT,
        {"aggregation_strategy": "simple"},
    ),
    Case(
        "token-classification",
        lambda c: c.token_classification(TEXT, aggregation_strategy="none", ignore_labels=["O"]),
        TEXT,
        {"aggregation_strategy": "none", "ignore_labels": ["O"]},
    ),
    Case("feature-extraction", lambda c: c.feature_extraction(TEXT).tolist(), TEXT),
    Case(
        "org/pooled",
        lambda c: c.feature_extraction(TEXT, normalize=True, truncate=True).tolist(),
        TEXT,
        {"pooling": "mean", "normalize": True},
    ),
    Case(
        "sentence-similarity",
        lambda c: c.sentence_similarity(TEXT, other_sentences=["the bridge", "we met"]),
        {"source_sentence": TEXT, "sentences": ["the bridge", "we met"]},
    ),
    Case(
        "zero-shot-classification",
        lambda c: c.zero_shot_classification(TEXT, LABELS, hypothesis_template="it is {} ."),
        TEXT,
        {"candidate_labels": LABELS, "multi_label": False, "hypothesis_template": "it is {} ."},
        scored,
    ),
    Case(
        "zero-shot-classification",
        lambda c: c.zero_shot_classification(TEXT, LABELS, multi_label=True),
        TEXT,
        {"candidate_labels": LABELS, "multi_label": True},
        scored,
    ),
    Case("question-answering", lambda c: c.question_answering(**QUESTION), QUESTION),
    Case(
        "question-answering",
        lambda c: c.question_answering(**QUESTION, top_k=3, max_answer_len=4, align_to_words=True),
        QUESTION,
        {"top_k": 3, "max_answer_len": 4},
    ),
    Case(
        "table-question-answering",
        lambda c: c.table_question_answering(TABLE, "the bridge of paris ?", padding="longest"),
        {"table": TABLE, "query": "the bridge of paris ?"},
    ),
    Case("fill-mask", lambda c: c.fill_mask(MASKED[:12]), MASKED[:12]),
    Case(
        "fill-mask",
        lambda c: c.fill_mask(MASKED[:12], top_k=2, targets=["bridge", "town"]),
        MASKED[:12],
        {"top_k": 2, "targets": ["bridge", "town"]},
    ),
    Case(
        "text-generation",
        lambda c: c.text_generation(TEXT),
        TEXT,
        {"do_sample": False, "max_new_tokens": 6, "return_full_text": False},
        lambda output: output[0]["generated_text"],
    ),
    Case(
        "text-generation",
        lambda c: c.text_generation(
            TEXT, max_new_tokens=8, temperature=0.7, seed=5, return_full_text=True, stop=["we"]
        ),
        TEXT,
        {"max_new_tokens": 8, "do_sample": True, "temperature": 0.7, "seed": 5, "stop": ["we"]},
        lambda output: output[0]["generated_text"],
    ),
    Case(
        "text-generation",
        lambda c: c.text_generation(TEXT, details=True),
        TEXT,
        {**FEW, "do_sample": False, "return_full_text": False, "details": True},
        lambda output: {
            "generated_text": output[0]["generated_text"],
            "details": {"finish_reason": "length", "generated_tokens": 6, "prefill": [], "tokens": []},
        },
    ),
    Case("summarization", lambda c: c.summarization(TEXT), TEXT),
    Case(
        "summarization",
        lambda c: c.summarization(TEXT, generate_parameters=FEW, truncation="longest_first"),
        TEXT,
        FEW,
    ),
    Case(
        "translation",
        lambda c: c.translation(TEXT, src_lang="en", tgt_lang="fr", generate_parameters=FEW),
        TEXT,
        {**FEW, "src_lang": "en", "tgt_lang": "fr"},
    ),
    Case("image-classification", lambda c: c.image_classification(PICTURE), PICTURE),
    Case("image-classification", lambda c: c.image_classification(PICTURE, top_k=2), PICTURE, {"top_k": 2}),
    Case(
        "object-detection",
        lambda c: c.object_detection(PICTURE, threshold=0.1),
        PICTURE,
        {"threshold": 0.1},
    ),
    Case(
        "image-segmentation",
        lambda c: [{**each, "mask": each.mask.tobytes()} for each in c.image_segmentation(PICTURE)],
        PICTURE,
        {},
        lambda output: [{**each, "mask": opened(each["mask"]).tobytes()} for each in output],
    ),
    Case("audio-classification", lambda c: c.audio_classification(SOUND), SOUND),
    Case("audio-classification", lambda c: c.audio_classification(SOUND, top_k=1), SOUND, {"top_k": 1}),
    Case("automatic-speech-recognition", lambda c: c.automatic_speech_recognition(SOUND), SOUND),
    Case(
        "automatic-speech-recognition",
        lambda c: c.automatic_speech_recognition(SOUND, extra_body={"return_timestamps": "char"}),
        SOUND,
        {"return_timestamps": "char"},
    ),
    Case(
        "text-to-audio",
        lambda c: c.text_to_speech("hello", extra_body={"seed": 3}),
        "hello",
        {"seed": 3},
        lambda output: output["audio"],
    ),
    Case(
        "zero-shot-image-classification",
        lambda c: c.zero_shot_image_classification(PICTURE, LABELS),
        PICTURE,
        {"candidate_labels": LABELS},
    ),
    Case(
        "visual-question-answering",
        lambda c: c.visual_question_answering(PICTURE, "is it a bridge ?", top_k=2),
        {"image": PICTURE, "question": "is it a bridge ?"},
        {"top_k": 2},
    ),
    Case(
        "document-question-answering",
        lambda c: c.document_question_answering(PICTURE, "is it late ?", word_boxes=WORDS, top_k=2),
        {"image": PICTURE, "question": "is it late ?", "word_boxes": WORDS},
        {"top_k": 2},
    ),
    Case("image-text-to-text", lambda c: c.image_to_text(PICTURE), {"image": PICTURE}, {}, lambda o: o[0]),
]


def text(data: bytes) -> str:
    return base64.b64encode(data).decode()


class Posted(NamedTuple):
    """A request to a model of whose task the client has no method."""

    model: str
    body: Any
    inputs: Any
    parameters: dict[str, Any] = {}  # noqa: RUF012


RANK = {"query": "the bridge", "documents": ["we met in London", "the bridge was late"]}
POSTED: list[Posted] = [
    Posted("text2text-generation", {"inputs": TEXT, "parameters": FEW}, TEXT, FEW),
    Posted("text-ranking", {"inputs": RANK}, RANK),
    Posted(
        "mask-generation",
        {"inputs": text(PICTURE), "parameters": MASKS},
        PICTURE,
        MASKS,
    ),
    Posted("depth-estimation", PICTURE, PICTURE),
    Posted(
        "depth-estimation",
        {"inputs": text(PICTURE), "parameters": {"return_predicted_depth": True}},
        PICTURE,
        {"return_predicted_depth": True},
    ),
    Posted("image-feature-extraction", PICTURE, PICTURE),
    Posted(
        "keypoint-matching",
        {"inputs": {"images": [text(PICTURE), text(PICTURES[1])]}},
        {"images": [PICTURE, PICTURES[1]]},
    ),
    Posted("video-classification", VIDEO, VIDEO),
    Posted(
        "zero-shot-audio-classification",
        {"inputs": text(SOUND), "parameters": {"candidate_labels": LABELS}},
        SOUND,
        {"candidate_labels": LABELS},
    ),
    Posted(
        "zero-shot-object-detection",
        {"inputs": text(PICTURE), "parameters": {"candidate_labels": LABELS, "threshold": 0.0}},
        PICTURE,
        {"candidate_labels": LABELS, "threshold": 0.0},
    ),
]
