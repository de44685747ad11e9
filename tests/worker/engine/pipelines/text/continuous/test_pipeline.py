"""Rows that join and leave at any step are continued as each alone."""

from typing import Any, cast

import pytest
import torch

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from tests.worker.engine.pipelines.text.continuous.rolling import Request, roll
from tests.worker.engine.pipelines.tiny.text import POSITIONS
from worker.engine.pipelines.text.continuous.pipeline import ContinuousTextGeneration

MODELS = ["text-generation-that-ends", "llama", "mistral-with-windows", "olmo-with-some-windows"]
LONG = "we waited in the town and the engine was late , the bridge closed . " * 2
PROMPTS = ["the bridge", LONG, "good", "Anna wrote a letter to the town and", "the the the", "zzz", "late"]
SETTINGS: list[dict[str, Any]] = [
    {"max_new_tokens": 12},
    {"max_new_tokens": 9, "return_full_text": False},
    {"max_new_tokens": 14, "repetition_penalty": 1.7},
    {"max_new_tokens": 1},
    {"max_new_tokens": 20, "repetition_penalty": 0.2},
    {"max_new_tokens": 7, "do_sample": True, "top_k": 1, "temperature": 0.5, "top_p": 0.9},
]
DRAWN: dict[str, Any] = {"max_new_tokens": 12, "do_sample": True, "temperature": 2.0, "seed": 7}


@pytest.fixture(scope="module")
def pipelines(model_folder: ModelFolder) -> dict[str, ContinuousTextGeneration]:
    return {}


@pytest.fixture
def pipeline(
    request: pytest.FixtureRequest,
    pipelines: dict[str, ContinuousTextGeneration],
    model_folder: ModelFolder,
) -> ContinuousTextGeneration:
    """A model that is shared by the tests; by default a Llama."""
    name: str = getattr(request, "param", "llama")
    if name not in pipelines:
        loaded = load(model_folder(name), "text-generation")
        pipelines[name] = cast(ContinuousTextGeneration, loaded)
    return pipelines[name]


def greedy(count: int) -> list[Request]:
    return [
        (PROMPTS[at % len(PROMPTS)], {"do_sample": False, **SETTINGS[at % len(SETTINGS)]})
        for at in range(count)
    ]


def test_a_row_counts_the_tokens_of_its_prompt(pipeline: ContinuousTextGeneration) -> None:
    row = pipeline.row(LONG, {"max_new_tokens": 3})
    assert row.prompt_tokens == len(pipeline.tokenizer(LONG)["input_ids"])


@pytest.mark.parametrize("pipeline", MODELS, indirect=True)
def test_every_row_is_continued_as_alone(
    request: pytest.FixtureRequest, pipeline: ContinuousTextGeneration, model_folder: ModelFolder
) -> None:
    assert pipeline.slots == 64
    plain = plain_pipeline(model_folder(request.node.callspec.params["pipeline"]), "text-generation")
    plain.tokenizer.model_max_length = POSITIONS
    requests = greedy(14)
    answers = roll(pipeline, requests)
    for (prompt, parameters), answer in zip(requests, answers, strict=True):
        assert answer.output == plain(prompt, handle_long_generation="hole", **parameters)


@pytest.mark.parametrize("pipeline", MODELS, indirect=True)
def test_the_parts_of_a_text_are_the_text(pipeline: ContinuousTextGeneration) -> None:
    requests = [(prompt, {**parameters, "return_full_text": False}) for prompt, parameters in greedy(8)]
    for (_, parameters), answer in zip(requests, roll(pipeline, requests), strict=True):
        assert "".join(answer.parts) == answer.output[0]["generated_text"]
        assert answer.tokens <= parameters["max_new_tokens"]
        assert len(answer.parts) <= answer.tokens


@pytest.mark.parametrize("parameters", [DRAWN, {**DRAWN, "top_k": 9}, {**DRAWN, "repetition_penalty": 1.3}])
def test_a_seed_draws_the_same_tokens_beside_any_neighbours(
    pipeline: ContinuousTextGeneration, parameters: dict[str, Any]
) -> None:
    [alone] = roll(pipeline, [("the bridge", parameters)])
    others: list[Request] = [("good", {**parameters, "seed": 8}), *greedy(5), ("late", {**DRAWN, "top_k": 3})]
    for seed in range(2):
        beside = roll(pipeline, [("the bridge", parameters), *others], seed)
        assert beside[0].output == alone.output
    assert roll(pipeline, [("the bridge", {**parameters, "seed": 8})])[0].output != alone.output


def test_without_a_seed_tokens_differ(pipeline: ContinuousTextGeneration) -> None:
    parameters = {**DRAWN}
    del parameters["seed"]
    one, other = roll(pipeline, [("the bridge", parameters)] * 2)
    assert one.output != other.output


def test_a_batch_draws_the_same_tokens_for_a_seed(pipeline: ContinuousTextGeneration) -> None:
    """As models without continuous batching do."""
    state = torch.get_rng_state()
    alone = pipeline.run(["the bridge"], DRAWN)
    assert pipeline.run(["good", "the bridge", "late"], DRAWN)[1:2] == alone
    assert pipeline.run(["the bridge"], {**DRAWN, "seed": 8}) != alone
    assert torch.equal(torch.get_rng_state(), state)


def test_a_text_ends_before_a_stop_string(pipeline: ContinuousTextGeneration) -> None:
    """It may begin and end within words, and span several tokens."""
    parameters = {"do_sample": False, "max_new_tokens": 12, "return_full_text": False}
    [[whole]] = pipeline.run(["the bridge"], parameters)
    words = whole["generated_text"].split()
    stop = f"{words[3][-1]} {words[4]} {words[5][0]}"
    before = whole["generated_text"][: whole["generated_text"].index(stop)]
    stopping = {**parameters, "stop": ["never that", stop]}
    answer, _ = roll(pipeline, [("the bridge", stopping), ("good", parameters)])
    assert answer.output == [{"generated_text": before}]
    assert answer.tokens == 6
    assert "".join(answer.parts) == before
    assert pipeline.run(["good", "the bridge"], stopping)[1] == answer.output
    [full] = roll(pipeline, [("the bridge", {**stopping, "return_full_text": True})])
    assert full.output == [{"generated_text": "the bridge" + before}]


def test_a_batch_stops_when_all_its_texts_have(pipeline: ContinuousTextGeneration) -> None:
    parameters = {"do_sample": False, "max_new_tokens": 30, "stop": [" "]}
    pipeline.run(["the bridge", "good"], parameters)
    assert pipeline.steps < 5


def test_a_row_that_leaves_frees_its_slot_and_disturbs_none(pipeline: ContinuousTextGeneration) -> None:
    requests = greedy(5)
    expected = [answer.output for answer in roll(pipeline, requests)]
    rows = [pipeline.row(*request) for request in requests]
    withdrawn = [pipeline.row(LONG, {"max_new_tokens": 20, "do_sample": False}) for _ in range(3)]
    order = [withdrawn[0], *rows[:3], withdrawn[1], *rows[3:], withdrawn[2]]
    assert all(map(pipeline.fits, order))
    pipeline.join(order)
    pipeline.leave(withdrawn[1])  # before its first token was reported
    done = {id(one.row) for one in pipeline.step() if one.done}
    for row in (withdrawn[0], withdrawn[2]):
        pipeline.step()
        pipeline.leave(row)
        pipeline.leave(row)  # once more has no effect
    while len(done) < len(rows):
        progress = pipeline.step()
        assert progress
        assert not {id(one.row) for one in progress} & {id(row) for row in withdrawn}
        done |= {id(one.row) for one in progress if one.done}
    assert [pipeline.output(row) for row in rows] == expected
    assert pipeline.step() == []


def test_a_row_that_is_no_number_spoils_no_later_one(pipeline: ContinuousTextGeneration) -> None:
    """Neither one that moves to its slot nor one that joins there."""
    last: Request = ("good", {"max_new_tokens": 20, "do_sample": False})
    requests = [last, *greedy(5)]
    expected = [answer.output for answer in roll(pipeline, requests)]
    long = "Anna wrote a letter to the town and " * 3
    rows = [pipeline.row(long, {"max_new_tokens": 22, "do_sample": False}) for _ in range(5)]
    rows.append(pipeline.row(*last))
    pipeline.join(rows)
    assert [row.slot for row in rows] == list(range(6))
    with torch.inference_mode():
        for layer in pipeline._decoder._cache.layers:
            layer.keys[:4, :, : len(rows[0].prompt)] = float("nan")
            layer.values[:4, :, : len(rows[0].prompt)] = float("nan")
    for row in rows[:4]:
        pipeline.leave(row)
    while not any(one.done for one in pipeline.step() if one.row is rows[5]):
        assert rows[4].slot >= 0  # the longer one, because of which more positions are read
    pipeline.leave(rows[4])
    assert pipeline.output(rows[5]) == expected[0]
    assert [answer.output for answer in roll(pipeline, requests)] == expected


def test_rows_wait_for_a_slot_and_for_memory(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("llama"), "text-generation", max_batch_items=3)
    assert pipeline.slots == 3
    row, *others = (pipeline.row("the bridge", {"max_new_tokens": 4, "do_sample": False}) for _ in range(4))
    assert [pipeline.fits(one) for one in others] == [True, True, True]
    assert not pipeline.fits(row)
    pipeline.join(others)
    assert not pipeline.fits(row)
    pipeline.leave(others[0])
    assert pipeline.fits(row)

    # two words and four new ones are six positions each
    pipeline._decoder._max_positions = 12
    pipeline.leave(others[1])
    assert pipeline.fits(row)
    long = pipeline.row("the bridge", {"max_new_tokens": 20, "do_sample": False})
    pipeline.leave(row)
    assert not pipeline.fits(long)
    pipeline.leave(others[2])
    assert pipeline.fits(long)  # alone it may have more; otherwise it would wait forever


def test_memory_stays_within_the_bound_and_answers_the_same(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = load(model_folder("llama"), "text-generation")
    expected = [answer.output for answer in roll(pipeline, greedy(12))]
    decoder = pipeline._decoder
    decoder._max_positions = 130
    sizes: list[int] = []
    resize = decoder._cache.resize

    def measured(slots: int, length: int, rows: int) -> None:
        sizes.append(slots * length)
        resize(slots, length, rows)

    monkeypatch.setattr(decoder._cache, "resize", measured)
    decoder._cache.slots = decoder._cache.length = 0  # as at the start
    assert [answer.output for answer in roll(pipeline, greedy(12))] == expected
    assert len(sizes) > 2
    assert max(sizes) <= 130


def test_first_tokens_are_reported_before_the_next_step(pipeline: ContinuousTextGeneration) -> None:
    rows = [pipeline.row("good", {"max_new_tokens": 5, "do_sample": False}) for _ in range(3)]
    pipeline.join(rows[:1])
    assert [one.tokens for one in pipeline.step()] == [1]
    assert [one.tokens for one in pipeline.step()] == [2]
    pipeline.join(rows[1:2])
    assert [(one.row, one.tokens) for one in pipeline.step()] == [(rows[1], 1)]
    pipeline.join(rows[2:])  # rows that join at every step delay the others by one only
    assert {one.row: one.tokens for one in pipeline.step()} == {rows[0]: 3, rows[1]: 2, rows[2]: 2}
    for row in rows:
        pipeline.leave(row)


def test_bad_inputs_are_refused_as_in_a_batch(pipeline: ContinuousTextGeneration) -> None:
    with pytest.raises(InvalidRequest, match="the text is empty"):
        pipeline.row("", {})
    with pytest.raises(InvalidRequest, match="max_new_tokens is 48"):
        pipeline.row("the bridge", {"max_new_tokens": POSITIONS})
    with pytest.raises(InvalidRequest, match="an input must be a text, not int"):
        pipeline.row(7, {})


def test_a_row_whose_processor_fails_leaves_alone(pipeline: ContinuousTextGeneration) -> None:
    def fail(*_: Any) -> torch.Tensor:
        raise ValueError("no such token")

    good, bad = (pipeline.row("good", {"max_new_tokens": 4, "do_sample": False}) for _ in range(2))
    pipeline.join([bad, good])
    pipeline.step()
    bad.choice.own.append(fail)
    bad.choice._tokens = torch.zeros(1, 9, dtype=torch.long)
    errors = {one.row: one.error for one in pipeline.step()}
    assert str(errors[bad]) == "no such token"
    assert errors[good] is None
    assert [one.row for one in pipeline.step()] == [good]
    pipeline.leave(good)


def test_a_text_that_cannot_be_decoded_fails_alone(pipeline: ContinuousTextGeneration) -> None:
    def fail(tokens: list[int]) -> str:
        raise ValueError(f"no text for {len(tokens)} tokens")

    request: Request = ("good", {"max_new_tokens": 4, "do_sample": False})
    [expected] = roll(pipeline, [request])
    good, bad = pipeline.row(*request), pipeline.row(*request)
    bad.stream.decode = fail
    pipeline.join([good, bad])
    progress = pipeline.step()
    assert {one.row: str(one.error or "") for one in progress} == {good: "", bad: "no text for 1 tokens"}
    while not any(one.done for one in progress):
        progress = pipeline.step()
    assert pipeline.output(good) == expected.output
    assert not pipeline._rows
