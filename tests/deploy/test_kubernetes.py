"""The manifests: valid by Kubernetes' own schemas, and in step with the code that they run."""

from typing import Any

import pytest

from api.app import create_app
from api.edge import server
from jobs.settings import Settings
from tests.deploy import manifests
from worker.__main__ import STOP_MARGIN
from worker.__main__ import _parser as worker_arguments

KUBERNETES = "1.33"
"""The oldest release that the manifests are checked against."""

WORKLOADS = [("StatefulSet", "valkey"), ("Deployment", "api"), ("Deployment", "worker")]


def settings() -> dict[str, str]:
    """The generated ConfigMap."""
    [generated] = manifests.kustomization()["configMapGenerator"]
    assert generated["name"] == "batchline-settings"
    return dict(literal.split("=", 1) for literal in generated["literals"])


def pod(kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = manifests.one(kind, name)["spec"]["template"]["spec"]
    return spec


def container(kind: str, name: str) -> dict[str, Any]:
    [found] = pod(kind, name)["containers"]
    assert isinstance(found, dict)
    return found


def test_every_manifest_is_applied() -> None:
    there = {path.name for path in (manifests.DEPLOY / "kubernetes").glob("*.yaml")} - {"kustomization.yaml"}
    assert there == set(manifests.kustomization()["resources"])


@pytest.mark.parametrize(
    "manifest",
    [each for each in manifests.kubernetes() if not each["apiVersion"].startswith("keda")],
    ids=lambda each: f"{each['kind']}/{each['metadata']['name']}",
)
def test_kubernetes_would_take_it(manifest: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate")
    validate.validate(manifest, KUBERNETES, strict=True)


def test_the_settings_are_settings() -> None:
    given = {name.removeprefix("BATCHLINE_").lower(): value for name, value in settings().items()}
    assert given.keys() <= Settings.model_fields.keys()
    parsed = Settings.model_validate(given)
    host, _, port = parsed.redis_url.removeprefix("redis://").partition("/")[0].partition(":")
    assert manifests.one("Service", host.removeprefix("batchline-"))["spec"]["ports"][0]["port"] == int(port)
    [listening] = container("Deployment", "api")["ports"]
    assert listening["containerPort"] == parsed.port
    for name in ("api", "worker"):
        [source] = container("Deployment", name)["envFrom"]
        assert source["configMapRef"]["name"] == "batchline-settings"


@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_apis_probes_ask_for_what_there_is(probe: str) -> None:
    request = container("Deployment", "api")[probe]["httpGet"]
    assert request["path"] == "/health/live", (
        "a pod without Redis or workers must not be restarted, nor hidden"
    )
    assert request["path"] in create_app(Settings()).openapi()["paths"]
    assert request["port"] == container("Deployment", "api")["ports"][0]["name"]


def test_the_workers_probe_is_a_command_that_there_is() -> None:
    command = container("Deployment", "worker")["readinessProbe"]["exec"]["command"]
    assert command[:3] == ["python", "-m", "worker"]
    assert worker_arguments().parse_args(command[3:]).check


def test_pods_are_given_the_time_that_an_orderly_stop_takes() -> None:
    grace = Settings.model_validate({"shutdown_grace": settings()["BATCHLINE_SHUTDOWN_GRACE"]}).shutdown_grace
    assert pod("Deployment", "worker")["terminationGracePeriodSeconds"] > grace + STOP_MARGIN
    lead = int(container("Deployment", "api")["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod("Deployment", "api")["terminationGracePeriodSeconds"] > lead + server.GRACE_SECONDS


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_everything_is_selected_by_its_own_labels(kind: str, name: str) -> None:
    labels = manifests.one(kind, name)["spec"]["template"]["metadata"]["labels"]
    selectors = [manifests.one(kind, name)["spec"]["selector"]["matchLabels"]]
    for each in manifests.kubernetes():
        if each["metadata"]["name"] == f"batchline-{name}" and each["kind"] == "Service":
            selectors.append(each["spec"]["selector"])
        if each["metadata"]["name"] == f"batchline-{name}" and each["kind"] == "PodDisruptionBudget":
            selectors.append(each["spec"]["selector"]["matchLabels"])
    for selector in selectors:
        assert selector.items() <= labels.items()


@pytest.mark.parametrize(("kind", "name"), WORKLOADS)
def test_no_container_has_more_rights_than_it_needs(kind: str, name: str) -> None:
    assert pod(kind, name)["securityContext"]["runAsNonRoot"] is True
    assert pod(kind, name)["automountServiceAccountToken"] is False
    rights = container(kind, name)["securityContext"]
    assert rights["allowPrivilegeEscalation"] is False
    assert rights["readOnlyRootFilesystem"] is True
    assert rights["capabilities"] == {"drop": ["ALL"]}
    assert container(kind, name)["resources"]["limits"]["memory"]


def test_the_queue_outlives_its_pod() -> None:
    spec = manifests.one("StatefulSet", "valkey")["spec"]
    arguments = container("StatefulSet", "valkey")["args"]
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert (options["--appendonly"], options["--maxmemory-policy"]) == ("yes", "noeviction")
    [mount] = container("StatefulSet", "valkey")["volumeMounts"]
    [claim] = spec["volumeClaimTemplates"]
    assert mount == {"name": claim["metadata"]["name"], "mountPath": options["--dir"]}


def test_keda_scales_the_workers() -> None:
    scaled = manifests.one("ScaledObject", "worker")["spec"]
    worker = manifests.one("Deployment", "worker")
    assert scaled["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert "replicas" not in worker["spec"], "an apply would undo what KEDA has set"
    assert scaled["fallback"]
    for trigger in scaled["triggers"]:
        assert trigger["metricType"] == "AverageValue", "a fallback needs it"


def test_only_batchlines_pods_reach_the_queue() -> None:
    [rule] = manifests.one("NetworkPolicy", "valkey")["spec"]["ingress"]
    allowed = [peer["podSelector"]["matchLabels"] for peer in rule["from"]]
    for name in ("api", "worker"):
        labels = manifests.one("Deployment", name)["spec"]["template"]["metadata"]["labels"]
        assert any(selector.items() <= labels.items() for selector in allowed)
