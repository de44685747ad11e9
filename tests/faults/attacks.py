"""`python -m tests.faults.attacks --times 5` runs each test marked `attack` five times and writes the
table of docs/reliability.md: what was tried, how often, what held.

The tests are the only source: `@pytest.mark.attack("what was tried", held="what must hold")` makes a test a
row, and tests with the same text share one. `tried="400 inputs"` on the mark says how many a run tried, or
the fixture `tried` if only the run knows. With `-k` only some tests run, and the table is printed only.
Exit status 1 if something did not hold.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- attacks: python -m tests.faults.attacks -->", "<!-- /attacks -->"
HEAD = ["| tried | how often | what must hold | held |", "| --- | --- | --- | --- |"]


@dataclass
class Row:
    """All runs of the tests with the same text."""

    what: str
    must: str
    runs: int = 0
    held: int = 0
    tried: Counter[str] = field(default_factory=Counter)
    """Number tried by unit, such as `inputs`, in all runs, whether they held or not."""
    skipped: str = ""
    """Why the test could not run here, or empty."""

    def line(self) -> str:
        counts = ", ".join(f"{count:,} {unit}" for unit, count in self.tried.items())
        often = f"{self.runs} {'run' if self.runs == 1 else 'runs'}{f', {counts}' if counts else ''}"
        held = f"{self.held} of {self.runs}" if self.runs else f"not run: {self.skipped}"
        return f"| {self.what} | {often} | {self.must} | {held} |"


class Attacks:
    """A pytest plugin that repeats the marked tests and counts their outcomes."""

    def __init__(self, times: int) -> None:
        self.times = times
        self.rows: dict[str, Row] = {}

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if self.times > 1 and metafunc.definition.get_closest_marker("attack"):
            metafunc.fixturenames.append("_attack_round")
            metafunc.parametrize("_attack_round", range(self.times))

    @pytest.hookimpl(trylast=True)  # after `-k` and others have selected tests
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        for item in items:
            if marker := item.get_closest_marker("attack"):
                (what,), must = marker.args, marker.kwargs["held"]
                item.user_properties.append(("attack", what))
                if "tried" in marker.kwargs:
                    item.user_properties.append(("tried", marker.kwargs["tried"]))
                assert self.rows.setdefault(what, Row(what, must)).must == must, f"two promises: {what}"

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        properties = dict(report.user_properties)
        row = self.rows.get(str(properties.get("attack")))
        if row is None:
            return
        if report.skipped:
            row.skipped = _reason(report)
        elif report.when == "call":
            row.runs += 1
            row.held += report.passed
            for name, value in report.user_properties:
                if name == "tried":
                    count, _, unit = str(value).partition(" ")
                    row.tried[unit] += int(count)
        elif report.failed:  # its setup failed, or its teardown found something left behind
            row.runs += report.when == "setup"
            row.held -= report.when == "teardown"

    @property
    def all_held(self) -> bool:
        return all(row.held == row.runs for row in self.rows.values())

    def table(self) -> list[str]:
        """Lines of Markdown."""
        return [*HEAD, *(row.line() for row in self.rows.values())]


def _reason(report: pytest.TestReport) -> str:
    """Why a test was skipped."""
    skip_reason = report.longrepr
    return str(skip_reason[2] if isinstance(skip_reason, tuple) else skip_reason).removeprefix("Skipped: ")


def written(document: str, table: Sequence[str]) -> str:
    """The document with the table in its place. Raises ValueError if it has no such place."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"there is no {BEGIN} with an {END} behind it")
    return "\n".join([before + begin, *table, end + after])


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.attacks", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="runs of each test")
    parser.add_argument("-k", default="", metavar="EXPRESSION", help="only matching tests, like pytest's -k")
    arguments = parser.parse_args(argv)
    attacks = Attacks(arguments.times)
    chosen = ["-k", arguments.k] if arguments.k else []
    options = ["-m", "attack", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), *chosen]
    status = pytest.main([*options, str(ROOT / "tests")], plugins=[attacks])
    if not arguments.k and status in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        text = DOCUMENT.read_text(encoding="utf-8")
        DOCUMENT.write_text(written(text, attacks.table()), encoding="utf-8")
    print("\n".join(attacks.table()))
    return 0 if attacks.all_held and status == pytest.ExitCode.OK else 1


if __name__ == "__main__":
    sys.exit(main())
