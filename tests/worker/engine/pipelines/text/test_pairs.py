"""Pairs of texts are classified as by transformers, alone and among single texts."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline

LONG = "we waited in the town and the engine was late, the bridge closed; " * 12
INPUTS: list[Any] = [
    {"text": "the late engine", "text_pair": "it was broken"},
    "good!",
    {"text": LONG, "text_pair": "one"},
    {"text": "it was broken", "text_pair": "the late engine"},
    {"text": "a", "text_pair": LONG},
    LONG,
    {"text": "the road", "text_pair": ""},
]


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"function_to_apply": "none", "top_k": None}])
@pytest.mark.parametrize("model", ["text-classification", "roberta", "fnet"])
def test_a_pair_gets_the_labels_it_gets_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    pipeline = load(folder, "text-classification")
    plain = plain_pipeline(folder, "text-classification")
    limit = {"truncation": True, "max_length": pipeline.info.max_length}
    expected = [plain(one if isinstance(one, dict) else [one], **limit, **parameters) for one in INPUTS]
    expected = [
        each if isinstance(one, dict) else each[0] for one, each in zip(INPUTS, expected, strict=True)
    ]
    assert_same(pipeline.run(INPUTS, parameters), expected)
    pairs = [one for one in INPUTS if isinstance(one, dict)]
    alone = [each for one, each in zip(INPUTS, expected, strict=True) if isinstance(one, dict)]
    assert_same(pipeline.run(pairs, parameters), alone)


def test_a_pair_is_one_row_of_both_texts(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("text-classification"), "text-classification")
    # [CLS] good [SEP] bad [SEP], and [CLS] the bridge [SEP]
    prepared = pipeline.prepare([{"text": "good", "text_pair": "bad"}, "the bridge"], {})
    assert prepared.tokens == 5 + 4


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"text": "", "text_pair": "good"}, "the text is empty"),
        ({"text": "good"}, "text_pair is missing"),
        ({"text": "good", "text_pair": 3}, "inputs/text_pair: give a text"),
        ({"text": "good", "text_pair": "bad", "label": "x"}, "'?label'? is unknown"),
        (["good", "bad"], "an input must be a text, not list"),
    ],
)
def test_what_is_no_pair_is_refused(model_folder: ModelFolder, given: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("text-classification"), "text-classification").run(["good", given], {})
