"""Ray Serve's queue-backed task consumer: an endpoint submits a task to Celery, a replica runs it."""

import asyncio
import os
import tempfile
import threading
from typing import Any

import ray
from fastapi import FastAPI
from pydantic import BaseModel
from ray import serve
from ray.serve.schema import CeleryAdapterConfig, TaskProcessorConfig
from ray.serve.task_consumer import instantiate_adapter_from_config, task_consumer, task_handler

from bench.peers.servers.embedder import MODEL, PORT, REDIS, SIZE, WAIT, Embedder

REQUESTS = 300
"""Most requests that wait at the endpoint: more than the clients."""
CORES = os.cpu_count() or 1

queue = TaskProcessorConfig(
    queue_name="texts", adapter_config=CeleryAdapterConfig(broker_url=REDIS, backend_url=REDIS)
)
app = FastAPI()


class Text(BaseModel):
    text: str


@serve.deployment(max_ongoing_requests=SIZE, ray_actor_options={"num_cpus": CORES})
@task_consumer(task_processor_config=queue)
class Consumer:
    """Runs as many tasks at a time as its `max_ongoing_requests`, each in a thread."""

    def __init__(self) -> None:
        self.embedder = Embedder() if MODEL else None

    @task_handler(name="run")
    def run(self, text: str) -> Any:
        return self.embedder([text])[0].tolist() if self.embedder else text


@serve.deployment(max_ongoing_requests=REQUESTS, ray_actor_options={"num_cpus": 0})
@serve.ingress(app)
class Endpoint:
    def __init__(self, consumer: Any) -> None:
        self.tasks = instantiate_adapter_from_config(task_processor_config=queue)

    @app.post("/embed")
    async def embed(self, body: Text) -> dict[str, Any]:
        task = self.tasks.enqueue_task_sync("run", args=[body.text])
        while (task := self.tasks.get_task_status_sync(task.id)).status != "SUCCESS":
            if task.status == "FAILURE":
                raise RuntimeError(str(task.result))
            await asyncio.sleep(WAIT / 1000)
        return {"embedding" if MODEL else "text": task.result}


if __name__ == "__main__":
    ray.init(
        num_cpus=CORES,
        include_dashboard=False,
        object_store_memory=128 * 2**20,
        _temp_dir=tempfile.gettempdir(),
        log_to_driver=False,
    )
    serve.start(http_options={"host": "127.0.0.1", "port": PORT})
    consumer: Any = Consumer
    endpoint: Any = Endpoint
    serve.run(endpoint.bind(consumer.bind()), route_prefix="/")
    threading.Event().wait()
