"""Who may connect to whom, as the network policies say: nothing but what Batchline needs."""

from typing import Any

import pytest

from tests.deploy import manifests
from tests.deploy.manifests import OVERLAYS, kubernetes
from tests.deploy.test_kubernetes import WORKLOADS, labels, selects

pytestmark = pytest.mark.skipif(manifests.KUSTOMIZE is None, reason="neither kubectl nor kustomize is here")

ALLOWED = {
    "single": {
        ("*", "api", 8000),
        ("api", "valkey", 6379),
        ("bulk", "valkey", 6379),
        ("worker", "valkey", 6379),
        ("api", "*", 53),
        ("bulk", "*", 53),
        ("worker", "*", 53),
    },
    "cluster": {
        ("*", "api", 8000),
        ("api", "valkey-cluster", 6379),
        ("bulk", "valkey-cluster", 6379),
        ("worker", "valkey-cluster", 6379),
        ("valkey-form", "valkey-cluster", 6379),
        ("valkey-cluster", "valkey-cluster", 6379),
        ("valkey-cluster", "valkey-cluster", 16379),
        ("api", "*", 53),
        ("bulk", "*", 53),
        ("worker", "*", 53),
        ("valkey-form", "*", 53),
        ("valkey-cluster", "*", 53),
    },
}
"""Connections: from a workload, to a workload, to a port; `*` is anything."""


def workloads(overlay: str) -> dict[str, dict[str, Any]]:
    here = [each for one, each in WORKLOADS if one == overlay]
    return {str(each["metadata"]["name"]).removeprefix("batchline-"): each for each in here}


def sides(overlay: str, direction: str) -> dict[str, set[tuple[str, int]]]:
    """For each workload, the peers and ports that policies allow in a direction, `ingress` or `egress`."""
    pods = workloads(overlay)
    allowed: dict[str, set[tuple[str, int]]] = {}
    for policy in (each["spec"] for each in kubernetes(overlay) if each["kind"] == "NetworkPolicy"):
        assert set(policy["policyTypes"]) == {"Ingress", "Egress"}
        for name, workload in pods.items():
            if selects(policy["podSelector"], workload):
                rules = allowed.setdefault(name, set())
                for rule in policy[direction]:
                    rules |= {
                        (peer, port)
                        for peer in peers(rule, direction, pods)
                        for port in ports(rule, workload)
                    }
    return allowed


def peers(rule: dict[str, Any], direction: str, pods: dict[str, dict[str, Any]]) -> set[str]:
    given = rule.get("from" if direction == "ingress" else "to")
    if given is None:
        return {"*"}
    assert all(peer.keys() == {"podSelector"} for peer in given), "pods of this namespace only"
    return {name for peer in given for name, pod in pods.items() if selects(peer["podSelector"], pod)}


def ports(rule: dict[str, Any], workload: dict[str, Any]) -> set[int]:
    [container] = workload["spec"]["template"]["spec"]["containers"]
    named = {port["name"]: port["containerPort"] for port in container.get("ports", [])}
    return {named.get(port["port"], port["port"]) for port in rule["ports"]}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_only_what_is_needed_is_allowed(overlay: str) -> None:
    incoming, outgoing = sides(overlay, "ingress"), sides(overlay, "egress")
    assert incoming.keys() == outgoing.keys() == workloads(overlay).keys(), (
        "a pod without a policy may do anything"
    )
    connections = {(name, peer, port) for name, rules in outgoing.items() for peer, port in rules}
    accepted = {(peer, name, port) for name, rules in incoming.items() for peer, port in rules}
    assert {each for each in connections if each[1] == "*" or each in accepted} | {
        each for each in accepted if each[0] == "*"
    } == ALLOWED[overlay]
    assert connections - accepted == {each for each in ALLOWED[overlay] if each[1] == "*"}, (
        "allowed on one side only"
    )
    assert accepted - connections == {each for each in ALLOWED[overlay] if each[0] == "*"}, (
        "allowed on one side only"
    )


def test_a_label_for_the_queue_is_on_nothing_else() -> None:
    for overlay in OVERLAYS:
        queue = {
            name for name, each in workloads(overlay).items() if "app.kubernetes.io/component" in labels(each)
        }
        assert queue == {"valkey" if overlay == "single" else "valkey-cluster"}
