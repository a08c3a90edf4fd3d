"""Load assignments by where a proxy runs."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mesh.model.endpoint import Locality
from mesh.model.node import Node
from mesh.pilot.registry import Workload
from mesh.pilot.translate import proxies
from mesh.pilot.translate.endpoints import locality_of

MakeMesh = Callable[..., Any]
MakeNode = Callable[..., Node]
PLACES = {"10.0.0.1": "r1.z1.s1", "10.0.0.2": "r1.z1.s2", "10.0.0.3": "r1.z2.s1", "10.0.0.4": "r2.z1.s1", "10.0.0.5": "r3.z1.s1"}
OUTLIER = "outlierDetection: {interval: 1s}"


def rule(policy: str) -> str:
    return f"""apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {{name: reviews}}
spec: {{host: reviews, trafficPolicy: {{{policy}}}}}"""


@pytest.fixture
def place(make_mesh: MakeMesh, make_node: MakeNode) -> Callable[..., list[tuple[str, int, int]]]:
    """Address, priority and its locality's weight of each endpoint, for a proxy in ``where``."""

    def find(policy: str, where: str) -> list[tuple[str, int, int]]:
        nodes = [make_node("reviews", "v1", ip) for ip in PLACES]
        nodes = [replace(node, labels={**node.labels, "istio-locality": PLACES[node.ip], "rack": node.ip[-1]}) for node in nodes]
        mesh = replace(make_mesh(rule(policy)), workloads=tuple(Workload(node, healthy=True) for node in nodes))
        client = make_node("ratings", "v1", "10.0.0.9")
        client = replace(client, labels={**client.labels, "istio-locality": where, "rack": "3"})
        parts = proxies.build(mesh, proxies.share(mesh), client)
        found = next(one for one in parts.endpoints if one.cluster.startswith("outbound|9080||reviews"))
        return sorted((one.address, group.priority, group.weight) for group in found.localities for one in group.endpoints)

    return find


def priorities(found: list[tuple[str, int, int]]) -> list[int]:
    return [priority for _, priority, _ in found]


@pytest.mark.parametrize(
    ("policy", "where", "expected"),
    [
        (OUTLIER, "r1.z1.s1", [0, 1, 2, 3, 3]),
        (OUTLIER, "r1.z2.s1", [1, 1, 0, 2, 2]),
        (OUTLIER, "r9.z1.s1", [0, 0, 0, 0, 0]),
        (OUTLIER, "", [0, 0, 0, 0, 0]),
        ("loadBalancer: {simple: RANDOM}", "r1.z1.s1", [0, 0, 0, 0, 0]),
        (f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{enabled: false}}}}", "r1.z1.s1", [0, 0, 0, 0, 0]),
        (f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{failover: [{{from: r1, to: r3}}]}}}}", "r1.z1.s1", [0, 1, 2, 4, 3]),
        (f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{failoverPriority: [rack]}}}}", "r1.z1.s1", [1, 1, 0, 1, 1]),
        (f"{OUTLIER}, loadBalancer: {{localityLbSetting: {{failoverPriority: [rack=2]}}}}", "", [1, 0, 1, 1, 1]),
    ],
)
def test_the_near_come_first_where_failures_are_noticed(place: Callable[..., Any], policy: str, where: str, expected: list[int]) -> None:
    assert priorities(place(policy, where)) == expected


def test_traffic_is_distributed_as_said_for_the_place_that_it_comes_from(place: Callable[..., Any]) -> None:
    setting = "loadBalancer: {localityLbSetting: {distribute: [{from: r1/z1/*, to: {r1/z1/*: 80, r2/*: 20}}]}}"
    assert place(setting, "r1.z1.s1") == [("10.0.0.1", 0, 40), ("10.0.0.2", 0, 40), ("10.0.0.4", 0, 20)]
    assert len(place(setting, "r2.z1.s1")) == 5


def test_a_place_is_a_label_or_those_of_kubernetes() -> None:
    assert locality_of({"istio-locality": "a.b.c"}) == locality_of({"istio-locality": "a/b/c"}) == Locality("a", "b", "c")
    assert locality_of({"topology.kubernetes.io/region": "a", "topology.kubernetes.io/zone": "b"}) == Locality("a", "b")
    assert locality_of({}) == Locality()
