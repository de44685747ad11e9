"""Celery's tasks; Redis is the broker and keeps the results."""

from functools import cache

from celery import Celery

from bench.peers.servers.embedder import REDIS, Embedder

app = Celery("peer", broker=REDIS, backend=REDIS)


@cache
def embedder() -> Embedder:
    """Loads the model at a process's first task: its start may not take long."""
    return Embedder()


@app.task
def embed(text: str) -> list[float]:
    embedding: list[float] = embedder()([text])[0].tolist()
    return embedding


@app.task
def echo(text: str) -> str:
    return text
