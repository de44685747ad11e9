"""Batches in a cluster: all their keys are in the slot of the first shard, whatever their owners."""

import pytest

from bulk.batches.batch import BatchState
from bulk.runner import runner
from jobs.errors import InvalidRequest
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import Store
from tests.bulk.runner.echoing import Echoing
from tests.bulk.runner.stand import Stand
from tests.bulk.runner.test_runner import LINES, OUTCOMES


async def test_batches_in_a_cluster(
    store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL", 0.01)
    stand = Stand(Shards(store, settings).first, settings, Echoing())
    async with stand.runner():
        made = [await stand.create(LINES, owner) for owner in ("", "alice")]
        bad = await stand.create(b"nonsense", "alice")
        for batch_id in made:
            batch = await stand.ended(batch_id)
            assert batch.status is BatchState.COMPLETED
            assert await stand.outcomes(batch) == OUTCOMES
        assert (await stand.ended(bad)).status is BatchState.FAILED
    page, _ = await stand.batches.page(10, sees="alice")
    assert [batch.id for batch in page] == [bad, made[1]]
    with pytest.raises(InvalidRequest, match="has ended"):
        await stand.batches.cancel(bad, sees="alice")
