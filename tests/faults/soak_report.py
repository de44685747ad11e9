"""The outcome of a soak, in words and figures."""

import statistics
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.customers import Story
from tests.faults.vitals import Vitals, slope

WINDOW = 10.0
"""Seconds of each step in the throughput."""


@dataclass
class Soak:
    """The data of the report."""

    seed: int
    story: Story
    harms: Counter[str]
    vitals: Vitals
    done: list[tuple[str, float, float]]
    """For each fault: its name, its beginning and its end."""
    began: float
    ended: float = 0.0
    now: str = "calm"
    failures: Counter[str] = field(default_factory=Counter)
    doubles: int = 0

    @property
    def faults(self) -> int:
        return len(self.story.wrong) + self.doubles

    def line(self, until: float) -> str:
        """The current state in one line."""
        left = max(0, until - time.monotonic())
        story = self.story
        recent = sum(at > time.monotonic() - WINDOW for at, _ in story.took[-5_000:])
        return (
            f"{left:4.0f} s left  {len(story.accepted)} accepted  {story.ends.total()} ended"
            f"  {recent / WINDOW:5.0f}/s  {self.faults} wrong  {self.now:<32}"
        )

    def felt(self) -> dict[str, list[tuple[float, float]]]:
        """By fault, in seconds: the time until the first job sent after its beginning ended (another process
        may serve meanwhile), and the time of the slowest job that was sent or running during the fault.
        """
        found: dict[str, list[tuple[float, float]]] = {}
        for name, began, ended in self.done:
            after = [at - began for at, took in self.story.took if at - took > began]
            meanwhile = [took for at, took in self.story.took if at > began and at - took < ended]
            if after and meanwhile:
                found.setdefault(name, []).append((min(after), max(meanwhile)))
        return found

    def throughput(self) -> list[tuple[float, float]]:
        """Seconds since the start and jobs per second, for each whole window."""
        windows = int((self.ended - self.began) / WINDOW)
        counts = Counter(int((at - self.began) / WINDOW) for at, _ in self.story.took)
        return [(number * WINDOW, counts[number] / WINDOW) for number in range(windows)]


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else float("nan")


def report(soak: Soak) -> str:
    story, took = soak.story, [took for _, took in soak.story.took]
    rates = soak.throughput()
    lines = [
        "",
        f"seed {soak.seed}, {soak.ended - soak.began:.0f} s, {soak.harms.total()} harms",
        f"jobs        {len(story.accepted)} accepted, {dict(sorted(story.ends.items()))}",
        f"wrong       {len(story.wrong)} lost or wrong, {soak.doubles} ended twice",
        f"sent again  {soak.failures.total()} requests, {dict(soak.failures.most_common())}",
        f"job time    p50 {percentile(took, 0.5):.3f} s, p99 {percentile(took, 0.99):.2f} s,"
        f" longest {max(took, default=0):.2f} s",
        f"throughput  mean {statistics.fmean([rate for _, rate in rates] or [0]):.0f} jobs/s,"
        f" slope {60 * slope(rates) if len(rates) > 1 else 0:+.1f} jobs/s a minute",
    ]
    for what in ("api", "worker", "valkey"):
        slopes = soak.vitals.slopes(what)
        growth = ", ".join(f"{each:+.1f}" for each in sorted(slopes)) or "none lived long enough"
        lines.append(
            f"{what:<11} at most {soak.vitals.most(what, 1):.0f} MiB,"
            f" {soak.vitals.most(what, 2):.0f} file descriptors; MiB a minute: {growth}"
        )
    lines.append(
        f"{'harm':<30} {'times':>5}  next job done after, s: p50 max   slowest job meanwhile, s: p50 max"
    )
    for name, each in sorted(soak.felt().items()):
        first, slowest = zip(*each, strict=True)
        lines.append(
            f"  {name:<28} {len(each):5}  {percentile(first, 0.5):27.2f} {max(first):6.2f}"
            f"  {percentile(slowest, 0.5):27.2f} {max(slowest):6.2f}"
        )
    lines += [f"WRONG {each[:2_000]}" for each in story.wrong]
    return "\n".join(lines)
