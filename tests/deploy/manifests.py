"""What lies in deploy/, parsed."""

from pathlib import Path
from typing import Any

import msgspec
import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERTS_TEST = DEPLOY / "prometheus" / "alerts_test.yml"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text(encoding="utf-8")))


def rules() -> list[dict[str, Any]]:
    """The alert rules."""
    return [rule for group in documents(ALERTS)[0]["groups"] for rule in group["rules"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = msgspec.json.decode((DEPLOY / "grafana" / "batchline.json").read_bytes())
    return found


def panels() -> list[dict[str, Any]]:
    """The dashboard's panels, without the rows' titles."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def kubernetes() -> list[dict[str, Any]]:
    """Every object that `kubectl apply -k` creates, but for the generated ConfigMap."""
    folder = DEPLOY / "kubernetes"
    return [found for name in kustomization()["resources"] for found in documents(folder / name)]


def kustomization() -> dict[str, Any]:
    return documents(DEPLOY / "kubernetes" / "kustomization.yaml")[0]


def one(kind: str, name: str) -> dict[str, Any]:
    named = [each for each in kubernetes() if each["metadata"]["name"] == f"batchline-{name}"]
    [found] = [each for each in named if each["kind"] == kind]
    return found


def queries() -> dict[str, str]:
    """All PromQL queries, by their source."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for trigger in one("ScaledObject", "worker")["spec"]["triggers"]:
        found["KEDA"] = trigger["metadata"]["query"]
    return found
