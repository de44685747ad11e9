"""A server of tiny models of all tasks: the API behind a socket, and a worker in this process.

One engine process for each of so many models would take minutes to start. Here the pipelines are loaded in
the test's own process, and only their inputs and outputs go through the queue.
"""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import httpx

from jobs.catalog import ModelCatalog, load_catalog
from jobs.ledger import views
from jobs.media.files import link_start
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.api.api_process import serving
from tests.ledger import JobQueue, with_files, with_results
from tests.waiting import until
from tests.worker.engine.pipelines import tiny
from worker.engine import pipelines
from worker.engine.pipelines.files import File, FileLinks

T = TypeVar("T")


class Model(NamedTuple):
    """A model of a task, and what builds its checkpoint."""

    task: str
    builder: str
    entry: str = ""
    """More lines of its entry in the models file."""


class TinyServer:
    """A server whose jobs are run by the caller of `run`."""

    def __init__(
        self, url: str, queue: JobQueue, catalog: ModelCatalog, loop: asyncio.AbstractEventLoop
    ) -> None:
        self.url = url
        self._queue = queue
        self._catalog = catalog
        self._loop = loop
        self._loaded: dict[str, pipelines.LoadedPipeline] = {}
        self._threads = ThreadPoolExecutor(4)

    def of(self, model: str) -> str:
        """The address that a client gets for a model."""
        return f"{self.url}/models/{model}"

    def pipeline(self, model: str) -> pipelines.LoadedPipeline:
        """The model itself."""
        if model not in self._loaded:
            spec = self._catalog[model]
            self._loaded[model] = pipelines.load(spec, self._catalog.local_source(spec))
        return self._loaded[model]

    def run(self, model: str, call: Callable[[], T]) -> T:
        """The result of a call that makes one job of the model, which is run meanwhile."""
        self.pipeline(model)
        answer: Future[T] = self._threads.submit(call)
        self.wait(self._run(model, answer))
        return answer.result(30)

    def wait(self, work: Any) -> Any:
        """The result of a coroutine, run in the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _run(self, model: str, answer: "Future[Any]") -> None:
        claimed = []

        async def found() -> bool:
            claimed.extend((await self._queue.claim(model, 1))[0])
            return bool(claimed) or answer.done()

        await until(found, 30)
        for job in claimed:
            given = views.inputs_of(job.payload)
            outputs = self.pipeline(model).run(list(given.inputs), given.parameters)
            links = [FileLinks(link_start(job.id, index)) for index in range(len(outputs))]
            encoded = [
                b'{"output":' + pipelines.encode_output(output, link) + b"}"
                for output, link in zip(outputs, links, strict=True)
            ]
            files = [file for link in links for file in link.files]
            await self._queue.store((job, file.name, file.content) for file in files)
            ending = with_results(job, b"[" + b",".join(encoded) + b"]", len(outputs), model)
            await self._queue.finish(model, [with_files(ending) if files else ending])


@contextmanager
def tiny_server(redis_url: str, folder: Path, models: Mapping[str, Model]) -> Iterator[TinyServer]:
    """A server of these models, by name. Their checkpoints are written into the folder."""
    lines: list[str] = []
    for name, model in models.items():
        if not (folder / model.builder).exists():
            tiny.BUILDERS[model.builder](folder / model.builder)
        lines += [f'[models."{name}"]', f'task = "{model.task}"', f'source = "{model.builder}"', model.entry]
    file = folder / "models.toml"
    file.write_text("\n".join(lines))
    settings = Settings(redis_url=redis_url, data_dir=folder, models_file=file)
    started: Future[TinyServer] = Future()
    stopping = asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        client = connect(settings)
        queue = JobQueue(client, settings, models)
        try:
            async with serving(settings) as (http, _):
                url = str(http.base_url).rstrip("/")
                started.set_result(TinyServer(url, queue, load_catalog(file), loop))
                await stopping.wait()
        finally:
            await queue.close()
            await client.aclose(close_connection_pool=True)

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            raise
        finally:
            loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield started.result(60)
    finally:
        loop.call_soon_threadsafe(stopping.set)
        thread.join(60)


def contents(output: Any) -> Any:
    """An output as JSON, with the bytes of its files."""
    if isinstance(output, File):
        return output.content
    if isinstance(output, dict):
        return {name: contents(value) for name, value in output.items()}
    return [contents(value) for value in output] if isinstance(output, list | tuple) else output


def post(url: str, **how: Any) -> httpx.Response:
    """A request of a client that is not Hugging Face's."""
    return httpx.post(url, timeout=30, **how)
