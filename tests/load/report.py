"""What came of a load test: counts, entries and the table that is printed."""

import msgspec


class Entry(msgspec.Struct):
    """One line: a kind of request, or one of the times that jobs report."""

    name: str
    count: int
    failures: int
    rate: float
    """A second."""
    p50: float
    """Milliseconds, as are the others."""
    p95: float
    p99: float
    longest: float


class Report(msgspec.Struct):
    accepted: int = 0
    ended: int = 0
    refused: int = 0
    """Submits answered 503, which is no fault."""
    wrong: int = 0
    broken: int = 0
    """Unexpected answers, and requests without an answer."""
    first: str = ""
    """The first fault, in words."""
    entries: list[Entry] = []

    @property
    def lost(self) -> int:
        """Jobs that were accepted and not seen to end."""
        return self.accepted - self.ended

    @property
    def good(self) -> bool:
        """Whether jobs were answered, none was lost, and nothing was wrong."""
        return self.ended > 0 and not (self.lost or self.wrong or self.broken)

    def count_wrong(self, what: str) -> None:
        """A job's answer is wrong."""
        self.wrong += 1
        self.first = self.first or what

    def count_failed(self, what: str) -> None:
        """A request failed."""
        self.broken += 1
        self.first = self.first or what

    def table(self) -> str:
        head = f"{'':34}{'count':>8}{'failed':>8}{'a second':>10}{'p50':>8}{'p95':>8}{'p99':>8}{'max':>8} ms"
        lines = [
            f"{each.name:34}{each.count:8}{each.failures:8}{each.rate:10.1f}"
            + "".join(f"{value:8.0f}" for value in (each.p50, each.p95, each.p99, each.longest))
            for each in self.entries
        ]
        counts = f"{self.accepted} jobs accepted, {self.ended} ended, {self.lost} lost, {self.wrong} wrong"
        counts += f"; {self.refused} submits refused, {self.broken} requests failed"
        return "\n".join([head, *lines, counts, *([f"the first fault: {self.first}"] if self.first else [])])
