"""`python -m bench.batch`: measures batches against the same inputs as lists through `/v1/jobs`.

sentiment  LINES texts to the demo model, as `/v1/jobs` lines.
embed      LINES texts to all-MiniLM-L6-v2, as `/v1/embeddings` lines.
lone       Total time of lone interactive requests, unloaded and beside a batch of the demo model; computing
           time of the micro-batches of the same batch alone.
memory     Peak memory of the bulk process with LINES lines of 4 KB, for a model that computes nothing.

The time of a batch is from its creation to its end, so it includes the check of the file and the writing of
the output. Every line must have one outcome, equal to that of the same input in a list.
"""

import argparse
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile
from typing import Any, NamedTuple

import httpx
import msgspec

from bench import machine, stack
from bench.arrivals import percentile
from bench.ceiling import model_folder
from bench.errors import BenchError
from bench.texts import make_texts
from tests import processes

MODELS = """\
[models.sentiment]
task = "text-classification"
source = "{sentiment}"

[models.embed]
task = "feature-extraction"
source = "{embed}"

[models.echo]
pipeline = "bench.echo:Echo"
"""

LIST, CLIENTS = 500, 4
"""Inputs of each list, and lists that are sent at a time."""
TOLERANCE = 1e-4
"""Largest difference of a score or a component: inputs meet others in their batches each time."""
TEXT_BYTES = 3_850
"""Of a line of about 4 KB: 50,000 of these are less than the largest file, 200 MB."""
POLL = 0.25
"""Seconds between two looks at a batch. A look costs the API about a millisecond, and a client as much."""
DEADLINE = 1800.0


class Kind(NamedTuple):
    """A way to send the same inputs as a batch and as lists."""

    model: str
    url: str
    body: Callable[[str], Mapping[str, Any]]
    output: Callable[[Any], Any]
    """The output in the answer of a line."""


KINDS = {
    "sentiment": Kind(
        "sentiment",
        "/v1/jobs",
        lambda text: {"model": "sentiment", "inputs": [text]},
        lambda body: body["results"][0]["output"],
    ),
    "embed": Kind(
        "embed",
        "/v1/embeddings",
        lambda text: {"model": "embed", "input": text},
        lambda body: body["data"][0]["embedding"],
    ),
    "echo": Kind(
        "echo",
        "/v1/jobs",
        lambda text: {"model": "echo", "inputs": [text]},
        lambda body: body["results"][0]["output"],
    ),
}


class Served:
    """A running stack with a bulk process."""

    def __init__(self, started: stack.Stack, bulk: int) -> None:
        self.stack = started
        self.bulk = bulk
        self.client = httpx.Client(base_url=f"http://127.0.0.1:{started.port}", timeout=120)

    def peak(self) -> float:
        """The peak memory of the bulk process in MiB."""
        status = Path(f"/proc/{self.bulk}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) / 1024

    def lists(self, kind: Kind, texts: Sequence[str]) -> tuple[float, list[Any]]:
        """Sends the texts as lists; returns the seconds and all outputs."""
        chunks = [texts[start : start + LIST] for start in range(0, len(texts), LIST)]
        began = time.monotonic()
        with ThreadPoolExecutor(CLIENTS) as pool:
            found = list(pool.map(lambda chunk: self._list(kind, chunk), chunks))
        return time.monotonic() - began, [output for outputs in found for output in outputs]

    def _list(self, kind: Kind, texts: Sequence[str]) -> list[Any]:
        job = {"model": kind.model, "inputs": list(texts)}
        answer = self.client.post(stack.PATH, json=job)
        while answer.status_code in (200, 202) and answer.json()["status"] in ("queued", "running"):
            answer = self.client.get(f"/v1/jobs/{answer.json()['id']}?wait=60")
        if answer.status_code != 200:
            raise BenchError(f"a list was answered {answer.status_code}: {answer.text[:300]}")
        return [result["output"] for result in answer.json()["results"]]

    def upload(self, kind: Kind, texts: Sequence[str]) -> str:
        """Uploads a line for each text; returns the file's id."""
        with TemporaryFile() as file:
            for number, text in enumerate(texts):
                line = {"custom_id": f"{number}", "method": "POST", "url": kind.url, "body": kind.body(text)}
                file.write(msgspec.json.encode(line) + b"\n")
            file.seek(0)
            parts = {"file": ("lines.jsonl", file, "application/jsonl")}
            answer = self.client.post("/v1/files", data={"purpose": "batch"}, files=parts)
        return str(_checked(answer)["id"])

    def batch(self, kind: Kind, file: str) -> tuple[float, dict[str, Any]]:
        """Runs a batch of an uploaded file; returns the seconds and its record."""
        began = time.monotonic()
        asked = {"input_file_id": file, "endpoint": kind.url, "completion_window": "24h"}
        batch = _checked(self.client.post("/v1/batches", json=asked))
        while batch["status"] not in ("completed", "failed", "expired", "cancelled"):
            if time.monotonic() - began > DEADLINE:
                raise BenchError(f"the batch did not end: {batch}")
            time.sleep(POLL)
            batch = _checked(self.client.get(f"/v1/batches/{batch['id']}"))
        if batch["status"] != "completed":
            raise BenchError(f"the batch is {batch['status']}: {batch['errors']}")
        return time.monotonic() - began, batch

    def outputs(self, kind: Kind, batch: Mapping[str, Any], count: int) -> list[Any]:
        """The outputs in the order of the lines. Raises BenchError unless every line has exactly one."""
        found: dict[int, Any] = {}
        if batch["error_file_id"]:
            raise BenchError(f"lines failed: {batch['request_counts']}")
        with self.client.stream("GET", f"/v1/files/{batch['output_file_id']}/content") as answer:
            for line in answer.iter_lines():
                row = msgspec.json.decode(line)
                number = int(row["custom_id"])
                if number in found:
                    raise BenchError(f"line {number} has two outcomes")
                found[number] = kind.output(row["response"]["body"])
        if sorted(found) != list(range(count)):
            raise BenchError(f"{len(found)} of {count} lines have an outcome")
        return [found[number] for number in range(count)]

    def lone(self, stop: Callable[[int], bool]) -> list[float]:
        """Milliseconds of lone requests, one after the other with pauses, until `stop(how many)`."""
        taken: list[float] = []
        while not stop(len(taken)):
            began = time.monotonic()
            text = f"a wonderful film number {len(taken)}"
            _checked(self.client.post(stack.PATH, json={"model": "sentiment", "inputs": text}))
            taken.append((time.monotonic() - began) * 1000)
            time.sleep(0.0137 * (1 + len(taken) % 3))  # not in step with the batches
        return taken


def _checked(answer: httpx.Response) -> dict[str, Any]:
    if not answer.is_success:
        raise BenchError(f"{answer.url.path} answered {answer.status_code}: {answer.text[:300]}")
    found: dict[str, Any] = answer.json()
    return found


def differs(one: Any, other: Any) -> bool:
    """Whether two outputs are not the same, apart from the rounding of numbers."""
    match one, other:
        case list(), list():
            return len(one) != len(other) or any(map(differs, one, other))
        case dict(), dict():
            return one.keys() != other.keys() or any(differs(one[name], other[name]) for name in one)
        case (float() | int(), float() | int()):
            return not math.isclose(one, other, abs_tol=TOLERANCE)
    return bool(one != other)


def measure_rates(served: Served, name: str, count: int) -> None:
    """Lists, the batch, and lists again, so that a machine that slows down counts against both."""
    kind, texts = KINDS[name], make_texts(count)
    file = served.upload(kind, texts)
    before, expected = served.lists(kind, texts)
    seconds, batch = served.batch(kind, file)
    after, _ = served.lists(kind, texts)
    outputs = served.outputs(kind, batch, count)
    if wrong := [i for i in range(count) if differs(outputs[i], expected[i])]:
        raise BenchError(f"{len(wrong)} outcomes differ, the first of line {wrong[0]}")
    by_lists = (before + after) / 2
    print(
        f"{name:10} {count:,} lines: batch {count / seconds:,.0f}/s, lists {count / before:,.0f}/s and then"
        f" {count / after:,.0f}/s, ratio {by_lists / seconds:.3f}; every outcome once, all equal",
        flush=True,
    )


def measure_lone(served: Served, count: int, unloaded: int) -> None:
    kind = KINDS["sentiment"]
    quiet = served.lone(lambda done: done >= unloaded)
    file = served.upload(kind, make_texts(count))
    before = served.stack.counters(kind.model)
    served.batch(kind, file)
    after = served.stack.settled(kind.model, before.items + count)
    one = 1000 * (after.compute_seconds - before.compute_seconds) / (after.batches - before.batches)
    ended = threading.Event()

    def run() -> None:
        try:
            served.batch(kind, file)
        finally:
            ended.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        loaded = served.lone(lambda _: ended.is_set())
        running.result()
    later = percentile(loaded, 95) - percentile(quiet, 95)
    print(
        f"lone       ms p50 {percentile(quiet, 50):.0f} and p95 {percentile(quiet, 95):.0f} unloaded"
        f" ({len(quiet)} requests); {percentile(loaded, 50):.0f} and {percentile(loaded, 95):.0f} beside a"
        f" batch ({len(loaded)} requests): p95 is later by {later / one:.2f} micro-batches of {one:.0f} ms",
        flush=True,
    )


def measure_memory(served: Served, count: int) -> None:
    kind, text = KINDS["echo"], "x" * TEXT_BYTES
    seconds, batch = served.batch(kind, served.upload(kind, [text] * count))
    if any(each != text for each in served.outputs(kind, batch, count)):
        raise BenchError("an outcome differs")
    print(
        f"memory     {count:,} lines of about 4 KB in {seconds:.1f} s: peak of the bulk process"
        f" {served.peak():.0f} MiB",
        flush=True,
    )


@contextmanager
def running(folder: Path) -> Iterator[Served]:
    sentiment = Path(__file__).parent.parent / "models" / "sentiment"
    text = MODELS.format(sentiment=sentiment, embed=model_folder())
    file = folder / "models.toml"
    file.write_text(text, encoding="utf-8")
    with ExitStack() as exits:
        started = exits.enter_context(stack.running(text, data_dir=folder))
        settings = {"redis_url": started.redis_url, "models_file": file, "data_dir": folder}
        bulk = exits.enter_context(processes.running("bulk", log_level="warning", **settings))
        yield Served(started, bulk.pid)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.batch")
    parser.add_argument("--lines", type=int, default=50_000, help="lines of a batch (default: 50000)")
    parser.add_argument("--quick", action="store_true", help="a first look, with a tenth of the lines")
    parser.add_argument("--only", nargs="+", default=["sentiment", "embed", "lone", "memory"])
    given = parser.parse_args()
    lines = given.lines // 10 if given.quick else given.lines
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    try:
        with TemporaryDirectory() as name, running(Path(name)) as served:
            if "memory" in given.only:  # first, for a peak of its own
                measure_memory(served, lines)
            if "sentiment" in given.only:
                measure_rates(served, "sentiment", lines)
            if "embed" in given.only:
                measure_rates(served, "embed", lines)
            if "lone" in given.only:
                measure_lone(served, lines, 100 if given.quick else 400)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
