"""The arq worker's functions and settings, with the model loaded at its start."""

from typing import Any

from arq.connections import RedisSettings

from bench.peers.servers.embedder import MODEL, REDIS, SIZE, WAIT, Embedder

SETTINGS = RedisSettings.from_dsn(REDIS)


async def startup(ctx: dict[str, Any]) -> None:
    if MODEL:
        ctx["embedder"] = Embedder()


async def embed(ctx: dict[str, Any], text: str) -> list[float]:
    embedding: list[float] = ctx["embedder"]([text])[0].tolist()
    return embedding


async def echo(ctx: dict[str, Any], text: str) -> str:
    return text


class WorkerSettings:
    functions = (embed, echo)
    on_startup = startup
    redis_settings = SETTINGS
    max_jobs = SIZE
    poll_delay = WAIT / 1000
