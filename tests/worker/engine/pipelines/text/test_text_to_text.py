"""Texts generated in a batch are those that plain transformers generates for each text alone."""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load
from tests.worker.engine.pipelines.tiny.text_to_text import POSITIONS

LONG = "we waited in the town and the engine was late, the bridge closed; " * 12
TEXTS = ["good", LONG, "Anna wrote a letter to the town", "the bridge"]
KEYS = {"summarization": "summary", "translation": "translation", "text2text-generation": "generated"}


@cache
def plain(folder: Path) -> tuple[Any, Any]:
    loaded = transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, dtype=torch.float32)
    return transformers.AutoTokenizer.from_pretrained(folder), loaded.eval()


def one_by_one(folder: Path, texts: list[str], prefix: str = "", **options: Any) -> list[str]:
    tokenizer, model = plain(folder)
    outputs = []
    for text in texts:
        given = tokenizer(prefix + text, truncation=True, return_tensors="pt")
        [tokens] = model.generate(given["input_ids"], attention_mask=given["attention_mask"], **options)
        outputs.append(tokenizer.decode(tokens, skip_special_tokens=True))
    return outputs


def run(pipeline: Any, texts: list[str], parameters: dict[str, Any]) -> list[str]:
    outputs = pipeline.run(texts, parameters)
    assert all(output.keys() == {pipeline.output} for output in outputs)
    return [output[pipeline.output] for output in outputs]


@pytest.mark.parametrize(
    "parameters",
    [
        {"num_beams": 1},
        {"num_beams": 3},
        {"num_beams": 4, "length_penalty": 3.0, "no_repeat_ngram_size": 2},
        {"num_beams": 2, "length_penalty": -2.0, "min_new_tokens": 5},
        {"do_sample": True, "top_k": 1, "temperature": 0.5, "top_p": 0.9, "num_beams": 1},
    ],
)
@pytest.mark.parametrize("model", ["t5", "bart", "marian"])
def test_a_batch_is_generated_as_each_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    pipeline: Any = load(folder, "text2text-generation")
    assert pipeline.layout == "padded"
    parameters = {"max_new_tokens": 14, **parameters}
    outputs = run(pipeline, TEXTS, parameters)
    assert outputs == one_by_one(folder, TEXTS, **parameters)
    assert len({len(output.split()) for output in outputs}) > 1


@pytest.mark.parametrize("model", ["t5", "bart"])
def test_what_a_job_leaves_out_is_as_in_the_models_files(model_folder: ModelFolder, model: str) -> None:
    """For one task alone, for all tasks, or as in transformers 4."""
    folder = model_folder(model)
    every: dict[str, dict[str, Any]] = {
        "t5": {"prefix": "we wrote : ", "max_new_tokens": 8, "num_beams": 2, "early_stopping": True},
        "bart": {"max_new_tokens": 19},
    }
    expected = every[model]
    pipeline = load(folder, "summarization")
    assert pipeline.new_tokens == expected["max_new_tokens"]
    assert run(pipeline, TEXTS, {}) == one_by_one(folder, TEXTS, **expected)
    assert pipeline.steps <= expected["max_new_tokens"]
    longer = {**expected, "max_new_tokens": 30, "num_beams": 1}
    given = {"max_new_tokens": 30, "num_beams": 1}
    assert run(pipeline, TEXTS, given) == one_by_one(folder, TEXTS, **longer)


def test_without_files_it_is_four_beams_of_256_tokens(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("t5"), "text2text-generation")
    assert pipeline.new_tokens == 256
    assert pipeline._options({})["num_beams"] == 4
    assert load(model_folder("marian"), "translation").new_tokens == POSITIONS


def test_languages_choose_the_prefix(model_folder: ModelFolder) -> None:
    folder = model_folder("t5")
    pipeline = load(folder, "translation")
    given: dict[str, Any] = {"max_new_tokens": 9, "num_beams": 1}
    for languages, prefix in [
        ({"src_lang": "en", "tgt_lang": "fr"}, "the paper to paris : "),
        ({"src_lang": "en", "tgt_lang": "de"}, "the paper to london : "),
        ({}, ""),
    ]:
        outputs = run(pipeline, TEXTS, {**given, **languages})
        assert outputs == one_by_one(folder, TEXTS, prefix=prefix, **given)
    with pytest.raises(InvalidRequest, match=r"'translation_en_to_x'; known: translation_en_to_de, trans"):
        pipeline.run(TEXTS, {"src_lang": "en", "tgt_lang": "x"})


def test_languages_choose_the_codes(model_folder: ModelFolder) -> None:
    folder = model_folder("nllb")
    pipeline = load(folder, "translation")
    tokenizer, model = plain(folder)
    seen = set()
    for source, target in [("eng_Latn", "fra_Latn"), ("deu_Latn", "fra_Latn"), ("deu_Latn", "eng_Latn")]:
        tokenizer.src_lang = source
        expected = []
        for text in TEXTS:
            given = tokenizer(text, truncation=True, return_tensors="pt")
            forced = tokenizer.convert_tokens_to_ids(target)
            [tokens] = model.generate(**given, forced_bos_token_id=forced, num_beams=4)
            expected.append(tokenizer.decode(tokens, skip_special_tokens=True))
        assert run(pipeline, TEXTS, {"src_lang": source, "tgt_lang": target}) == expected
        seen.add(tuple(expected))
    assert len(seen) == 3
    with pytest.raises(InvalidRequest, match="no language 'French'; known: eng_Latn, fra_Latn, deu_Latn"):
        pipeline.run(TEXTS, {"tgt_lang": "French"})
    with pytest.raises(InvalidRequest, match="give tgt_lang, the language for the texts; known: eng_Latn"):
        pipeline.run(TEXTS, {})


def test_a_model_of_one_pair_needs_no_languages(model_folder: ModelFolder) -> None:
    pipeline, folder = load(model_folder("marian"), "translation"), model_folder("marian")
    given: dict[str, Any] = {"max_new_tokens": 9, "num_beams": 1}
    outputs = run(pipeline, TEXTS, {**given, "src_lang": "en", "tgt_lang": "de"})
    assert outputs == one_by_one(folder, TEXTS, **given)


@pytest.mark.parametrize("task", KEYS)
def test_the_samples_run_and_the_cost_is_in_tokens(model_folder: ModelFolder, task: str) -> None:
    pipeline: Any = load(model_folder("bart"), task)
    assert pipeline.output == f"{KEYS[task]}_text"
    samples, parameters = pipeline.warm_up()
    assert len(pipeline.run(samples, parameters)) == len(samples) > 1
    # [CLS] good [SEP] and [CLS] the bridge [SEP], for each of two beams
    prepared = pipeline.prepare(["good", "the bridge"], {"num_beams": 2})
    assert (prepared.tokens, prepared.padded) == (2 * (3 + 4), 2 * 2 * 4)


@pytest.mark.parametrize(
    ("text", "parameters", "reason"),
    [
        ("", {}, "the text is empty"),
        (3, {}, "an input must be a text, not int"),
        (
            "good",
            {"max_new_tokens": POSITIONS + 1},
            "max_new_tokens is 65, but the model generates at most 64",
        ),
        (
            "good",
            {"max_new_tokens": 3, "min_new_tokens": 4},
            r"min_new_tokens \(4\) exceeds max_new_tokens \(3\)",
        ),
    ],
)
def test_what_cannot_be_generated_is_refused(
    model_folder: ModelFolder, text: Any, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("bart"), "summarization").run(["good", text], parameters)
    [output] = load(model_folder("bart"), "summarization").run(["good"], {"max_new_tokens": POSITIONS})
    assert output["summary_text"]


def test_settings_that_read_the_padding_forbid_it(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("bart"), "summarization")
    pipeline.model.generation_config.encoder_no_repeat_ngram_size = 2
    assert pipeline._find_layout() == "alone"
