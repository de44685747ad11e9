"""FastAPI with Celery: an endpoint submits a task and returns its result."""

import asyncio
from typing import Any

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel

from bench.peers.servers import celery_tasks
from bench.peers.servers.embedder import PORT, WAIT

app = FastAPI()


class Text(BaseModel):
    text: str


async def result(submitted: Any) -> Any:
    while not submitted.ready():  # noqa: ASYNC110 - another process makes it ready
        await asyncio.sleep(WAIT / 1000)
    return submitted.get()


@app.post("/embed")
async def embed(body: Text) -> dict[str, Any]:
    return {"embedding": await result(celery_tasks.embed.delay(body.text))}


@app.post("/echo")
async def echo(body: Text) -> dict[str, Any]:
    return {"text": await result(celery_tasks.echo.delay(body.text))}


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, access_log=False, log_level="warning")
