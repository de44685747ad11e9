"""A batch's deadline follows its expected cost, if known."""

from typing import Any

import pytest

from jobs.models import ModelSpec
from tests.ledger import JobQueue
from tests.worker.conftest import Serving, poison_spec
from tests.worker.engine.pipelines.conftest import ModelFolder, model_folder
from tests.worker.test_batch_worker import ended, results, submit
from worker.batching.deadlines import FACTOR, MIN_SILENCE, Deadlines
from worker.engine.protocol import Cost, Loaded

__all__ = ["model_folder"]  # a fixture

GENERATION = ModelSpec(name="g", task="text-generation", source="g", batch_timeout=60.0)
CLASSIFIER = ModelSpec(name="c", task="text-classification", source="c", batch_timeout=60.0)


def loaded(cost: Cost, **fields: Any) -> Loaded:
    return Loaded("cpu", "float32", 512, None, 1.0, cost, False, 2, "", **fields)


def test_it_is_the_timeout_where_nothing_is_known() -> None:
    for spec in (GENERATION, CLASSIFIER, poison_spec()):
        deadlines = Deadlines(spec, loaded(Cost(512)))
        assert deadlines.seconds(4, {"max_new_tokens": 4_096}, 1e9) == 60.0


def test_it_is_the_timeout_for_a_class_however_slow() -> None:
    assert Deadlines(poison_spec(), loaded(Cost(512, 1.0, 1.0))).seconds(4, {}, 1e9) == 60.0


def test_an_engine_may_be_silent_for_the_timeout_or_while_it_computes_long_prompts() -> None:
    assert Deadlines(poison_spec(), loaded(Cost(512, 1.0, 1.0))).silence(1e9) == 60.0
    deadlines = Deadlines(CLASSIFIER, loaded(Cost(512, 1.0, 1.0)))
    assert (deadlines.silence(0.01), deadlines.silence(100.0)) == (60.0, FACTOR * 100.0)
    slow = Deadlines(GENERATION, loaded(Cost(512, 1.0, 1.0), step_ms=20_000.0))
    assert slow.silence(5.0) == FACTOR * 25.0
    impatient = Deadlines(poison_spec(batch_timeout=0.01), loaded(Cost(512)))
    assert impatient.silence(0.0) == MIN_SILENCE


def test_it_is_a_multiple_of_what_is_expected_but_not_less_than_the_timeout() -> None:
    deadlines = Deadlines(CLASSIFIER, loaded(Cost(512, 1.0, 1.0)))
    assert deadlines.seconds(4, {}, 0.01) == 60.0
    assert deadlines.seconds(4, {}, 100.0) == FACTOR * 100.0


def test_of_a_generation_it_is_the_time_of_its_steps() -> None:
    deadlines = Deadlines(GENERATION, loaded(Cost(512, 1.0, 1.0), step_ms=200.0, new_tokens=1_000))
    assert deadlines.seconds(1, {"max_new_tokens": 4}, 1e9) == 60.0, "not of the prompt's length"
    assert deadlines.seconds(1, {"max_new_tokens": 4_000}, 0.0) == pytest.approx(FACTOR * 800.0)
    assert deadlines.seconds(1, {}, 0.0) == pytest.approx(FACTOR * 200.0)
    assert deadlines.seconds(3, {}, 0.0) == pytest.approx(FACTOR * 600.0), "three texts at once"
    assert deadlines.seconds(1, {"num_beams": 3}, 0.0) == pytest.approx(FACTOR * 600.0), "three beams"


def test_a_long_recording_has_the_time_of_all_its_windows() -> None:
    speech = loaded(Cost(512, 1.0, 1.0), step_ms=200.0, new_tokens=400, unit_seconds=30.0)
    deadlines = Deadlines(GENERATION, speech)
    assert deadlines.rows(1, 120) == 120
    assert deadlines.seconds(120, {}, 0.0) == pytest.approx(FACTOR * 120 * 80.0)
    assert Deadlines(GENERATION, loaded(Cost(512))).rows(1, 120) == 1


def test_steps_are_measured_as_batches_run() -> None:
    deadlines = Deadlines(GENERATION, loaded(Cost(512, 1.0, 1.0), step_ms=2_000.0))
    deadlines.record(8, 1, 100.0)  # a long prompt and one token say nothing of a step
    for _ in range(100):
        deadlines.record(8, 100, 50.0)
    assert deadlines.seconds(1, {"max_new_tokens": 1_000}, 0.0) == pytest.approx(FACTOR * 500.0)
    assert deadlines.seconds(8, {"max_new_tokens": 1_000}, 0.0) == pytest.approx(FACTOR * 500.0)
    assert deadlines.seconds(16, {"max_new_tokens": 1_000}, 0.0) == pytest.approx(FACTOR * 1_000.0)


async def test_a_long_generation_is_no_poison(
    queue: JobQueue, serving: Serving, model_folder: ModelFolder
) -> None:
    """It takes many times `batch_timeout`, and is expected to."""
    model = {"task": "text-generation", "source": str(model_folder("text-generation-at-length"))}
    async with serving(pipeline=None, parameters={}, **model, threads=1, batch_timeout=0.05) as worker:
        parameters = {"max_new_tokens": 1_000, "do_sample": False}
        [job] = await ended(queue, await submit(queue, "the bridge", parameters=parameters))
        assert worker.engine.restarts == 0
    assert job.status == "succeeded"
    assert job.timings.compute_ms is not None
    assert job.timings.compute_ms > 50
    assert "the bridge" in str(results(job)[0])
