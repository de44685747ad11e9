"""Jobs that wait together share one call of an example's class, in a real engine."""

from pathlib import Path

import pytest

from tests.examples.conftest import CATALOG, Loading
from tests.ledger import JobQueue
from tests.worker.conftest import Serving, queue, serving
from tests.worker.test_batch_worker import ended, results, submit

__all__ = ["queue", "serving"]

ROWS = [[4.5 + at / 10, 3.0, 1.0 + at / 3, 0.2 + at / 8] for at in range(16)]


@pytest.mark.parametrize("name", ["onnx", "keras"])
async def test_many_jobs_share_a_call(
    name: str, load: Loading, iris_files: Path, queue: JobQueue, serving: Serving
) -> None:
    spec = CATALOG[name]
    ids = [await submit(queue, [row]) for row in ROWS]  # type: ignore[list-item]
    file = iris_files / Path(spec.source or "").name
    async with serving(
        pipeline=spec.pipeline, source=str(file), input="json", parameters={}, example=spec.example, threads=1
    ) as worker:
        jobs = await ended(queue, *ids)
        assert worker.engine.info is not None
        assert worker.engine.info.threads == 1
    assert {job.batch.size for job in jobs if job.batch} == {len(ROWS)}
    expected = load("scikit-learn").run(ROWS, {})
    for job, output in zip(jobs, expected, strict=True):
        assert results(job) == [{"output": pytest.approx(output, abs=1e-5)}]
