"""`python -m tests.load.ramp`, as `make ramp` runs it: the highest rate of arrivals, in an open loop, with a
99th percentile of the latency within a limit.

Each arrival is a job with one text that waits for its answer. A step passes when its p99 is within the limit
and no request failed; the latency counts from when a request was due (`bench/arrivals.py`).
"""

import argparse
import json
import sys
from collections.abc import Sequence
from urllib.parse import urlsplit

import httpx

from bench import arrivals, machine
from bench.arrivals import Arrivals, Arrived
from bench.errors import BenchError
from bench.texts import make_texts
from tests.load.search import highest
from tests.load.target import served

PATH = "/v1/jobs?wait=30"

ENOUGH = 300
"""Requests that a 99th percentile wants; for as many a step may last three times as long."""


class Ramp:
    """The steps against one server."""

    def __init__(self, url: str, p99: float, seconds: float) -> None:
        address = urlsplit(url)
        if address.scheme != "http" or not address.hostname:
            raise BenchError(f"{url}: only http:// is supported")
        self.url, self.limit, self.seconds = url, p99, seconds
        self.host, self.port = address.hostname, address.port or 80
        self.bodies = [json.dumps({"inputs": text}) for text in make_texts(256)]
        self._step = 0

    def passes(self, rate: float) -> bool:
        """Runs one step, prints it, and leaves the queue empty."""
        self._step += 1
        arrived = arrivals.run(self.plan(rate))
        fault = self.fault(arrived)
        p50, p99 = (arrived.p50, arrived.p99) if arrived.took else (0.0, 0.0)
        print(
            f"{rate:10.1f}{arrived.sent:8}{p50:9.1f}{p99:9.1f}{arrived.errors:8}{arrived.late:8.1f}  "
            + (fault or "passes"),
            flush=True,
        )
        self._drain()
        return fault is None

    def plan(self, rate: float) -> Arrivals:
        return Arrivals(
            port=self.port,
            host=self.host,
            path=PATH,
            rate=rate,
            count=self.count(rate),
            bodies=self.bodies,
            contains='"status":"succeeded"',
            seed=self._step,
            # four times what Little's law allows at the limit: it will not come back from that
            most=round(min(4000, 100 + 4 * rate * self.limit)),
        )

    def count(self, rate: float) -> int:
        return max(1, round(max(rate * self.seconds, min(ENOUGH, 3 * rate * self.seconds))))

    def fault(self, arrived: Arrived) -> str | None:
        """Why the step fails, if it does."""
        if arrived.errors:
            return f"failed: {arrived.error[:80]}"
        if arrived.overrun:
            return "failed: too many in flight"
        return None if arrived.p99 <= self.limit * 1000 else "failed: p99"

    def _drain(self) -> None:
        """Waits for unfinished jobs before the next step."""
        for _ in range(20):
            answer = httpx.post(f"{self.url}{PATH}", json={"inputs": "last", "priority": "low"}, timeout=60)
            if answer.status_code == 200:
                return
        raise BenchError("the queue does not become empty")


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load.ramp")
    parser.add_argument("--url", help="the server to load (default: a new one)")
    parser.add_argument(
        "--p99", type=float, default=0.5, help="limit of the 99th percentile in seconds (default: 0.5)"
    )
    parser.add_argument(
        "--first", type=float, default=20, help="the first rate in requests per second (default: 20)"
    )
    parser.add_argument("--seconds", type=float, default=10, help="seconds of each step (default: 10)")
    arguments = parser.parse_args(argv)
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    print(f"{'rate':>10}{'sent':>8}{'p50 ms':>9}{'p99 ms':>9}{'errors':>8}{'late':>8}")
    try:
        with served(arguments.url) as url:
            ramp = Ramp(url, arguments.p99, arguments.seconds)
            found = highest(ramp.passes, arguments.first)
    except (BenchError, RuntimeError) as error:
        print(f"ramp: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    if found is None:
        print(f"no tried rate has a p99 within {arguments.p99:g} s")
        return 1
    print(f"the highest rate with a p99 within {arguments.p99:g} s: {found:.1f} a second")
    return 0


if __name__ == "__main__":
    sys.exit(main())
