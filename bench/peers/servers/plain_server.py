"""Plain FastAPI: a `def` endpoint, which Starlette runs in its thread pool; each request is a batch of one.

PEER_SIZE is the number of threads; Starlette's default is 40.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from pydantic import BaseModel

from bench.peers.servers.embedder import MODEL, PORT, SIZE, Embedder

embedder = Embedder() if MODEL else None


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = SIZE
    yield


app = FastAPI(lifespan=lifespan)


class Text(BaseModel):
    text: str


@app.post("/embed")
def embed(body: Text) -> dict[str, Any]:
    assert embedder is not None
    return {"embedding": embedder([body.text])[0].tolist()}


@app.post("/echo")
async def echo(body: Text) -> dict[str, Any]:
    return {"text": body.text}


if __name__ == "__main__":
    uvicorn.run(app, port=PORT, access_log=False, log_level="warning")
