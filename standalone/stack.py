"""The stack: what is started, in which order, with which environment; supervisor.py watches over it."""

import os
import sys

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store.connection import check
from standalone import preflight
from standalone.child import Child
from standalone.readiness import announce
from standalone.supervisor import Supervisor
from standalone.valkey import EmbeddedValkey


async def serve(settings: Settings) -> None:
    """Runs until a signal ends it. Raises ConfigurationError for what cannot work."""
    catalog = preflight.read_models(settings)
    preflight.try_port(settings)
    valkey = None
    if "redis_url" not in settings.model_fields_set:
        if settings.durable_submit == "replica":
            raise ConfigurationError(
                "BATCHLINE_DURABLE_SUBMIT=replica: the embedded server has no replica; give it `disk`,"
                " or name a server of your own in BATCHLINE_REDIS_URL"
            )
        valkey = EmbeddedValkey(settings.data_dir, sync_always=settings.durable_submit == "disk")
    async with Supervisor(holding=[valkey.lock] if valkey else []) as supervisor:
        if valkey:
            await supervisor.start(valkey.child())
            settings = settings.model_copy(update={"redis_url": valkey.url})
            await valkey.answering(settings)
        await check(settings)
        environment = {**os.environ, "BATCHLINE_REDIS_URL": settings.redis_url}
        worker, api = [sys.executable, "-m", "worker"], [sys.executable, "-m", "api"]
        # more than each takes by itself at most, so that only what hangs is killed
        await supervisor.start(Child("the worker", worker, environment, grace=settings.shutdown_grace + 10))
        await supervisor.start(Child("the API", api, environment, grace=15))
        await announce(settings, list(catalog.specs))
        supervisor.everything_works()
        await supervisor.stopped()
