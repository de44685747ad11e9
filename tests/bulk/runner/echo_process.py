"""`python -m tests.bulk.runner.echo_process`: a runner whose lines need no models, to be killed."""

import asyncio

from bulk.runner import runner
from bulk.runner.runner import Runner
from jobs.ledger.shard import Shard
from jobs.settings import load_settings
from jobs.store.store import open_store
from tests.bulk.runner.echoing import Echoing
from tests.bulk.runner.stand import Stand


async def serve() -> None:
    settings = load_settings()
    store = open_store(settings)
    stand = Stand(Shard(0, store, settings), settings, Echoing(at_once=1))
    await Runner(stand.runs, 4, stand.run_of).run()


if __name__ == "__main__":
    runner.POLL = 0.01
    asyncio.run(serve())
