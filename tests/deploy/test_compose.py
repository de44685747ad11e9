"""The compose files: pinned images, one password, six nodes with the scripts that Kubernetes uses."""

import re
from typing import Any

import pytest
import yaml

from tests.deploy import manifests
from tests.deploy.test_kubernetes import is_pinned

ROOT = manifests.DEPLOY.parent
PASSWORD = "${VALKEY_PASSWORD:-batchline}"  # noqa: S105


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Reads compose's own tags, `!reset` and `!override`, as what they are on."""


def _untagged(loader: _Loader, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    return None


_Loader.add_multi_constructor("!", _untagged)


def services(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load((ROOT / name).read_text(encoding="utf-8"), _Loader)["services"]  # noqa: S506
    return found


ONE, CLUSTER = services("compose.yaml"), services("compose.cluster.yaml")
NODES = {name: each for name, each in CLUSTER.items() if name.startswith("valkey-") and name != "valkey-form"}


@pytest.mark.parametrize("services", [ONE, CLUSTER], ids=["one", "cluster"])
def test_every_image_has_a_version(services: dict[str, Any]) -> None:
    given = [each["image"] for each in services.values() if each and "image" in each]
    assert given
    for image in given:
        assert is_pinned(image.removeprefix("${VALKEY_IMAGE:-").removesuffix("}"))


def test_one_password_for_the_servers_and_for_who_reaches_them() -> None:
    command = ONE["redis"]["command"]
    assert command[command.index("--requirepass") + 1] == PASSWORD
    for name in ("api", "bulk", "worker"):
        assert ONE[name]["environment"]["BATCHLINE_REDIS_URL"] == f"redis://:{PASSWORD}@redis:6379/0"
        address = CLUSTER[name]["environment"]["BATCHLINE_REDIS_URL"]
        scheme, _, hosts = address.partition(f"://:{PASSWORD}@")
        assert scheme == "redis+cluster"
        assert {host.partition(":")[0] for host in hosts.rstrip("/").split(",")} <= NODES.keys()
    for each in (*NODES.values(), CLUSTER["valkey-form"]):
        assert each["environment"]["VALKEY_PASSWORD"] == PASSWORD
    for each in (ONE["redis"], *NODES.values()):
        assert each["environment"]["REDISCLI_AUTH"] == PASSWORD, "the health check"


def test_api_and_bulk_share_the_files() -> None:
    image = (ROOT / "Dockerfile.api").read_text(encoding="utf-8")
    for name in ("api", "bulk"):
        service = ONE[name]
        assert service["build"]["dockerfile"] == "Dockerfile.api"
        assert service["volumes"] == ["files:/files"]
        assert service["environment"]["BATCHLINE_STORAGE_URL"] == "${BATCHLINE_STORAGE_URL:-file:///files}"
    assert "-o batchline -g batchline /files" in image, "a new volume gets the owner of the image's folder"


@pytest.mark.parametrize("image", ["Dockerfile.api", "Dockerfile.worker"])
def test_what_an_image_holds_is_not_ignored(image: str) -> None:
    copied = re.findall(
        r"^COPY (?!--from)(.+) \S+$", (ROOT / image).read_text(encoding="utf-8"), re.MULTILINE
    )
    kept = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    names = {name for each in copied for name in each.split()}
    assert names
    assert {f"!{name}" for name in names} <= set(kept)


def test_six_nodes_each_with_its_name_and_its_volume() -> None:
    assert len(NODES) == 6
    assert CLUSTER["redis"] is None, "the single server is left out"
    scripts = f"./{(manifests.KUBERNETES / 'overlays' / 'cluster').relative_to(ROOT)}:/etc/valkey:ro"
    for name, node in NODES.items():
        assert node["environment"]["NODE"] == name
        assert node["environment"]["NODES"].split() == list(NODES)
        assert node["volumes"] == [scripts, f"{name}:/data"]
        assert CLUSTER["valkey-form"]["depends_on"][name] == {"condition": "service_healthy"}
    assert CLUSTER["valkey-form"]["volumes"] == [scripts]


@pytest.mark.parametrize(
    "service", [*ONE.values(), *NODES.values(), CLUSTER["valkey-form"]], ids=[*ONE, *NODES, "valkey-form"]
)
def test_no_container_has_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
