"""`python -m bench.wrong_keys`: whether 1,000 wrong keys a second slow down requests with a right one.

One API process that requires keys, without a worker. Requests with a right key arrive as a Poisson process:
reads of a job, and submits. Beside them arrive, in a random order of all in each round:

nothing    no other requests
live       1,000 requests of GET /health/live a second, the least work that a request can be
one        1,000 reads a second with wrong keys, all from the address that the right ones come from
many       the same from 50,000 addresses, as a trusted proxy reports them
"""

import argparse
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
import psutil

from bench import arrivals, machine, stack
from bench.arrivals import Arrivals, percentile
from bench.errors import BenchError
from jobs.access.api_key import new_secret
from tests import processes, valkey
from tests.ports import free_port

RATE = 1_000
"""Other requests in a second."""
RIGHT = 100
"""Requests with a right key in a second, half of them submits."""
ADDRESSES = 50_000
MOST = 10_000
"""Other requests in flight; with more the server is overloaded and the run ends."""
TOLERATED = 0.01
"""Share of requests without an answer: the server closes a connection that rested just when it is used."""
LEAD = 2.0
"""Seconds by which the other requests begin earlier and end later."""
BESIDE = ("nothing", "live", "one", "many")

MODELS = """\
[models.costly]
pipeline = "bench.costly:Costly"
"""


class Outcome(NamedTuple):
    """Of the requests with a right key in one run."""

    reads: list[float]
    submits: list[float]
    """Milliseconds."""
    cpu: float
    """Seconds of the API's processor time for each second."""


class Api(NamedTuple):
    """The running server."""

    port: int
    pid: int
    secret: str

    def request(self, method: str, path: str, secret: str, body: str = "", more: str = "") -> str:
        content = f"content-type: application/json\r\ncontent-length: {len(body)}\r\n" if body else ""
        head = f"{method} {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {secret}\r\n"
        return f"{head}{more}{content}\r\n{body}"


def measure(api: Api, job: str, beside: str, seconds: float) -> Outcome:
    """Raises BenchError."""
    count = int(RIGHT / 2 * seconds)
    read = Arrivals(
        api.port, "", RIGHT / 2, count, [], requests=[api.request("GET", f"/v1/jobs/{job}", api.secret)]
    )
    submit = Arrivals(
        api.port,
        "",
        RIGHT / 2,
        count,
        [],
        requests=[api.request("POST", "/v1/jobs", api.secret, '{"inputs": "a film"}')],
        status=202,
        seed=2,
    )
    with ThreadPoolExecutor() as pool:
        others = pool.submit(arrivals.run, _others(api, beside, seconds)) if beside != "nothing" else None
        time.sleep(LEAD)
        process = psutil.Process(api.pid)
        before, began = sum(process.cpu_times()[:2]), time.monotonic()
        reads, submits = pool.map(arrivals.run, (read, submit))
        cpu = (sum(process.cpu_times()[:2]) - before) / (time.monotonic() - began)
        for arrived in (reads, submits, *([others.result()] if others else [])):
            if arrived.overrun or arrived.errors > TOLERATED * arrived.sent:
                raise BenchError(f"{beside}: {arrived.errors} requests failed: {arrived.error or 'too slow'}")
    return Outcome(reads.took, submits.took, cpu)


def _others(api: Api, beside: str, seconds: float) -> Arrivals:
    count = int(RATE * (seconds + 2 * LEAD))
    if beside == "live":
        requests, statuses = [api.request("GET", "/health/live", new_secret())], (200, 0)
    else:
        chance = random.Random(1)
        requests, statuses = [], (401, 429)
        for _ in range(count):
            number = chance.randrange(ADDRESSES)
            address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
            more = f"x-forwarded-for: {address}\r\n" if beside == "many" else ""
            requests.append(api.request("GET", "/v1/jobs/1", new_secret(), more=more))
    status, also = statuses
    return Arrivals(
        api.port,
        "",
        RATE,
        count,
        [],
        requests=requests,
        status=status,
        also=also,
        seed=3,
        most=MOST,
        times=False,
    )


@contextmanager
def running() -> Iterator[Api]:
    """One API process with keys, and its server."""
    port, secret = free_port(), new_secret()
    with TemporaryDirectory() as name, valkey.running(Path(name)) as server:
        file = Path(name) / "models.toml"
        file.write_text(MODELS, encoding="utf-8")
        given = {"redis_url": server.url(), "models_file": file, "port": port, "log_level": "info"}
        keys = {"auth": "keys", "admin_key": secret, "trusted_proxies": "127.0.0.1"}
        with (Path(name) / "log").open("wb") as log, processes.logging_to(log, "api", **given, **keys) as api:
            stack.wait_until_listening(port, "/health/live")
            yield Api(port, api.pid, secret)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.wrong_keys")
    parser.add_argument("--seconds", type=float, default=6.0, help="of each run (default: 6)")
    parser.add_argument("--rounds", type=int, default=4, help="runs of each kind (default: 4)")
    arguments = parser.parse_args()
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    found: dict[str, list[Outcome]] = defaultdict(list)
    try:
        with running() as api:
            job = httpx.post(
                f"http://127.0.0.1:{api.port}/v1/jobs",
                json={"inputs": "x"},
                headers={"x-api-key": api.secret},
            ).json()["id"]
            for _ in range(arguments.rounds):
                for beside in random.sample(BESIDE, len(BESIDE)):
                    found[beside].append(measure(api, job, beside, arguments.seconds))
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"{RIGHT} right requests/s, {RATE} others/s; ms, and in brackets the ratio to those beside `live`;")
    print("medians of the rounds\n")
    print(f"{'beside':9}{'read p50':>15}{'p99':>15}{'submit p50':>15}{'p99':>15}{'API cores':>11}")
    for beside in BESIDE:
        print(_line(beside, found[beside], found["live"]))
    return 0


def _line(beside: str, found: list[Outcome], live: list[Outcome]) -> str:
    """The medians over the rounds, of which one may meet other load of the machine."""
    line = f"{beside:9}"
    for field in ("reads", "submits"):
        for percent in (50, 99):
            value, harmless = (
                statistics.median(percentile(getattr(run, field), percent) for run in runs)
                for runs in (found, live)
            )
            line += f"{f'{value:.2f} ({value / harmless:.2f})':>15}"
    return line + f"{statistics.median(each.cpu for each in found):11.2f}"


if __name__ == "__main__":
    sys.exit(main())
