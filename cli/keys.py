"""`batchline keys`: creates, lists, revokes and rotates API keys. They are stored in Redis, by default in the
embedded one of a running `batchline serve`.

A secret is printed once, alone on stdout. Everything else, also the log lines for audits, goes to stderr.
"""

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import structlog

from cli import key_arguments, key_table
from jobs.access.api_key import ApiKey, new_secret
from jobs.access.key_store import KeyStore
from jobs.access.revocation import cancel_jobs
from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import BatchlineError, ConfigurationError, QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.ledger.shards import Shards
from jobs.process import logs
from jobs.settings import Settings, load_settings
from jobs.store.embedded import with_embedded
from jobs.store.store import open_store

log = structlog.get_logger("keys")

Command = Callable[[Settings, argparse.Namespace], Coroutine[Any, Any, None]]


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if Redis cannot be reached or there is no such key. Wrong arguments: 2."""
    arguments = key_arguments.parser().parse_args(argv)
    try:
        settings = with_embedded(load_settings())
    except BatchlineError as error:
        print(f"batchline: {error}", file=sys.stderr)  # noqa: T201
        return 1
    try:
        logs.configure("info", settings.log_format)
        asyncio.run(COMMANDS[arguments.command](settings, arguments))
    except BatchlineError as error:
        hint = _without_address(settings) if isinstance(error, QueueUnavailable) else ""
        print(f"batchline: {error}{hint}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


def _without_address(settings: Settings) -> str:
    if "redis_url" in settings.model_fields_set:
        return ""
    return (
        f" (no embedded server runs on {settings.data_dir}: start `batchline serve`,"
        " or set BATCHLINE_DATA_DIR or BATCHLINE_REDIS_URL)"
    )


async def _create(settings: Settings, arguments: argparse.Namespace) -> None:
    models = _models(settings, arguments.models)
    fields = ApiKey(
        id="",
        owner=arguments.name,
        digest="",
        scopes=arguments.scopes,
        models=models,
        limits=key_arguments.limits(arguments),
        weight=arguments.share,
    )
    async with _shards(settings) as shards:
        key, secret = await KeyStore(shards.first).create(fields, lifetime=arguments.expires)
    log.info("key created", **key_table.about(key))
    _print_secret(secret)


async def _list(settings: Settings, arguments: argparse.Namespace) -> None:
    async with _shards(settings) as shards:
        store = KeyStore(shards.first)
        (_, now), keys, uses = await store.version(), await store.list(), await store.uses()
    shown = key_table.as_json if arguments.json else key_table.as_table
    print(shown(keys, uses, now))  # noqa: T201


async def _revoke(settings: Settings, arguments: argparse.Namespace) -> None:
    async with _shards(settings) as shards:  # without the models file, which may be broken
        key, now = await KeyStore(shards.first).revoke(arguments.id)
    log.info("key revoked" if now else "key was revoked before", owner=key.owner, key=key.id)
    if not arguments.cancel_jobs:
        return
    catalog = _catalog(settings)
    if catalog is None:
        raise ConfigurationError(
            f"no job was cancelled: that needs the models file, and {settings.models_file} does not exist;"
            " set BATCHLINE_MODELS_FILE and repeat the command"
        )
    async with _shards(settings, catalog) as shards:
        await shards.grow()  # learns how many there are
        cancelled = await cancel_jobs(Ledger(shards), key.owner)
    log.info("jobs cancelled", owner=key.owner, jobs=cancelled)


async def _rotate(settings: Settings, arguments: argparse.Namespace) -> None:
    async with _shards(settings) as shards:
        key, secret = await KeyStore(shards.first).rotate(arguments.id, arguments.grace)
    log.info("key rotated", owner=key.owner, key=key.id, grace=arguments.grace // 1000)
    _print_secret(secret)


async def _secret(settings: Settings, arguments: argparse.Namespace) -> None:
    _print_secret(new_secret())


COMMANDS: dict[str, Command] = {
    "create": _create,
    "list": _list,
    "revoke": _revoke,
    "rotate": _rotate,
    "secret": _secret,
}


def _print_secret(secret: str) -> None:
    print(secret)  # noqa: T201


def _catalog(settings: Settings) -> ModelCatalog | None:
    """The models, if their file is on this machine."""
    return load_catalog(settings.models_file) if settings.models_file.exists() else None


def _models(settings: Settings, given: frozenset[str]) -> frozenset[str]:
    """The models' own names for names or aliases. Raises UnknownModel, if the models are known here."""
    catalog = _catalog(settings) if given else None
    return given if catalog is None else frozenset(catalog[name].name for name in given)


@asynccontextmanager
async def _shards(settings: Settings, catalog: ModelCatalog | None = None) -> AsyncIterator[Shards]:
    store = open_store(settings)
    try:
        yield Shards(store, settings, catalog.specs if catalog else ())
    finally:
        await store.aclose()


if __name__ == "__main__":
    sys.exit(main())
