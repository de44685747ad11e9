"""The documentation tells of every setting, model key, Redis key and metric, with the default that it has."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from bulk.batches.figures import Figures as BulkFigures
from bulk.batches.metrics import BulkCollector
from hooks.deliveries import COUNTED
from hooks.metrics import HookCollector
from hooks.service import Figures
from jobs import tasks
from jobs.ledger.keys import Key
from jobs.ledger.shard import Depth
from jobs.models import ModelSpec
from jobs.monitoring.link_metrics import LinkMetrics
from jobs.monitoring.metrics import ApiMetrics, LedgerCollector
from jobs.monitoring.owner_metrics import OwnerCollector
from jobs.monitoring.roster import Heartbeat
from jobs.settings import Settings
from tests import redis_keys

ROOT = Path(__file__).parent.parent
CONFIGURATION = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
TASKS_PAGE = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", Settings.model_fields)
def test_every_setting_and_its_default_is_in_the_configuration_page(name: str) -> None:
    default = Settings.model_fields[name].default
    assert f"| `BATCHLINE_{name.upper()}` | `{default}` |" in CONFIGURATION


@pytest.mark.parametrize("name", sorted(ModelSpec.model_fields.keys() - {"name"}))
def test_every_key_of_the_models_file_is_in_the_configuration_page(name: str) -> None:
    assert f"| `{name}` |" in CONFIGURATION


@pytest.mark.parametrize("task", tasks.TASKS)
def test_every_parameter_is_in_the_page_of_tasks(task: str) -> None:
    [row] = [line for line in TASKS_PAGE.splitlines() if line.startswith(f"| {task} |")]
    for parameter in tasks.TASKS[task].parameters.__struct_fields__:
        assert f"`{parameter}`" in row


@pytest.mark.parametrize("key", redis_keys.ALL, ids=lambda key: key.pattern)
def test_every_key_is_on_the_map(key: Key) -> None:
    assert f"| `{key.pattern}` | {key.type} |" in MAP


def test_no_file_is_too_long_to_read() -> None:
    rooms = (
        "api",
        "bulk",
        "cli",
        "hooks",
        "jobs",
        "worker",
        "standalone",
        "top",
        "training",
        "examples",
        "tests",
    )
    lengths = {
        path: len(path.read_text(encoding="utf-8").splitlines())
        for room in rooms
        for path in (ROOT / room).rglob("*.py")
    }
    assert lengths
    assert {path: lines for path, lines in lengths.items() if lines > 300} == {}


def test_every_metric_is_documented() -> None:
    registry = CollectorRegistry()
    ApiMetrics(registry)
    LinkMetrics(registry)
    beat = Heartbeat(id="a", model="m", host="h", pid=1, started=0, engine="ready", jobs={"succeeded": 1})
    registry.register(LedgerCollector({"m": Depth(0, 0, 0, 0)}, [beat], Settings()))
    registry.register(OwnerCollector({}))
    registry.register(HookCollector(Figures(0, 0, dict.fromkeys(COUNTED, 0))))
    registry.register(BulkCollector(BulkFigures({}, 0, {}, {}, 0, 0)))
    told = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    families = [
        family for family in registry.collect() if not family.name.startswith("batchline_api_process")
    ]
    assert families
    for family in families:
        suffix = "_total" if family.type == "counter" else ""
        assert f"| `{family.name}{suffix}` | {family.type} | {family.documentation} |" in told
