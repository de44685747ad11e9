"""The memory of finished jobs is sampled, and the free memory summed, over the primaries of a cluster."""

from api.health.footprint_cache import free_memory
from jobs.monitoring import footprints
from jobs.schema import NewJob
from jobs.settings import Settings
from jobs.store.store import Store
from tests.ledger import JobQueue, run_one


async def test_jobs_of_all_primaries_are_sampled(store: Store, settings: Settings) -> None:
    queue = JobQueue(store, settings.model_copy(update={"shards": 6}), ["sentiment"])
    assert await footprints.read(queue.shards) == {}
    used = set()
    for shard in queue.shards:
        job, _ = await queue.submit(
            NewJob("sentiment", ["x"], 1, {}, "normal", None, result_ttl=1000.0 + shard.number),
            job_id=(await queue.new_id())[:-5] + f"{shard.number:02x}000",
        )
        await run_one(queue)
        used.add((await queue.shards.of(job.id))[0].number)
    assert used == set(range(6))
    found = (await footprints.read(queue.shards))["sentiment"]
    assert abs(found.seconds - 1002.5) < 0.5
    assert 150 < found.bytes < 400


async def test_the_free_memory_is_the_sum(store: Store) -> None:
    primaries = await store.primaries()
    assert len(primaries) > 1
    servers = {}
    for name, redis in primaries.items():
        servers[name] = await redis.info()
    assert free_memory(servers) is None, "no node is limited"
    each = [{**info, "maxmemory": 2 * info["used_memory"]} for info in servers.values()]
    assert free_memory(dict(zip(servers, each, strict=True))) == sum(info["used_memory"] for info in each)
