"""The manifests are in step with the code that they run: settings, addresses, probes, times to stop."""

from typing import Any

import pytest

from api.app import create_app
from api.edge import server
from jobs.settings import Settings
from tests.deploy import manifests
from tests.deploy.manifests import OVERLAYS, kubernetes, one
from worker.__main__ import STOP_MARGIN
from worker.__main__ import _parser as worker_arguments

pytestmark = pytest.mark.skipif(manifests.KUSTOMIZE is None, reason="neither kubectl nor kustomize is here")

every_overlay = pytest.mark.parametrize("overlay", OVERLAYS)
VALKEY = {"single": "valkey", "cluster": "valkey-cluster"}


def settings(overlay: str) -> dict[str, str]:
    """The generated ConfigMap."""
    [found] = [
        each["data"]
        for each in kubernetes(overlay)
        if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("batchline-settings")
    ]
    assert isinstance(found, dict)
    return found


def pod(overlay: str, kind: str, name: str) -> dict[str, Any]:
    spec: dict[str, Any] = one(overlay, kind, name)["spec"]["template"]["spec"]
    return spec


def container(overlay: str, kind: str, name: str) -> dict[str, Any]:
    [found] = pod(overlay, kind, name)["containers"]
    assert isinstance(found, dict)
    return found


@every_overlay
def test_the_settings_are_settings(overlay: str) -> None:
    given = {name.removeprefix("BATCHLINE_").lower(): value for name, value in settings(overlay).items()}
    assert given.keys() <= Settings.model_fields.keys()
    parsed = Settings.model_validate(given)
    [listening] = container(overlay, "Deployment", "api")["ports"]
    assert listening["containerPort"] == parsed.port


@every_overlay
@pytest.mark.parametrize("name", ["api", "bulk", "worker"])
def test_every_process_knows_the_queue_and_its_password(overlay: str, name: str) -> None:
    [password, address] = container(overlay, "Deployment", name)[
        "env"
    ]  # in this order: one contains the other
    assert password["name"] == "VALKEY_PASSWORD"
    secret = password["valueFrom"]["secretKeyRef"]
    valkey = container(overlay, "StatefulSet", VALKEY[overlay])
    assert {each["name"]: each for each in valkey["env"]}["VALKEY_PASSWORD"]["valueFrom"][
        "secretKeyRef"
    ] == secret
    assert address["name"] == "BATCHLINE_REDIS_URL"
    scheme, _, rest = address["value"].partition("://:$(VALKEY_PASSWORD)@")
    assert scheme == {"single": "redis", "cluster": "redis+cluster"}[overlay]
    hosts = [host.partition(":") for host in rest.partition("/")[0].split(",")]
    assert {name.rpartition(".")[2] for name, _, _ in hosts} == {f"batchline-{VALKEY[overlay]}"}
    ports = {each["port"] for each in one(overlay, "Service", VALKEY[overlay])["spec"]["ports"]}
    assert {int(port) for _, _, port in hosts} <= ports
    [source] = container(overlay, "Deployment", name)["envFrom"]
    assert source["configMapRef"]["name"].startswith("batchline-settings")


@every_overlay
@pytest.mark.parametrize("probe", ["startupProbe", "readinessProbe", "livenessProbe"])
def test_the_apis_probes_ask_for_what_there_is(overlay: str, probe: str) -> None:
    api = container(overlay, "Deployment", "api")
    request = api[probe]["httpGet"]
    assert request["path"] == "/health/live", (
        "a pod without Redis or workers must not be restarted, nor hidden"
    )
    assert request["path"] in create_app(Settings()).openapi()["paths"]
    assert request["port"] == api["ports"][0]["name"]


@every_overlay
def test_the_workers_probe_is_a_command_that_there_is(overlay: str) -> None:
    command = container(overlay, "Deployment", "worker")["readinessProbe"]["exec"]["command"]
    assert command[:3] == ["python", "-m", "worker"]
    assert worker_arguments().parse_args(command[3:]).check


@every_overlay
def test_pods_are_given_the_time_that_an_orderly_stop_takes(overlay: str) -> None:
    given = settings(overlay)["BATCHLINE_SHUTDOWN_GRACE"]
    grace = Settings.model_validate({"shutdown_grace": given}).shutdown_grace
    assert pod(overlay, "Deployment", "worker")["terminationGracePeriodSeconds"] > grace + STOP_MARGIN
    api = container(overlay, "Deployment", "api")
    lead = int(api["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod(overlay, "Deployment", "api")["terminationGracePeriodSeconds"] > lead + server.GRACE_SECONDS


def test_the_queue_outlives_its_pod() -> None:
    arguments = container("single", "StatefulSet", "valkey")["args"]
    options = dict(zip(arguments[1::2], arguments[2::2], strict=True))
    assert (options["--appendonly"], options["--maxmemory-policy"]) == ("yes", "noeviction")
    assert options["--requirepass"] == "$(VALKEY_PASSWORD)"
    assert keeps_its_data("single", options["--dir"])
    command = container("cluster", "StatefulSet", "valkey-cluster")["command"]
    assert keeps_its_data("cluster", command[command.index("--dir") + 1])


def keeps_its_data(overlay: str, folder: str) -> bool:
    """Whether a volume of the pod's own is mounted there."""
    [claim] = one(overlay, "StatefulSet", VALKEY[overlay])["spec"]["volumeClaimTemplates"]
    mounts = container(overlay, "StatefulSet", VALKEY[overlay])["volumeMounts"]
    return {"name": claim["metadata"]["name"], "mountPath": folder} in mounts


@every_overlay
def test_api_and_bulk_share_the_files(overlay: str) -> None:
    claim = one(overlay, "PersistentVolumeClaim", "files")
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    folder = settings(overlay)["BATCHLINE_STORAGE_URL"].removeprefix("file://")
    for name in ("api", "bulk"):
        spec = pod(overlay, "Deployment", name)
        assert spec["securityContext"]["fsGroup"] == spec["securityContext"]["runAsUser"]
        assert {
            "name": "files",
            "persistentVolumeClaim": {"claimName": claim["metadata"]["name"]},
        } in spec["volumes"]
        mounts = container(overlay, "Deployment", name)["volumeMounts"]
        assert {"name": "files", "mountPath": folder} in mounts


def test_every_node_of_the_cluster_is_named() -> None:
    stateful = one("cluster", "StatefulSet", "valkey-cluster")
    name, service = stateful["metadata"]["name"], stateful["spec"]["serviceName"]
    [nodes] = [
        each["data"]["NODES"].split()
        for each in kubernetes("cluster")
        if each["kind"] == "ConfigMap" and "NODES" in each["data"]
    ]
    assert nodes == [f"{name}-{index}.{service}" for index in range(stateful["spec"]["replicas"])]
    env = {each["name"]: each for each in container("cluster", "StatefulSet", "valkey-cluster")["env"]}
    assert env["NODE"]["value"] == f"$(POD).{service}"
    address = container("cluster", "Deployment", "api")["env"][1]["value"]
    assert {each.partition(":")[0] for each in address.rpartition("@")[2].split(",")} <= set(nodes)
    [headless] = [
        each["spec"]
        for each in kubernetes("cluster")
        if each["metadata"]["name"] == service and each["kind"] == "Service"
    ]
    assert headless["publishNotReadyAddresses"], "nodes must find each other before they are ready"
