"""Prompts of very different lengths continue in one batch as they would alone."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.tiny.text import POSITIONS

LONG = "we waited in the town and the engine was late , the bridge closed . " * 12
PROMPTS = ["the bridge", LONG, "good", "Anna wrote a letter to the town and", "the the the", "zzz"]
GREEDY = {"do_sample": False, "max_new_tokens": 12}


def one_by_one(folder: Any, parameters: dict[str, Any]) -> list[Any]:
    plain = plain_pipeline(folder, "text-generation")
    plain.tokenizer.model_max_length = POSITIONS
    return [plain(prompt, handle_long_generation="hole", **parameters) for prompt in PROMPTS]


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_full_text": False},
        {"repetition_penalty": 1.7},
        {"repetition_penalty": 0.2},
        {"max_new_tokens": 1},
        {"max_new_tokens": 40},
        {"do_sample": True, "top_k": 1, "temperature": 0.5, "top_p": 0.9},
    ],
)
@pytest.mark.parametrize("model", ["text-generation", "text-generation-that-ends"])
def test_a_batch_continues_as_each_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    parameters = {**GREEDY, **parameters}
    pipeline = load(model_folder(model), "text-generation")
    assert pipeline.layout == "padded"  # type: ignore[attr-defined]
    assert_same(pipeline.run(PROMPTS, parameters), one_by_one(model_folder(model), parameters))


def test_prompts_end_at_different_times(model_folder: ModelFolder) -> None:
    parameters = {**GREEDY, "return_full_text": False}
    outputs = load(model_folder("text-generation-that-ends"), "text-generation").run(PROMPTS, parameters)
    assert len({len(output[0]["generated_text"].split()) for output in outputs}) > 1


def test_a_cut_prompt_keeps_its_end(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("text-generation"), "text-generation")
    parameters = {**GREEDY, "return_full_text": False}
    end = " ".join(LONG.split()[-(POSITIONS - 12) :])
    whole, cut = pipeline.run([LONG, end], parameters)
    assert whole == cut


def test_without_max_new_tokens_what_fits_is_generated(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("text-generation"), "text-generation")
    [[record]] = pipeline.run(["the bridge"], {"do_sample": False, "return_full_text": False})
    assert len(record["generated_text"].split()) == POSITIONS // 2


def test_more_new_tokens_than_positions_are_refused(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("text-generation"), "text-generation")
    with pytest.raises(InvalidRequest, match="max_new_tokens is 48, but prompt and continuation share 48"):
        pipeline.run(["the bridge"], {"max_new_tokens": POSITIONS})


def test_a_models_own_max_length_counts_for_each_prompt(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("text-generation"), "text-generation")
    pipeline.model.generation_config.max_length = 10
    parameters = {"do_sample": False, "return_full_text": False}
    short, longer = pipeline.run(["good", "Anna wrote a letter to"], parameters)
    assert len(short[0]["generated_text"].split()) == 9
    assert len(longer[0]["generated_text"].split()) == 5
    with pytest.raises(InvalidRequest, match="the model's max_length is 10; give max_new_tokens"):
        pipeline.run([LONG], parameters)


def test_settings_that_reach_into_the_padding_forbid_it(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("text-generation"), "text-generation")
    pipeline.model.generation_config.no_repeat_ngram_size = 2
    assert pipeline._find_layout() == "alone"
