"""Alert rules and dashboard query metrics that exist, and pass promtool if it is installed."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from prometheus_client import CollectorRegistry

from api.health import failing
from bulk.batches.figures import Figures as BulkFigures
from bulk.batches.metrics import BulkCollector
from hooks.deliveries import COUNTED
from hooks.metrics import HookCollector
from hooks.service import Figures
from jobs.ledger.shard import Depth
from jobs.monitoring.metrics import ApiMetrics, LedgerCollector
from jobs.settings import Settings
from tests.deploy import manifests
from tests.ledger import heartbeat

PROMTOOL = shutil.which("promtool")
promtool = pytest.mark.skipif(PROMTOOL is None, reason="no promtool here; .ci/run installs it")

GRAFANA = {"$__rate_interval": "5m", "$job": "batchline", "$model": ".*"}
"""What Grafana puts in place of its variables."""

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}


def exported() -> set[str]:
    """The names of all samples that a scrape may have."""
    registry = CollectorRegistry()
    ApiMetrics(registry)
    registry.register(LedgerCollector({"m": Depth(0, 0, 0, 0)}, [heartbeat()], Settings()))
    registry.register(HookCollector(Figures(0, 0, dict.fromkeys(COUNTED, 0))))
    registry.register(BulkCollector(BulkFigures({}, 0, {}, {}, 0, 0)))
    return {family.name + suffix for family in registry.collect() for suffix in SUFFIXES[family.type]}


@pytest.mark.parametrize("query", manifests.queries().values(), ids=manifests.queries())
def test_every_queried_metric_exists(query: str) -> None:
    names = set(re.findall(r"batchline_\w+", re.sub(r'"[^"]*"', "", query)))
    assert names
    assert names <= exported()


@pytest.mark.parametrize("query", manifests.queries().values(), ids=manifests.queries())
def test_series_that_every_api_process_reports_count_once(query: str) -> None:
    """Every process reports queues and workers: their series need a maximum before any sum."""
    shared = r"(?:batchline_worker|batchline_workers|batchline_queue|batchline_bulk)\w*"
    for before in re.findall(rf"(\w+)(?: by \([^)]*\))? \((?:(?:rate|increase)\()?{shared}", query):
        assert before == "max"


def test_every_alert_says_what_and_why_and_has_a_test() -> None:
    tested: dict[str, list[bool]] = {}
    for group in manifests.documents(manifests.ALERTS_TEST)[0]["tests"]:
        for case in group["alert_rule_test"]:
            tested.setdefault(case["alertname"], []).append(bool(case.get("exp_alerts")))
    rules = manifests.rules()
    for rule in rules:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["labels"]["severity"] in ("warning", "critical")
        assert set(tested[rule["alert"]]) == {True, False}, "fires, and keeps quiet"
    assert tested.keys() == {rule["alert"] for rule in rules}


def test_the_alert_on_failed_inputs_has_the_bounds_of_the_health_line() -> None:
    [rule] = [rule for rule in manifests.rules() if rule["alert"] == "BatchlineInputsFail"]
    bounds = re.findall(r">= ([\d.]+)", rule["expr"])
    assert [float(bound) for bound in bounds] == [failing.MIN_SHARE, failing.MIN_INPUTS]
    assert set(re.findall(r"\[(\d+)m\]", rule["expr"])) == {f"{failing.WINDOW / 60:g}"}


def test_every_panel_says_what_it_shows_and_in_which_unit() -> None:
    panels = manifests.dashboard()["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    for panel in manifests.panels():
        assert panel["title"]
        assert len(panel["description"]) > 20
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["datasource"]["uid"] == "${datasource}"
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
    listed = manifests.dashboard()["templating"]["list"]
    variables = {variable["name"]: variable["type"] for variable in listed}
    assert variables["datasource"] == "datasource"
    used = {name[1:] for query in manifests.queries().values() for name in re.findall(r"\$[a-z]+", query)}
    assert used <= variables.keys()


def test_no_panel_covers_another() -> None:
    taken = set()
    for panel in manifests.dashboard()["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert (x, y) not in taken
                taken.add((x, y))


def check(*arguments: str | Path) -> None:
    assert PROMTOOL
    done = subprocess.run([PROMTOOL, *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@promtool
def test_the_rules_fire_when_they_should() -> None:
    check("check", "config", manifests.PROMETHEUS)
    check("test", "rules", manifests.ALERTS_TEST)


@promtool
def test_every_query_is_promql(tmp_path: Path) -> None:
    recorded = []
    for index, query in enumerate(manifests.queries().values()):
        for name, value in GRAFANA.items():
            query = query.replace(name, value)
        recorded.append({"record": f"query:{index}", "expr": query})
    rules = tmp_path / "rules.yml"
    rules.write_text(yaml.safe_dump({"groups": [{"name": "all", "rules": recorded}]}))
    check("check", "rules", rules)
