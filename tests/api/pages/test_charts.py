"""Charts and sparklines: what they draw, and the same in words."""

import httpx

from api.pages.charts import GAP, HEIGHT, SPAN, STEP, WIDTH, charts, paths, rounded_up, trend
from jobs.ledger.shard import Depth
from jobs.monitoring.histograms import LATENCIES
from jobs.monitoring.history import Moment, Sample, Series
from jobs.monitoring.work import Work
from tests.api.pages.test_overview import counts, read, submitted


def test_a_chart_has_a_line_where_there_are_samples_and_none_across_a_gap() -> None:
    now = 10_000.0
    points = [(now - SPAN, 0.0), (now - SPAN + GAP, 5.0), (now - 60, None), (now - 5, 10.0), (now, None)]
    joined, dots = paths(points, now, 10.0)
    assert joined == f"M0.0 {HEIGHT}L{WIDTH * GAP / SPAN:.1f} {HEIGHT / 2}"
    assert dots == "M298.3 0.0h0", "what has no neighbour is a dot"
    joined, dots = paths([(now - 5, 10.0), (now, 10.0)], now, 10.0)
    assert (joined, dots) == ("M298.3 0.0L300.0 0.0", "M298.3 0.0h0M300.0 0.0h0"), (
        "too short to be seen as a line"
    )
    assert [rounded_up(value) for value in (0, 0.3, 1.5, 7, 20, 21)] == [1, 1, 2, 10, 20, 50]


async def test_charts_say_in_words_what_they_draw(client: httpx.AsyncClient) -> None:
    work = Work(jobs=10, items=40, batches=5, tokens=80, padded=100, queued=counts(3, 10), inputs_failed=3)
    moments = [
        Moment(900.0, 0.0, Sample(Depth(1, 0, 0, 0), 1, Work())),
        Moment(995.0, 5.0, Sample(Depth(1_234, 1, 7, 0), 1, work)),
    ]
    drawn = {chart.title: chart for chart in charts(Series(1_000.0, moments, {}))}
    assert (
        drawn["Queue"].summary
        == "Queue, last 15 minutes: now waiting 1,235 jobs, running 7 jobs; highest 1,235 jobs"
    )
    assert drawn["Queue"].top == "2,000 jobs"
    assert drawn["Queue"].points == "900.0|1 job|0 jobs;995.0|1,235 jobs|7 jobs"
    assert [line.last for line in drawn["Done"].lines] == ["2/s", "8/s", "0.6/s"]
    assert [line.last for line in drawn["Queued"].lines] == ["≤ 5 ms", "≤ 5 ms"]
    assert [line.last for line in drawn["Padding"].lines] == ["20 %"]

    before = (await read(client, "/fragments/charts?model=sentiment")).one("svg", id="chart-queue")[
        "aria-label"
    ]
    await submitted(client)
    after = (await read(client, "/fragments/charts?model=sentiment")).one("svg", id="chart-queue")[
        "aria-label"
    ]
    assert "now waiting 0 jobs" in before
    assert "now waiting 1 job," in after, "no sample has it yet"

    page = await read(client, "/fragments/charts?model=shapes")
    assert len(page.all("svg", role="img")) == len(drawn)


def test_a_percentile_above_all_bounds_is_drawn_at_the_highest() -> None:
    work = Work(jobs=1, queued=counts(len(LATENCIES), 1))
    drawn = {
        chart.title: chart
        for chart in charts(Series(1_000.0, [Moment(995.0, 5.0, Sample(Depth(0, 0, 0, 0), 1, work))], {}))
    }
    queued = drawn["Queued"]
    assert (queued.top, [line.last for line in queued.lines]) == ("2,000 s", ["> 30 min", "> 30 min"])
    assert queued.summary == "Queued, last 15 minutes: now p50 > 30 min, p95 > 30 min; highest > 30 min"
    assert queued.lines[0].dots == "M298.3 0.0h0"
    assert drawn["Computing"].summary.endswith("highest –")  # noqa: RUF001 - the dash is intended


def test_a_sparkline_has_every_peak_and_ends_now() -> None:
    now = 10_000.0
    samples = [(now - SPAN - 5, 900), (now - 600, 0), (now - 595, 40), (now - 590, 3), (now - 10, 0)]
    line = trend(samples, now, 7)
    assert line.highest == 40, "what is older than the line does not count"
    assert line.summary == "Waiting jobs, last 15 minutes: at most 40 jobs"
    [before, peak] = line.path.removeprefix("M").split("L")
    assert (before.split()[1], peak.split()[1]) == (f"{HEIGHT}", f"{HEIGHT * (1 - 40 / 50):.1f}")
    assert float(peak.split()[0]) - float(before.split()[0]) == WIDTH * STEP / SPAN
    assert line.dots == f"M{WIDTH} {HEIGHT * (1 - 7 / 50):.1f}h0", "now, after a gap without samples"


def test_a_model_without_samples_has_its_present_number() -> None:
    line = trend([], 1_000.0, 3)
    assert (line.path, line.highest) == ("", 3)
    assert line.dots == f"M{WIDTH} {HEIGHT * (1 - 3 / 5):.1f}h0"
