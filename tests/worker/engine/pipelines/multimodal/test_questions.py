"""Questions about pictures and pages: each is answered as alone."""

import threading
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.pictures import BROKEN, PICTURES, encoded, opened, picture

VISUAL = "visual-question-answering"
DOCUMENT = "document-question-answering"
QUESTIONS = [
    "is it a bridge ?",
    "was it a town ?",
    "is it late ?",
    "is it not the paper we read in the town ?",
    "the river in winter ! " * 12,
]
INPUTS: list[dict[str, Any]] = [
    {"image": data, "question": text} for data, text in zip(PICTURES, QUESTIONS, strict=True)
]
MORE = [
    *INPUTS,
    {"image": PICTURES[2], "question": QUESTIONS[0]},
    {"image": PICTURES[1], "question": QUESTIONS[0]},
]


def words(count: int) -> list[Any]:
    text = [
        "the",
        "arrived",
        "in",
        "london",
        ".",
        "anna",
        "the",
        "town",
        "house",
        "until",
        "it",
        "was",
        "late",
    ]
    return [[text[i % len(text)], [10 * i, 5 * i, 10 * i + 30, 5 * i + 20]] for i in range(count)]


PAGES: list[dict[str, Any]] = [
    {**one, "word_boxes": words(count)}
    for one, count in zip(MORE[:4] + MORE[5:], (3, 12, 90, 30, 1, 12), strict=True)
]


def answers_of(folder: Path, one: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    """What the pipeline of transformers 4 returned."""
    library: Any = transformers
    model = library.AutoModelForVisualQuestionAnswering.from_pretrained(folder).eval()
    processor = library.AutoProcessor.from_pretrained(folder)
    text = processor.tokenizer(one["question"], return_tensors="pt", truncation=True)
    if model.can_generate():
        del text["token_type_ids"]
    images = processor.image_processor(images=opened(one["image"]), return_tensors="pt")
    with torch.inference_mode():
        if model.can_generate():
            written = model.generate(**text, **images, **{"max_new_tokens": 23, **parameters})
            return [
                {"answer": processor.tokenizer.decode(each, skip_special_tokens=True)} for each in written
            ]
        scores = model(**text, **images).logits.sigmoid()[0]
    best = scores.topk(min(parameters.get("top_k", 5), 7))
    pairs = zip(best.values.tolist(), best.indices.tolist(), strict=True)
    return [{"score": score, "answer": model.config.id2label[label]} for score, label in pairs]


@pytest.mark.parametrize(
    ("model", "parameters"),
    [(VISUAL, {}), (VISUAL, {"top_k": 100}), ("blip-answers", {}), ("blip-answers", {"max_new_tokens": 3})],
)
def test_a_question_about_a_picture_is_answered_as_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    outputs = load(folder, VISUAL).run(MORE, parameters)
    assert_same(outputs, [answers_of(folder, one, **parameters) for one in MORE])
    assert len({str(output) for output in outputs}) > 1


@pytest.mark.parametrize("parameters", [{}, {"top_k": 4, "max_answer_len": 3, "doc_stride": 5}])
@pytest.mark.parametrize("model", [DOCUMENT, "layoutlmv3"])
def test_a_question_about_a_page_is_answered_as_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    plain = plain_pipeline(folder, DOCUMENT)
    if plain.image_processor is not None:
        plain.image_processor.apply_ocr = False
    expected = [plain({**one, "image": opened(one["image"])}, **parameters) for one in PAGES]
    pipeline: Any = load(folder, DOCUMENT)
    assert_same(pipeline.run(PAGES, parameters), expected)
    assert len(pipeline.prepare([PAGES[2]], parameters).work.rows[0]) > 1, "a long page is read in windows"


def test_one_thread_at_a_time_sets_the_tokenizer_s_truncation(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = load(model_folder(DOCUMENT), DOCUMENT)
    active: list[str] = []
    together: list[list[str]] = []
    another = threading.Event()

    def watched(function: Any) -> Any:
        def call(*values: Any, **named: Any) -> Any:
            active.append(function.__name__)
            together.append(list(active))
            if len(active) > 1:
                another.set()
            another.wait(0.1)
            try:
                return function(*values, **named)
            finally:
                active.pop()

        return call

    monkeypatch.setattr(pipeline.tokenizer, "tokenize", watched(pipeline.tokenizer.tokenize))
    monkeypatch.setattr(pipeline.pipeline, "preprocess", watched(pipeline.pipeline.preprocess))
    pipeline.prepare(PAGES[:3], {})
    assert together == [["tokenize"], ["preprocess"]] * 3


@pytest.mark.parametrize("parameters", [{}, {"max_new_tokens": 9}])
def test_a_model_like_donut_writes_its_answer(model_folder: ModelFolder, parameters: dict[str, Any]) -> None:
    folder = model_folder("donut")
    plain = plain_pipeline(folder, DOCUMENT)
    inputs = [one for one in MORE if len(one["question"]) < 99]
    expected = [plain({**one, "image": opened(one["image"])}, **parameters) for one in inputs]
    pipeline: Any = load(folder, DOCUMENT)
    sequences: list[Any] = []
    decode = pipeline.tokenizer.batch_decode

    def noted(tokens: Any, **options: Any) -> Any:
        sequences.append(tokens)
        return decode(tokens, **options)

    pipeline.tokenizer.batch_decode = noted
    assert_same(pipeline.run(inputs, parameters), expected)
    assert len({str(each) for each in sequences}) > 2
    assert pipeline.steps == parameters.get("max_new_tokens", pipeline.steps) > 1


WRONG = [
    (VISUAL, {"image": BROKEN, "question": "is it ?"}, "the image is damaged"),
    (DOCUMENT, {"image": PICTURES[0], "question": "is it ?"}, "send them as word_boxes"),
    (DOCUMENT, {**PAGES[0], "image": BROKEN}, "the image is damaged"),
    (
        DOCUMENT,
        {**PAGES[0], "question": "the river " * 30},
        "the question has 60 tokens and leaves room for 0 of the page",
    ),
    (DOCUMENT, {**PAGES[0], "word_boxes": [["the", [9, 9, 3, 20]]]}, "the box of 'the' must be"),
    ("donut", INPUTS[4], "the prompt has 64 tokens, and the model's max_length is 40"),
]


@pytest.mark.parametrize(("model", "bad", "reason"), WRONG)
def test_a_bad_input_fails_alone(
    model_folder: ModelFolder, model: str, bad: dict[str, Any], reason: str
) -> None:
    pipeline = load(model_folder(model), VISUAL if model == VISUAL else DOCUMENT)
    good = PAGES[:2] if model == DOCUMENT else INPUTS[:2]
    outputs = pipeline.run([good[0], bad, good[1]], {})
    assert isinstance(outputs[1], InvalidRequest)
    assert reason in str(outputs[1])
    assert_same([outputs[0], outputs[2]], [pipeline.run([one], {})[0] for one in good])


@pytest.mark.parametrize(
    ("model", "parameters", "reason"),
    [
        (VISUAL, {"max_new_tokens": 3}, "this one chooses from its labels"),
        ("blip-answers", {"top_k": 3}, "this one writes its answer"),
        ("blip-answers", {"max_new_tokens": 4_000}, "share 24 tokens"),
        (DOCUMENT, {"max_new_tokens": 3}, "this model chooses words of the page"),
        (DOCUMENT, {"max_seq_len": 49}, "reads at most 48 tokens"),
        ("donut", {"top_k": 3}, "this model writes its answer"),
    ],
)
def test_a_parameter_of_other_models_is_refused(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any], reason: str
) -> None:
    pipeline = load(model_folder(model), VISUAL if model in (VISUAL, "blip-answers") else DOCUMENT)
    with pytest.raises(InvalidRequest, match=reason) as refused:
        pipeline.prepare(PAGES[:1], parameters)
    assert refused.value.pointer == f"/parameters/{next(iter(parameters))}"


def test_a_narrow_image_is_not_resized_to_gigabytes(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder(VISUAL), VISUAL)
    [refused] = pipeline.run([{"image": encoded(picture(2_000_000, 1)), "question": "what"}], {})
    assert isinstance(refused, InvalidRequest)
    assert "too narrow" in str(refused)


def test_the_samples_of_the_warm_up_run(model_folder: ModelFolder) -> None:
    for model, task in (
        (VISUAL, VISUAL),
        ("blip-answers", VISUAL),
        (DOCUMENT, DOCUMENT),
        ("donut", DOCUMENT),
    ):
        pipeline: Any = load(model_folder(model), task)
        assert len(pipeline.run(*pipeline.warm_up())) == 1


def test_a_model_of_another_task_is_refused(model_folder: ModelFolder) -> None:
    with pytest.raises(ConfigurationError, match=f"cannot be loaded for {DOCUMENT}"):
        load(model_folder(VISUAL), DOCUMENT)
