"""Prompts that share what they begin with, and long ones in pieces, are continued as if computed whole."""

from collections.abc import Iterator
from typing import Any, cast

import pytest
import torch

from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from tests.worker.engine.pipelines.text.continuous.rolling import Request, roll
from worker.engine.pipelines.text.continuous import prompts
from worker.engine.pipelines.text.continuous.pipeline import ContinuousTextGeneration
from worker.engine.pipelines.text.continuous.prefixes import Prefixes

MODELS = ["text-generation-that-ends", "llama", "mistral-with-windows", "olmo-with-some-windows"]
SHARED = "we waited in the town and the engine was late ,"  # 11 tokens
ENDINGS = ["", "the bridge closed", "good", "Anna wrote a letter to the town and we", "the the", "zzz ! !"]
GREEDY: dict[str, Any] = {"max_new_tokens": 8, "do_sample": False}
DRAWN: dict[str, Any] = {"max_new_tokens": 8, "do_sample": True, "temperature": 2.0, "seed": 7}


class Counted:
    """A pipeline that shares blocks of a few tokens, and counts the tokens that its passes compute."""

    def __init__(self, pipeline: ContinuousTextGeneration, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pipeline = pipeline
        self._set = monkeypatch.setattr
        self.prompts = pipeline._decoder.prompts
        assert self.prompts.prefixes is not None, "the trial at load has refused parts of prompts"
        self.passes: list[torch.Size] = []
        forward = self.prompts.forward

        def counting(ids: torch.Tensor, *rest: Any) -> torch.Tensor:
            self.passes.append(ids.shape)
            return forward(ids, *rest)

        monkeypatch.setattr(self.prompts, "forward", counting)
        counting.device = forward.device  # type: ignore[attr-defined]
        self.share(Prefixes(None, 4))

    def share(self, prefixes: Prefixes | None) -> None:
        self._set(self.prompts, "prefixes", prefixes)
        self.passes.clear()

    @property
    def tokens(self) -> int:
        """Tokens of prompts that were computed."""
        return sum(shape.numel() for shape in self.passes)


_loaded: dict[str, ContinuousTextGeneration] = {}


@pytest.fixture
def counted(
    request: pytest.FixtureRequest, model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Counted]:
    name: str = getattr(request, "param", "llama")
    if name not in _loaded:
        _loaded[name] = cast(ContinuousTextGeneration, load(model_folder(name), "text-generation"))
    yield Counted(_loaded[name], monkeypatch)
    left = [*_loaded[name]._rows, *_loaded[name]._long]
    for row in left:
        _loaded[name].leave(row)
    assert not left


def requests(parameters: dict[str, Any] = GREEDY) -> list[Request]:
    return [(f"{SHARED} {ending}", parameters) for ending in ENDINGS * 2]


def outputs(counted: Counted, asked: list[Request], seed: int = 0) -> list[Any]:
    return [answer.output for answer in roll(counted.pipeline, asked, seed)]


@pytest.mark.parametrize("counted", MODELS, indirect=True)
@pytest.mark.parametrize("piece", [512, 5])
def test_rows_that_share_a_beginning_are_continued_as_alone(
    request: pytest.FixtureRequest,
    counted: Counted,
    model_folder: ModelFolder,
    monkeypatch: pytest.MonkeyPatch,
    piece: int,
) -> None:
    monkeypatch.setattr(counted.prompts, "piece", piece)
    plain = plain_pipeline(model_folder(request.node.callspec.params["counted"]), "text-generation")
    expected = [plain(prompt, **parameters) for prompt, parameters in requests()]
    computed = []
    for seed in range(2):  # the second time, what they share is known from the start
        counted.passes.clear()
        assert outputs(counted, requests(), seed) == expected
        computed.append(counted.tokens)
    assert computed[1] < computed[0]


@pytest.mark.parametrize("parameters", [DRAWN, {**GREEDY, "repetition_penalty": 1.7}])
def test_tokens_are_the_same_with_and_without_sharing(counted: Counted, parameters: dict[str, Any]) -> None:
    with_sharing = outputs(counted, requests(parameters))
    computed = counted.tokens
    counted.share(None)
    assert outputs(counted, requests(parameters)) == with_sharing
    assert computed < 0.7 * counted.tokens


def test_what_rows_share_that_join_together_is_computed_once(counted: Counted) -> None:
    rows = [counted.pipeline.row(f"{SHARED} {ending}", GREEDY) for ending in ("good", "bad", "fine")]
    counted.pipeline.join(rows)
    assert counted.passes == [(1, 12), (2, 4)], "two blocks of four are known to the others"
    for row in rows:
        counted.pipeline.leave(row)


def test_a_beginning_that_cannot_be_kept_is_computed_by_each_at_once(counted: Counted) -> None:
    counted.share(Prefixes(3, 4))
    rows = [counted.pipeline.row(f"{SHARED} {ending}", GREEDY) for ending in ("good", "bad", "fine")]
    counted.pipeline.join(rows)
    assert counted.passes == [(3, 12)]
    for row in rows:
        counted.pipeline.leave(row)


def test_prompts_of_which_less_is_left_share_the_pass(counted: Counted) -> None:
    """They compute a part of what is known again, and nothing is padded."""
    outputs(counted, requests()[:2])
    counted.passes.clear()
    endings = ("a the of and good bad fine late", "the of and good bad fine late")
    rows = [counted.pipeline.row(f"{SHARED} {ending}", GREEDY) for ending in endings]
    counted.pipeline.join(rows)
    assert counted.passes[-1] == (2, 11)
    for row in rows:
        counted.pipeline.leave(row)


def test_memory_for_beginnings_is_bounded_and_answers_the_same(counted: Counted) -> None:
    beginnings = [SHARED, "the bridge closed late , and", "Anna wrote a letter to the town", "good and bad ,"]
    asked: list[Request] = [
        (f"{beginning} {ending}", GREEDY) for ending in ENDINGS[1:5] for beginning in beginnings
    ]
    expected = outputs(counted, asked)
    prefixes = Prefixes(12, 4)
    counted.share(prefixes)
    for seed in range(2):
        assert outputs(counted, asked, seed) == expected
        assert 0 < prefixes.positions <= 12
    assert prefixes.stored > 3, "none was dropped for another"


def test_a_step_follows_each_piece_of_a_long_prompt(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted.prompts, "piece", 8)
    pipeline = counted.pipeline
    long = f"{SHARED} {SHARED} {SHARED}"  # 33 tokens
    [[expected]] = pipeline.run([long], {**GREEDY, "return_full_text": False})
    running = pipeline.row("good", {"max_new_tokens": 20, "do_sample": False})
    pipeline.join([running])
    assert [one.tokens for _ in range(2) for one in pipeline.step()] == [1, 2]
    counted.passes.clear()
    row = pipeline.row(long, {**GREEDY, "return_full_text": False})
    assert pipeline.fits(row)
    assert row.joining_tokens == 8
    pipeline.join([row])
    for number in range(4):
        assert [(one.row, one.tokens) for one in pipeline.step()] == [(running, 3 + number)]
        assert counted.passes == [(1, 8)] * (number + 1)
    short = pipeline.row("late", {"max_new_tokens": 1, "do_sample": False})
    pipeline.join([short])
    assert [one.row for one in pipeline.step()] == [short, row], "a short one is not delayed"
    assert counted.passes[-1] == (1, 1)
    assert [one.tokens for one in pipeline.step()] == [7, 2]
    while row.slot >= 0:
        pipeline.step()
    assert pipeline.output(row) == [expected]
    pipeline.leave(running)


def test_long_prompts_that_share_a_beginning_join_together_when_it_is_known(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted.prompts, "piece", 9)
    rows = [counted.pipeline.row(f"{SHARED} {ending}", GREEDY) for ending in ("good", "bad", "fine")]
    counted.pipeline.join(rows)
    assert [len(counted.pipeline.step()) for _ in range(3)] == [0, 2, 2]
    assert counted.passes == [(1, 9), (1, 3), (1, 4)], "the first goes on; the others share two blocks"
    while any(row.slot >= 0 for row in rows) or counted.pipeline._long:
        counted.pipeline.step()


def test_a_long_prompt_has_its_slot_and_memory_while_it_is_computed(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted.prompts, "piece", 8)
    monkeypatch.setattr(counted.pipeline._decoder, "_max_positions", 2 * 41 - 1)
    pipeline = counted.pipeline
    long = pipeline.row(f"{SHARED} {SHARED} {SHARED}", GREEDY)
    assert pipeline.fits(long)
    pipeline.join([long])
    short = pipeline.row("good", {"max_new_tokens": 1, "do_sample": False})
    assert not pipeline.fits(short)
    pipeline.step()
    pipeline.leave(long)  # withdrawn in the middle of its prompt
    assert pipeline.fits(short)
    assert pipeline.step() == []


def test_a_piece_that_fails_fails_its_row_alone(counted: Counted, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(prompt: prompts.Prompt) -> None:
        raise error

    monkeypatch.setattr(counted.prompts, "piece", 8)
    monkeypatch.setattr(counted.prompts, "advance", fail)
    pipeline = counted.pipeline
    running, other = (pipeline.row("good", {"max_new_tokens": 9, "do_sample": False}) for _ in range(2))
    long = pipeline.row(f"{SHARED} {SHARED}", GREEDY)
    pipeline.join([running, other])
    pipeline.step()
    error: Exception = MemoryError("no room for a piece")
    pipeline.join([long])
    for _ in range(2):
        assert {one.row for one in pipeline.step()} == {running, other}, "it waits for another to leave"
    pipeline.leave(other)
    error = ValueError("no such piece")
    assert [(one.row, one.error) for one in pipeline.step()] == [(long, error), (running, None)]
    pipeline.leave(running)


def test_a_model_without_the_setting_shares_nothing_but_computes_pieces(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = load(model_folder("llama"), "text-generation", prefix_cache=False)
    prefixes = pipeline._decoder.prompts.prefixes
    monkeypatch.setattr(prefixes, "size", 4)
    monkeypatch.setattr(pipeline._decoder.prompts, "piece", 5)
    expected = [[one] for [one] in pipeline.run([prompt for prompt, _ in requests()], GREEDY)]
    assert [answer.output for answer in roll(pipeline, requests())] == expected
    assert prefixes.stored == 0


def test_a_model_that_a_part_of_a_prompt_changes_computes_prompts_as_a_whole(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = prompts._cache

    def wrong(*arguments: Any) -> Any:
        cache = right(*arguments)
        for layer in cache.layers:
            if layer.is_initialized:
                layer.keys[:, :, -1:] = 0.0
        return cache

    monkeypatch.setattr(prompts, "_cache", wrong)
    pipeline: Any = load(model_folder("llama"), "text-generation")
    assert pipeline.slots == 64
    assert pipeline._decoder.prompts.prefixes is None
    expected = [[one] for [one] in pipeline.run([prompt for prompt, _ in requests()], GREEDY)]
    monkeypatch.setattr(pipeline._decoder.prompts, "piece", 5)
    for seed in range(2):
        assert [answer.output for answer in roll(pipeline, requests(), seed)] == expected
