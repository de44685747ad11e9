"""FastAPI with arq: an endpoint enqueues a job and returns its result."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from arq import create_pool
from fastapi import FastAPI, Request
from pydantic import BaseModel

from bench.peers.servers.arq_tasks import SETTINGS
from bench.peers.servers.embedder import PORT, WAIT


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.queue = await create_pool(SETTINGS)
    yield
    await app.state.queue.aclose()


app = FastAPI(lifespan=lifespan)


class Text(BaseModel):
    text: str


async def result(request: Request, function: str, text: str) -> Any:
    job = await request.app.state.queue.enqueue_job(function, text)
    return await job.result(timeout=60, poll_delay=WAIT / 1000)


@app.post("/embed")
async def embed(body: Text, request: Request) -> dict[str, Any]:
    return {"embedding": await result(request, "embed", body.text)}


@app.post("/echo")
async def echo(body: Text, request: Request) -> dict[str, Any]:
    return {"text": await result(request, "echo", body.text)}


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, access_log=False, log_level="warning")
