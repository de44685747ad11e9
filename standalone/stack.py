"""The stack: which programs are started, in which order and environment; supervisor.py keeps them running."""

import contextlib
import os
from pathlib import Path

from jobs.catalog import ModelCatalog
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.process import programs
from jobs.settings import Settings
from jobs.store.check import check
from standalone import preflight, single_model
from standalone.child import Child
from standalone.readiness import announce
from standalone.supervisor import Supervisor
from standalone.terminal import say
from standalone.valkey import EmbeddedValkey


async def serve(settings: Settings, single: ModelSpec | None = None) -> None:
    """Runs until a signal, with the models of the models file or the one given on the command line.

    Raises ConfigurationError.
    """
    catalog = ModelCatalog([single], Path.cwd()) if single else preflight.read_models(settings)
    preflight.check_packages(settings, catalog)
    preflight.try_port(settings)
    valkey = None
    if "redis_url" not in settings.model_fields_set:
        if settings.durable_submit == "replica":
            raise ConfigurationError(
                "BATCHLINE_DURABLE_SUBMIT=replica: the embedded server has no replica; use `disk`,"
                " or set BATCHLINE_REDIS_URL to another server"
            )
        valkey = EmbeddedValkey(settings.data_dir, sync_always=settings.durable_submit == "disk")
    with contextlib.ExitStack() as files:
        if single:
            say(f"Serving {single.source} as {single.name}, for {single.task}")
            models_file = files.enter_context(single_model.models_file(single, settings))
            settings = settings.model_copy(update={"models_file": models_file})
        await _run(settings, catalog, valkey)


async def _run(settings: Settings, catalog: ModelCatalog, valkey: EmbeddedValkey | None) -> None:
    async with Supervisor(holding=[valkey.lock] if valkey else []) as supervisor:
        if valkey:
            await supervisor.start(valkey.child())
            settings = settings.model_copy(update={"redis_url": valkey.url})
            await valkey.wait_until_ready(settings)
        await check(settings)
        environment = {
            **os.environ,
            "BATCHLINE_REDIS_URL": settings.redis_url,
            "BATCHLINE_MODELS_FILE": str(settings.models_file),
        }
        worker, api, bulk = (programs.command(name) for name in ("worker", "api", "bulk"))
        # longer than each program's own limit, so that only a hung one is killed
        await supervisor.start(Child("the worker", worker, environment, grace=settings.shutdown_grace + 10))
        await supervisor.start(Child("the API", api, environment, grace=15))
        await supervisor.start(Child("the bulk process", bulk, environment, grace=15))
        await announce(settings, list(catalog.specs))
        supervisor.mark_working()
        await supervisor.stopped()
