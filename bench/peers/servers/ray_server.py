"""Ray Serve: an HTTP proxy passes requests to a replica, which batches them with `serve.batch`.

A dict would be sent in chunks, which the load generator does not read.
"""

import os
import tempfile
import threading
from typing import Any

import ray
from ray import serve
from starlette.requests import Request
from starlette.responses import JSONResponse

from bench.peers.servers.embedder import MODEL, PORT, SIZE, WAIT, Embedder

ONGOING = 128
"""Most requests at a replica: more than the clients, so that batches can fill."""
CORES = os.cpu_count() or 1
"""A replica gets as many threads as it has cores; by default it has one."""

batch = serve.batch(max_batch_size=SIZE, batch_wait_timeout_s=WAIT / 1000)
deployment = serve.deployment(max_ongoing_requests=ONGOING, ray_actor_options={"num_cpus": CORES})


@deployment
class Embed:
    def __init__(self) -> None:
        self.embedder = Embedder()

    @batch
    async def embeddings(self, texts: list[str]) -> list[list[float]]:
        rows: list[list[float]] = self.embedder(texts).tolist()
        return rows

    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse({"embedding": await self.embeddings((await request.json())["text"])})


@deployment
class Echo:
    @batch
    async def texts(self, texts: list[str]) -> list[str]:
        return texts

    async def __call__(self, request: Request) -> JSONResponse:
        return JSONResponse({"text": await self.texts((await request.json())["text"])})


if __name__ == "__main__":
    ray.init(
        num_cpus=CORES,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        _temp_dir=tempfile.gettempdir(),
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    served: Any = Embed if MODEL else Echo
    serve.run(served.bind(), route_prefix="/embed")
    threading.Event().wait()
