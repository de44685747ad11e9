"""`python -m bench.ledger`: the processor time that the ledger costs its servers for each job, and memory.

Load, API and worker are replaced by a program that drives the ledger directly (`bench/ledger_driver.py`). The
figure to compare is microseconds of the servers' processor time per job. On few cores, jobs per second say
more about that program than about the ledger. Rows alternate for each round; the table has medians.

    --servers plain:1 plain:4     one server, with that many shards
    --servers cluster:3:0         a cluster of 3 primaries without replicas, with SHARDS shards
    --other CHECKOUT              also rows of another checkout, with its own modules, on plain:1
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from bench import machine
from bench.errors import BenchError
from tests import valkey
from tests.cluster import nodes

HERE = Path(__file__).resolve().parents[1]
SHARDS = 12
"""Of a cluster: enough that each of three primaries has some."""
STEPS = ("submit", "claim", "start", "finish")
LIMIT = 300
"""Most seconds of one run."""


class Row(NamedTuple):
    """One line of the table."""

    checkout: Path
    servers: str
    batch: int
    waiter: bool

    @property
    def name(self) -> str:
        where = "" if self.checkout == HERE else f" {self.checkout.name}"
        return f"{self.servers}{where}"


class Cost(NamedTuple):
    """What one job cost: microseconds of processor time."""

    steps: dict[str, float]
    """Of all servers, by step."""
    servers: list[float]
    """Of all steps, by server; primaries first."""
    trips: float
    rate: float
    """Jobs per second."""
    memory: float
    """Bytes of a finished job beyond its results."""

    @property
    def total(self) -> float:
        return sum(self.servers)


@contextmanager
def servers(which: str, folder: Path) -> Iterator[dict[str, Any]]:
    """Starts servers; yields their part of the driver's task. Raises BenchError for an unknown kind."""
    match which.split(":"):
        case ["plain", shards]:
            with valkey.running(folder) as server:
                yield {"url": server.url(), "ports": [server.port], "primaries": 1, "shards": int(shards)}
        case ["cluster", primaries, replicas]:
            with nodes.running(folder, primaries=int(primaries), replicas=int(replicas)) as cluster:
                ports = [node.port for node in cluster.nodes]
                yield {"url": cluster.url(), "ports": ports, "primaries": int(primaries), "shards": SHARDS}
        case _:
            raise BenchError(f"{which!r} is neither plain:SHARDS nor cluster:PRIMARIES:REPLICAS")


def measure(row: Row, given: argparse.Namespace) -> Cost:
    """Starts servers and drives the ledger of the row's checkout. Raises BenchError."""
    with TemporaryDirectory() as folder, servers(row.servers, Path(folder)) as where:
        task = where | {
            "jobs": given.jobs,
            "batch": row.batch,
            "waiter": row.waiter,
            "lanes": given.lanes,
            "listeners": given.listeners,
            "input_bytes": given.input_bytes,
            "result_bytes": given.result_bytes,
        }
        command = [sys.executable, "-P", str(HERE / "bench" / "ledger_driver.py"), json.dumps(task)]
        try:
            done = subprocess.run(
                command,
                cwd=row.checkout,
                env=os.environ | {"PYTHONPATH": str(row.checkout)},
                capture_output=True,
                text=True,
                timeout=LIMIT,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise BenchError(f"the driver failed: {error.stderr[-2000:]}") from None
        except subprocess.TimeoutExpired:
            raise BenchError(f"the driver took more than {LIMIT} s") from None
    found = json.loads(done.stdout.splitlines()[-1])
    jobs, each = found["kept"], found["cpu"]
    return Cost(
        {step: sum(each[step]) / jobs * 1e6 for step in STEPS},
        [sum(times) / jobs * 1e6 for times in zip(*each.values(), strict=True)],
        sum(found["trips"].values()) / jobs,
        jobs / found["seconds"],
        found["memory"] / jobs - given.result_bytes,
    )


def line(row: Row, costs: list[Cost]) -> str:
    def median(figures: list[float]) -> float:
        return statistics.median(figures)

    primaries = int(row.servers.split(":")[1]) if row.servers.startswith("cluster") else 1
    by_server = [median(list(times)) for times in zip(*(cost.servers for cost in costs), strict=True)]
    each = "+".join(f"{time:.0f}" for time in by_server[:primaries])
    replicas = sum(by_server[primaries:])
    totals = [cost.total for cost in costs]
    steps = "".join(f"{median([cost.steps[step] for cost in costs]):8.1f}" for step in STEPS)
    return (
        f"{row.name:18}{row.batch:5}{'yes' if row.waiter else 'no':>7}{steps}{median(totals):8.1f}"
        f" {f'({min(totals):.0f}..{max(totals):.0f})':11}{each:>10}{replicas:9.0f}"
        f"{median([cost.trips for cost in costs]):7.2f}{median([cost.memory for cost in costs]):7.0f}"
        f"{median([cost.rate for cost in costs]):7.0f}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.ledger")
    kinds = ["plain:1", "plain:4", "cluster:1:0", "cluster:2:0", "cluster:3:0", "cluster:3:1"]
    parser.add_argument("--servers", nargs="+", default=kinds, help=f"(default: {' '.join(kinds)})")
    parser.add_argument(
        "--other", type=Path, metavar="CHECKOUT", help="compare with this checkout, on plain:1"
    )
    parser.add_argument("--jobs", type=int, default=20_000, help="of each run (default: 20000)")
    parser.add_argument(
        "--batches", type=int, nargs="+", default=[1, 8, 32], help="jobs in a script (default: 1 8 32)"
    )
    parser.add_argument(
        "--waiter", choices=["yes", "no", "both"], default="both", help="a request waits for each job"
    )
    parser.add_argument("--lanes", type=int, default=8, help="calls under way at once (default: 8)")
    parser.add_argument(
        "--listeners", type=int, default=1, help="API processes that hear events (default: 1)"
    )
    parser.add_argument("--input-bytes", type=int, default=70, help="(default: 70)")
    parser.add_argument("--result-bytes", type=int, default=60, help="(default: 60)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")
    given = parser.parse_args()
    waiters = {"yes": [True], "no": [False], "both": [False, True]}[given.waiter]
    rows = []
    for batch in given.batches:
        for waiter in waiters:
            for kind in given.servers:
                if given.other and kind == "plain:1":
                    rows.append(Row(given.other.resolve(), kind, batch, waiter))
                rows.append(Row(HERE, kind, batch, waiter))
    about = machine.describe()
    cpu = f"{about['cpu']}, {about['cores']} cores"
    print(f"{cpu}, valkey {about['valkey']}; load before: {about['load before']}")
    costs: dict[Row, list[Cost]] = {row: [] for row in rows}
    try:
        for number in range(given.rounds):
            for row in rows if number % 2 == 0 else reversed(rows):
                costs[row].append(measure(row, given))
                print(".", end="", file=sys.stderr, flush=True)
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print(f"\n{'':30}us of the servers' processor time per job{'':11}by{'':9}trips  bytes")
    print(
        f"{'servers':18}{'batch':>5}{'waiter':>7}"
        + "".join(f"{step:>8}" for step in STEPS)
        + f"{'sum':>8} {'':11}{'primary':>10}{'replicas':>9}{'a job':>7}{'a job':>7}{'jobs/s':>7}"
    )
    for row in rows:
        print(line(row, costs[row]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
