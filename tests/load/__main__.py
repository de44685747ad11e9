"""`python -m tests.load`, as `make load` runs it: locust's users against a server, a table, and a report in
tests/load/out/report.html. Exit status 1 when a job was lost or wrong, or a request failed.
"""

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec

import msgspec

from bench import machine
from tests.load.report import Report
from tests.load.target import OUT, served
from tests.processes import ROOT

LAST_JOBS = 130
"""Seconds that users may take to see their last jobs end."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.load")
    parser.add_argument("--url", help="the server to load (default: a new one)")
    parser.add_argument("--users", type=int, default=32, help="simultaneous users (default: 32)")
    parser.add_argument("--rate", type=float, default=16, help="users started per second (default: 16)")
    parser.add_argument(
        "--seconds", type=float, default=30, help="seconds from the start of the first user (default: 30)"
    )
    arguments = parser.parse_args(argv)
    if find_spec("locust") is None:
        print("load: locust is not installed; `make load` does that", file=sys.stderr)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end everything, as on Ctrl-C
    try:
        with served(arguments.url) as url:
            report = attack(url, arguments.users, arguments.rate, arguments.seconds)
    except RuntimeError as error:
        print(f"load: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; {arguments.users} users, {arguments.seconds:g} s")
    print(report.table())
    print(f"the report is {OUT / 'report.html'}")
    return 0 if report.good else 1


def attack(url: str, users: int, rate: float, seconds: float) -> Report:
    """Runs locust in a separate process. Raises RuntimeError if it prints no report."""
    OUT.mkdir(exist_ok=True)
    summary, log = OUT / "summary.json", OUT / "locust.log"
    summary.unlink(missing_ok=True)
    command = [sys.executable, "-m", "locust", "-f", "tests/load/users.py", "--headless", "--host", url]
    command += ["-u", str(users), "-r", str(rate), "-t", f"{seconds:g}s", "--stop-timeout", str(LAST_JOBS)]
    command += ["--html", str(OUT / "report.html"), "--only-summary", "--loglevel", "WARNING"]
    environment = {**os.environ, "LOAD_SUMMARY": str(summary)}
    with log.open("wb") as lines:
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=lines, stderr=lines)
        try:
            child.wait(users / rate + seconds + LAST_JOBS + 60)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"locust did not end in time; see {log}") from None
        finally:
            if child.poll() is None:
                child.kill()
                child.wait(10)
    if not summary.exists():
        raise RuntimeError(f"locust ended with status {child.returncode}; see {log}")
    return msgspec.json.decode(summary.read_bytes(), type=Report)


if __name__ == "__main__":
    sys.exit(main())
