"""`batchline top [--url URL] [--once]`, or `python -m top`: a live table until Ctrl-C, or printed once."""

import argparse
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence

from rich.console import Console
from rich.live import Live

from top.readings import NoServer, Reading, Server
from top.table import plain, screen

DEFAULT_WIDTH = 160
"""Columns if the output is not a terminal."""

COLUMNS = """\
columns of the models:
  wait      waiting jobs, which no worker has claimed yet
  oldest    waiting time of the oldest of them
  run       jobs that a worker has claimed
  done/s    ended jobs per second
  queued    time from a job's submit to its start
  compute   time of the model for a job's batches
  p50, p95  half of the jobs, or 95 % of them, took at most this long
  batch     mean number of inputs in a micro-batch
  pad       share of padding among the tokens that were run
  fail      share of failed inputs among those of ended jobs

columns of the workers:
  items/s   inputs per second of computing
  budget    tokens of a full batch, including padding
  up        time since the worker's start
  failed    failed inputs since the worker's start
  restarts  restarts of the engine, with their reasons
  lost      leases that expired before their jobs ended; these jobs ran again
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit status: 1 if no server answers or, with --once, if something is degraded or bad."""
    arguments = _parser().parse_args(argv)
    console = Console()
    if not console.is_terminal and "COLUMNS" not in os.environ:
        console = Console(width=DEFAULT_WIDTH)
    server = Server(arguments.url)
    try:
        if arguments.once:
            return _once(console, server, arguments.every)
        return _live(console, server, arguments.every, arguments.window)
    except NoServer as error:
        print(f"batchline top: {plain(str(error))}", file=sys.stderr)  # noqa: T201
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        server.close()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchline top",
        description="Show a live table of a running server.",
        epilog=COLUMNS,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--url",
        default=_default_url(),
        help="the server (default: %(default)s, from BATCHLINE_HOST and BATCHLINE_PORT); for https:// with a"
        " certificate of your own authority, set SSL_CERT_FILE to that authority's certificate."
        " For a server with keys, set BATCHLINE_API_KEY to an admin's key",
    )
    parser.add_argument(
        "--once", action="store_true", help="print once and exit; status 1 if something is wrong"
    )
    parser.add_argument(
        "--every", type=_seconds, default=2.0, metavar="S", help="seconds between readings (default: 2)"
    )
    parser.add_argument(
        "--window",
        type=_seconds,
        default=30.0,
        metavar="S",
        help="seconds that rates and percentiles cover in the live table (default: 30)",
    )
    return parser


def _default_url() -> str:
    """Returns the URL of an API with this environment's settings."""
    host, port = os.environ.get("BATCHLINE_HOST", ""), os.environ.get("BATCHLINE_PORT", "8000")
    host = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    scheme = "https" if os.environ.get("BATCHLINE_TLS_CERT") else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _seconds(given: str) -> float:
    seconds = float(given)
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("give seconds between 0.1 and 3600")
    return seconds


def _once(console: Console, server: Server, every: float) -> int:
    """Prints the table once, from two readings, because rates need two."""
    old = server.read()
    time.sleep(every)
    new = server.read()
    console.print(screen(server.url, old, new))
    return 1 if new.faults else 0


def _live(console: Console, server: Server, every: float, window: float) -> int:
    """Updates the table until interrupted; waits if the server stops answering after the first reading."""
    readings: deque[Reading] = deque([server.read()])
    interrupted = threading.Event()

    def interrupt(*_: object) -> None:
        interrupted.set()
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    with Live(console=console, screen=console.is_terminal, auto_refresh=False) as live:
        fault = ""
        while not interrupted.is_set():  # Python ignores a KeyboardInterrupt that is raised in a destructor
            live.update(screen(server.url, readings[0], readings[-1], fault), refresh=True)
            time.sleep(every)
            try:
                readings.append(server.read())
                fault = ""
            except NoServer as error:
                fault = f"no answer for {time.monotonic() - readings[-1].at:.0f} s: {plain(str(error))}"
            while len(readings) > 2 and readings[-1].at - readings[1].at >= window:
                readings.popleft()
    return 0


if __name__ == "__main__":
    sys.exit(main())
