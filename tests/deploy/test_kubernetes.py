"""The manifests: valid by Kubernetes' own schemas, with the limits and rights that every pod must have."""

import re
from typing import Any

import pytest
import yaml

from tests.deploy import manifests
from tests.deploy.manifests import OVERLAYS, kubernetes, one

KUBERNETES = "1.33"
"""The oldest release that the manifests are checked against."""

pytestmark = pytest.mark.skipif(manifests.KUSTOMIZE is None, reason="neither kubectl nor kustomize is here")

OBJECTS = [(overlay, each) for overlay in OVERLAYS for each in kubernetes(overlay)]
WORKLOADS = [(overlay, each) for overlay, each in OBJECTS if "template" in each.get("spec", {})]


def described(parameter: Any) -> str:
    return parameter if isinstance(parameter, str) else f"{parameter['kind']}-{parameter['metadata']['name']}"


every_workload = pytest.mark.parametrize(("overlay", "workload"), WORKLOADS, ids=described)


def pod(workload: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = workload["spec"]["template"]["spec"]
    return spec


def labels(workload: dict[str, Any]) -> dict[str, str]:
    found: dict[str, str] = workload["spec"]["template"]["metadata"]["labels"]
    return found


def containers(workload: dict[str, Any]) -> list[dict[str, Any]]:
    spec = pod(workload)
    return [*spec.get("initContainers", []), *spec["containers"]]


def test_every_file_is_used_by_a_kustomization() -> None:
    for folder in (path.parent for path in manifests.KUBERNETES.glob("**/kustomization.yaml")):
        [content] = manifests.documents(folder / "kustomization.yaml")
        used = {"kustomization.yaml", *content["resources"]}
        used |= {patch["path"] for patch in content.get("patches", [])}
        used |= {name for each in content.get("configMapGenerator", []) for name in each.get("files", [])}
        assert {path.name for path in folder.iterdir() if path.is_file()} <= used


@pytest.mark.parametrize(("overlay", "manifest"), OBJECTS, ids=described)
def test_kubernetes_would_take_it(overlay: str, manifest: dict[str, Any]) -> None:
    if manifest["apiVersion"].startswith("keda"):
        pytest.skip("KEDA's schema is not among Kubernetes' own")
    validate = pytest.importorskip("kubernetes_validate")
    validate.validate(manifest, KUBERNETES, strict=True)


@every_workload
def test_every_container_has_requests_and_limits(overlay: str, workload: dict[str, Any]) -> None:
    for container in containers(workload):
        resources = container["resources"]
        for amounts in (resources["requests"], resources["limits"]):
            assert amounts.keys() == {"cpu", "memory"}
    for volume in pod(workload).get("volumes", []):
        assert "emptyDir" not in volume or "sizeLimit" in volume["emptyDir"]


@every_workload
def test_no_container_has_more_rights_than_it_needs(overlay: str, workload: dict[str, Any]) -> None:
    spec = pod(workload)
    assert spec["automountServiceAccountToken"] is False
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}
    for container in containers(workload):
        rights = container["securityContext"]
        assert rights["allowPrivilegeEscalation"] is False
        assert rights["readOnlyRootFilesystem"] is True
        assert rights["capabilities"] == {"drop": ["ALL"]}


@every_workload
def test_every_image_has_a_version_or_a_digest(overlay: str, workload: dict[str, Any]) -> None:
    for container in containers(workload):
        assert is_pinned(container["image"]), container["image"]


@pytest.mark.parametrize(
    "name", ["valkey", "valkey:latest", "host:5000/valkey", "valkey@sha256:1", "valkey:9@sha256:"]
)
def test_an_image_without_a_version_is_not_pinned(name: str) -> None:
    assert not is_pinned(name)


def is_pinned(image: str) -> bool:
    """Whether the image's name has a digest, or else a tag that names a version."""
    name, at, digest = image.partition("@")
    if at:
        return re.fullmatch("sha256:[0-9a-f]{64}", digest) is not None
    _, _, tag = name.rpartition("/")[2].partition(":")
    return re.match(r"v?\d", tag) is not None


@every_workload
def test_every_server_has_probes_and_may_be_evicted_one_at_a_time(
    overlay: str, workload: dict[str, Any]
) -> None:
    if workload["kind"] == "Job":
        pytest.skip("a Job ends by itself")
    for container in containers(workload):
        assert container["readinessProbe"]
    budgets = [each for each in kubernetes(overlay) if each["kind"] == "PodDisruptionBudget"]
    [budget] = [each["spec"] for each in budgets if selects(each["spec"]["selector"], workload)]
    assert budget["maxUnavailable"] == 1


def selects(selector: dict[str, Any], workload: dict[str, Any]) -> bool:
    wanted: dict[str, str] = selector["matchLabels"]
    return wanted.items() <= labels(workload).items()


@every_workload
def test_everything_is_selected_by_its_own_labels(overlay: str, workload: dict[str, Any]) -> None:
    own = {"matchLabels": {"app.kubernetes.io/name": workload["metadata"]["name"]}}
    assert selects(own, workload)
    if workload["kind"] != "Job":
        assert workload["spec"]["selector"] == own
    for constraint in pod(workload).get("topologySpreadConstraints", []):
        assert constraint["labelSelector"] == own
    for each in kubernetes(overlay):
        if each["kind"] == "Service" and each["metadata"]["name"] == workload["metadata"]["name"]:
            assert selects({"matchLabels": each["spec"]["selector"]}, workload)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_keda_scales_the_workers(overlay: str) -> None:
    scaled = one(overlay, "ScaledObject", "worker")["spec"]
    worker = one(overlay, "Deployment", "worker")
    assert scaled["scaleTargetRef"]["name"] == worker["metadata"]["name"]
    assert "replicas" not in worker["spec"], "an apply would undo what KEDA has set"
    assert scaled["fallback"]
    for trigger in scaled["triggers"]:
        assert trigger["metricType"] == "AverageValue", "a fallback needs it"
        assert f'namespace="{worker["metadata"]["namespace"]}"' in trigger["metadata"]["query"]


def test_the_base_has_no_password() -> None:
    """An apply would replace the real one."""
    assert not [each for overlay in OVERLAYS for each in kubernetes(overlay) if each["kind"] == "Secret"]
    for found in manifests.KUBERNETES.glob("**/kustomization.yaml"):
        assert "secretGenerator" not in yaml.safe_load(found.read_text())
