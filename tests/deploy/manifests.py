"""What lies in deploy/, parsed; the Kubernetes manifests as Kustomize renders them."""

import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import yaml

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yml"
ALERTS_TEST = DEPLOY / "prometheus" / "alerts_test.yml"
KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = ("single", "cluster")

_COMMANDS = (["kubectl", "kustomize"], ["kustomize", "build"])
KUSTOMIZE = next((command for command in _COMMANDS if shutil.which(command[0])), None)
"""Renders a folder with a kustomization."""

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


def kubernetes(overlay: str) -> list[dict[str, Any]]:
    """Every object that `kubectl apply -k` of the overlay creates; empty if no tool here can render it."""
    return [] if KUSTOMIZE is None else list(yaml.safe_load_all(_rendered(overlay)))


@cache
def _rendered(overlay: str) -> str:
    assert KUSTOMIZE
    command = [*KUSTOMIZE, str(KUBERNETES / "overlays" / overlay)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def one(overlay: str, kind: str, name: str) -> dict[str, Any]:
    """The overlay's object of this kind, named `batchline-NAME`."""
    named = [each for each in kubernetes(overlay) if each["metadata"]["name"] == f"batchline-{name}"]
    [found] = [each for each in named if each["kind"] == kind]
    return found


def scaler() -> dict[str, Any]:
    [found] = documents(KUBERNETES / "base" / "scaledobject.yaml")
    return found


def queries() -> dict[str, str]:
    """All PromQL queries, by their source."""
    found = {rule["alert"]: rule["expr"] for rule in rules()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    for trigger in scaler()["spec"]["triggers"]:
        found["KEDA"] = trigger["metadata"]["query"]
    return found
